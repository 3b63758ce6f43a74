//! Which servers a scenario starts, in which state, and what it compares.
//!
//! ```text
//! group: servers that run at the same time
//!   server: a program with its arguments, in a state (normal, among idle
//!           connections, lame duck)
//!   side:   a server under a load, and its row in the table
//!   comparison of two sides: measured in turn, A B and then B A
//! ```

use crate::harness::peers::Peer;
use crate::harness::wrk::Load;
use crate::scenario::MEASURE;
use crate::scenario::Scenario;

/// The label of farewell without spare workers, which cannot hand a shard over.
pub(crate) const NO_HAND_OFF: &str = "farewell without a hand-off";

/// Number of idle connections in the scenario `idle`.
pub(crate) const IDLE: usize = 10_000;

const SHARDS: [&str; 4] = ["1", "2", "4", "8"];

/// Servers that run at the same time, and what is compared.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) servers: Vec<Server>,
    pub(crate) sides: Vec<Side>,
    /// Pairs of sides. The figures of the first are divided by those of the
    /// second. A side without a comparison is measured alone.
    pub(crate) comparisons: Vec<(usize, usize)>,
}

/// A server, and the state that it is measured in.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) peer: &'static Peer,
    pub(crate) arguments: Vec<String>,
    pub(crate) state: ServerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerState {
    Normal,
    /// With this many idle connections.
    Idle(usize),
    /// After SIGTERM and before the drain begins.
    LameDuck,
}

/// A server under a load.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) label: String,
    /// Index of the server in the group.
    pub(crate) server: usize,
    pub(crate) work: Work,
}

/// The source of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Wrk(Load),
    /// `wrk`, while this many slow requests a second are sent.
    Mixed {
        quick: Load,
        slow_per_second: u64,
    },
    /// A closed loop that counts the responses of each connection.
    Counted(Load),
    /// A slow request now and then. Its path is new, or was quick in earlier
    /// requests.
    FirstSlow {
        known: bool,
    },
}

impl Group {
    /// Adds a server with one side under the load of the scenario. Returns the
    /// index of the side.
    fn add(&mut self, scenario: &Scenario, peer: &'static Peer) -> usize {
        self.add_with(
            scenario,
            peer,
            peer.name.to_owned(),
            &[],
            ServerState::Normal,
        )
    }

    fn add_with(
        &mut self,
        scenario: &Scenario,
        peer: &'static Peer,
        label: String,
        more: &[&str],
        state: ServerState,
    ) -> usize {
        let arguments = scenario.arguments(peer).iter().chain(more);
        self.servers.push(Server {
            peer,
            arguments: arguments.map(|&word| word.to_owned()).collect(),
            state,
        });
        self.side(label, Work::Wrk(scenario.load))
    }

    /// Adds a side for the server that was added last.
    fn side(&mut self, label: String, work: Work) -> usize {
        self.sides.push(Side {
            label,
            server: self.servers.len() - 1,
            work,
        });
        self.sides.len() - 1
    }
}

/// farewell and each other server alternately, under the same load.
pub(crate) fn all_servers(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let mut group = Group::default();
    for &peer in peers {
        // With the same number of requests for every server, only latency
        // counts, and only that of the servers in `MEASURE`.
        let counts = peer.is_farewell() || MEASURE.contains(&peer.name);
        if scenario.load.pause.is_none() || counts {
            group.add(scenario, peer);
        }
    }
    compare_farewell(&mut group);
    vec![group]
}

/// Compares farewell with every other side.
fn compare_farewell(group: &mut Group) {
    let farewell = group.sides.iter().position(|side| side.label == "farewell");
    if let Some(farewell) = farewell {
        let others = (0..group.sides.len()).filter(|side| *side != farewell);
        group.comparisons = others.map(|side| (farewell, side)).collect();
    }
}

/// Counts the responses of each connection: farewell with several numbers of
/// shards, and the servers that can limit how many requests block.
pub(crate) fn fair(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let mut group = Group::default();
    for peer in capable(peers, &["axum", "actix", "hyper", "tiny_http"]) {
        if peer.is_this_commit() {
            for shards in SHARDS {
                let label = match shards {
                    "1" => "farewell, 1 shard".to_owned(),
                    _ => format!("farewell, {shards} shards"),
                };
                group.add_with(
                    scenario,
                    peer,
                    label,
                    &["--shards", shards],
                    ServerState::Normal,
                );
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

/// Quick requests with slow ones in between, and alone, on the same server.
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

/// farewell, farewell with only one worker for each shard, and other servers.
pub(crate) fn cpu(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.to_string();
    let mut group = Group::default();
    for peer in capable(peers, &["axum", "actix", "hyper", "go", "may_minihttp"]) {
        group.add(scenario, peer);
        if peer.is_this_commit() {
            let arguments = ["--workers", &cores, "--shards", &cores];
            let label = NO_HAND_OFF.to_owned();
            group.add_with(scenario, peer, label, &arguments, ServerState::Normal);
        }
    }
    compare_farewell(&mut group);
    vec![group]
}

/// A slow request for a new path, and for a path that was quick.
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

/// Each server with idle connections and without.
pub(crate) fn idle(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let with = ServerState::Idle(IDLE);
    let states =
        |&peer: &&'static Peer| states(scenario, peer, "without idle connections", &[], with);
    peers.iter().map(states).collect()
}

/// farewell at its limit of connections, and below it.
pub(crate) fn full(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let connections = scenario.load.connections.to_string();
    let full = ["--max-connections", &connections];
    let state = |peer| {
        states(
            scenario,
            peer,
            "below the limit",
            &full,
            ServerState::Normal,
        )
    };
    capable(peers, &[]).map(state).collect()
}

/// farewell after the signal, and before it.
pub(crate) fn lame_duck(scenario: &Scenario, peers: &[&'static Peer]) -> Vec<Group> {
    let long = ["--lame-duck", "3600"];
    let state = |peer| {
        states(
            scenario,
            peer,
            "before the signal",
            &long,
            ServerState::LameDuck,
        )
    };
    capable(peers, &[]).map(state).collect()
}

/// A server in a state, and a second process of it in the normal state.
fn states(
    scenario: &Scenario,
    peer: &'static Peer,
    normal: &str,
    more: &[&str],
    state: ServerState,
) -> Group {
    let mut group = Group::default();
    let this = group.add_with(scenario, peer, peer.name.to_owned(), more, state);
    let label = format!("{}, {normal}", peer.name);
    let other = group.add_with(scenario, peer, label, &[], ServerState::Normal);
    group.comparisons.push((this, other));
    group
}

/// farewell, `--base`, and these other servers.
fn capable(
    peers: &[&'static Peer],
    others: &'static [&'static str],
) -> impl Iterator<Item = &'static Peer> {
    let can = |peer: &&Peer| peer.is_farewell() || others.contains(&peer.name);
    peers.iter().copied().filter(can)
}
