//! Which servers a scenario needs, in which state, and what is compared.
//!
//! ```text
//! group: servers that run side by side
//!   server: a program with its arguments, in a state (normal, among idle
//!           connections, in a lame duck)
//!   side:   a server under a load, and its row in the table
//!   comparison of two sides: measured in turn, A B and then B A
//! ```

use crate::harness::peers::Peer;
use crate::harness::wrk::Load;
use crate::scenario::MEASURE;
use crate::scenario::Scenario;

/// The label of the side that computes without handing anything over.
pub(crate) const NO_HAND_OFF: &str = "farewell without a hand-off";

/// Idle connections beside the active ones.
pub(crate) const IDLE: usize = 10_000;

const SHARDS: [&str; 4] = ["1", "2", "4", "8"];

/// Servers that run side by side, and what is compared.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) servers: Vec<Server>,
    pub(crate) sides: Vec<Side>,
    /// Two sides each, the first divided by the second. A side that is in none is
    /// measured by itself.
    pub(crate) comparisons: Vec<(usize, usize)>,
}

/// A server, and the state that it is brought into before the measurements.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) peer: &'static Peer,
    pub(crate) arguments: Vec<String>,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Normal,
    /// With so many idle connections.
    Idle(usize),
    /// SIGTERM has come, and the drain has not begun.
    LameDuck,
}

/// A server under a load.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) label: String,
    /// Its place among the servers of the group.
    pub(crate) server: usize,
    pub(crate) work: Work,
}

/// Where the load comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Wrk(Load),
    /// `wrk`, and beside it so many slow requests a second.
    Mixed {
        quick: Load,
        slow_per_second: u64,
    },
    /// A closed loop that counts the answers of each connection.
    Counted(Load),
    /// A slow request now and then, for a path that was quick before or for a new
    /// one.
    FirstSlow {
        known: bool,
    },
}

impl Group {
    /// Adds a server with one side under the load of the scenario, and says which
    /// side it is.
    fn add(&mut self, scenario: &Scenario, peer: &'static Peer) -> usize {
        self.add_with(scenario, peer, peer.name.to_owned(), &[], State::Normal)
    }

    fn add_with(
        &mut self,
        scenario: &Scenario,
        peer: &'static Peer,
        label: String,
        more: &[&str],
        state: State,
    ) -> usize {
        let arguments = scenario.arguments(peer).iter().chain(more);
        self.servers.push(Server {
            peer,
            arguments: arguments.map(|&word| word.to_owned()).collect(),
            state,
        });
        self.side(label, Work::Wrk(scenario.load))
    }

    /// Adds a side of the server that was added last.
    fn side(&mut self, label: String, work: Work) -> usize {
        self.sides.push(Side {
            label,
            server: self.servers.len() - 1,
            work,
        });
        self.sides.len() - 1
    }
}

/// Ours and each of the others in turn, all under the same load.
pub(crate) fn neighbours(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let mut group = Group::default();
    for &peer in peers {
        // At the same number of requests only latencies count, and only those of
        // the servers that ours is measured by.
        let counts = peer.is_farewell() || MEASURE.contains(&peer.name);
        if scenario.load.pause.is_none() || counts {
            group.add(scenario, peer);
        }
    }
    compare_ours(&mut group);
    vec![group]
}

/// Compares ours with every other side.
fn compare_ours(group: &mut Group) {
    let ours = group.sides.iter().position(|side| side.label == "farewell");
    if let Some(ours) = ours {
        let others = (0..group.sides.len()).filter(|side| *side != ours);
        group.comparisons = others.map(|side| (ours, side)).collect();
    }
}

/// Each connection counted by itself: ours on several numbers of shards, and the
/// servers that can be told how much may block at a time.
pub(crate) fn fair(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let mut group = Group::default();
    for peer in capable(peers, &["axum", "actix", "hyper", "tiny_http"]) {
        if peer.is_ours() {
            for shards in SHARDS {
                let label = match shards {
                    "1" => "farewell, 1 shard".to_owned(),
                    _ => format!("farewell, {shards} shards"),
                };
                group.add_with(scenario, peer, label, &["--shards", shards], State::Normal);
            }
        } else {
            group.add(scenario, peer);
        }
    }
    for side in &mut group.sides {
        side.work = Work::Counted(scenario.load);
    }
    vec![group]
}

/// Quick requests beside slow ones, and alone, on the same server.
pub(crate) fn mixed(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let can = capable(peers, &["axum", "actix", "hyper", "go", "may_minihttp"]);
    can.map(|peer| {
        let mut group = Group::default();
        let alone = group.add(scenario, peer);
        group.sides[alone].label = format!("{}, quick alone", peer.name);
        let work = Work::Mixed {
            quick: scenario.load,
            slow_per_second: scenario.slow_per_second(),
        };
        let mixed = group.side(peer.name.to_owned(), work);
        group.comparisons.push((mixed, alone));
        group
    })
    .collect()
}

/// Ours, ours with no more workers than shards, and the others.
pub(crate) fn cpu(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.to_string();
    let mut group = Group::default();
    for peer in capable(peers, &["axum", "actix", "hyper", "go", "may_minihttp"]) {
        group.add(scenario, peer);
        if peer.is_ours() {
            let arguments = ["--workers", &cores, "--shards", &cores];
            let label = NO_HAND_OFF.to_owned();
            group.add_with(scenario, peer, label, &arguments, State::Normal);
        }
    }
    compare_ours(&mut group);
    vec![group]
}

/// A slow request for a path that is new, and for one that was quick.
pub(crate) fn first_slow(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let can = capable(peers, &["axum", "actix", "hyper", "go", "may_minihttp"]);
    can.map(|peer| {
        let mut group = Group::default();
        let new = group.add(scenario, peer);
        group.sides[new].label = format!("{}, a new path", peer.name);
        group.sides[new].work = Work::FirstSlow { known: false };
        let label = format!("{}, a path that was quick", peer.name);
        group.side(label, Work::FirstSlow { known: true });
        group
    })
    .collect()
}

/// Each server among idle connections, and without them.
pub(crate) fn idle(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let with = State::Idle(IDLE);
    let states = |&peer: &&'static Peer| states(scenario, peer, "without idle ones", &[], with);
    peers.iter().map(states).collect()
}

/// Ours where as many connections are open as may be.
pub(crate) fn full(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let connections = scenario.load.connections.to_string();
    let full = ["--max-connections", &connections];
    let state = |peer| states(scenario, peer, "with room for more", &full, State::Normal);
    capable(peers, &[]).map(state).collect()
}

/// Ours after the signal, and before.
pub(crate) fn lame_duck(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let long = ["--lame-duck", "3600"];
    let state = |peer| states(scenario, peer, "before the signal", &long, State::LameDuck);
    capable(peers, &[]).map(state).collect()
}

/// A server in a state, and another process of it in the normal one.
fn states(
    scenario: &Scenario,
    peer: &'static Peer,
    normal: &str,
    more: &[&str],
    state: State,
) -> Group {
    let mut group = Group::default();
    let this = group.add_with(scenario, peer, peer.name.to_owned(), more, state);
    let label = format!("{}, {normal}", peer.name);
    let other = group.add_with(scenario, peer, label, &[], State::Normal);
    group.comparisons.push((this, other));
    group
}

/// Ours, the older one of ours, and these of the others.
fn capable(
    peers: &[&'static Peer],
    others: &'static [&'static str],
) -> impl Iterator<Item = &'static Peer> {
    let can = |peer: &&Peer| peer.is_farewell() || others.contains(&peer.name);
    peers.iter().copied().filter(can)
}
