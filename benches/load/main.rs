//! Speed beside other servers: requests a second, processor time for each,
//! latency and memory, under loads from one keep-alive connection to ten
//! thousand idle ones.
//!
//! `cargo bench --bench load`, about a quarter of an hour; after `--`: `--quick`
//! for a look, `--rounds N`, `--seconds S`, `--only farewell,nginx`, `--scenario
//! plain-64,close-64`, `--shared-session`. It needs `wrk`; servers that are not
//! installed are named and left out. It writes `benches/RESULTS.md`; a part of
//! the run does only with `--write`.
//!
//! Rounds are interleaved: every server in turn, in a fresh order each round, so
//! that what else the machine does hits all alike. Every server and every `wrk`
//! is in a process session of its own, as they are when they run by themselves.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::print_stderr, reason = "and on the way what it is doing")]

#[path = "../harness/mod.rs"]
mod harness;
mod measure;
mod scenario;
mod tables;
mod targets;

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::process::ExitCode;
use std::time::Instant;

use harness::Result;
use harness::machine;
use harness::options::Options;
use harness::peers;
use harness::peers::Peer;
use harness::plot;
use harness::process::Session;
use harness::process::raise_open_files;
use harness::results;
use harness::wrk;
use scenario::SCENARIOS;
use scenario::Scenario;
use tables::Outcome;
use tables::Row;

/// For both ends of the idle connections, and some more.
const OPEN_FILES: u64 = 11_000;

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let options = Options::of_process()?;
    if !peers::installed("wrk") {
        println!("nothing was measured: {}", wrk::MISSING);
        return Ok(());
    }
    let scenarios = chosen_scenarios(&options)?;
    let (chosen, skipped) = peers::choose(&options.only)?;
    peers::build(&chosen)?;
    skipped.iter().for_each(|why| println!("{why}"));

    let start = Instant::now();
    let session = match options.shared_session {
        true => Session::Shared,
        false => Session::Own,
    };
    let mut text = front(&options, &skipped, session)?;
    let outcomes: Vec<Outcome> = scenarios
        .iter()
        .map(|scenario| {
            let rounds = options.rounds.unwrap_or(scenario.rounds);
            let seconds = options.seconds.unwrap_or(scenario.seconds);
            rounds_of(scenario, &chosen, rounds, seconds, session)
        })
        .collect();
    // The other regime, for comparison: one short round.
    let plain = scenarios.iter().filter(|scenario| scenario.is_plain());
    let shared: Vec<Outcome> = plain
        .filter(|_| session == Session::Own)
        .map(|scenario| rounds_of(scenario, &chosen, 1, 1, Session::Shared))
        .collect();

    text += &format!(
        "- the run took {:.1} minutes\n\n",
        start.elapsed().as_secs_f64() / 60.0
    );
    if options.writes() {
        text += &pictures(&outcomes)?;
    }
    text += &body(&outcomes, &shared);
    println!("\n{text}");
    if options.writes() {
        results::write("load", &text)?;
    }
    Ok(())
}

fn chosen_scenarios(options: &Options) -> Result<Vec<&'static Scenario>> {
    let known = |name: &String| SCENARIOS.iter().any(|scenario| scenario.name == *name);
    if let Some(name) = options.scenarios.iter().find(|name| !known(name)) {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        return Err(format!("{name} is no scenario; there are {}", names.join(", ")).into());
    }
    let chosen = |scenario: &&Scenario| Options::chosen(&options.scenarios, scenario.name);
    Ok(SCENARIOS.iter().filter(chosen).collect())
}

/// All rounds of one scenario. A server that fails is named, and the others go
/// on.
fn rounds_of(
    scenario: &'static Scenario,
    chosen: &[&'static Peer],
    rounds: usize,
    seconds: u64,
    session: Session,
) -> Outcome {
    let mut outcome = Outcome {
        scenario,
        rows: Vec::new(),
        notes: Vec::new(),
    };
    if raise_open_files() < OPEN_FILES && scenario.idle > 0 {
        outcome.notes.push(format!(
            "not measured: it needs a limit of {OPEN_FILES} open files (`ulimit -n`)"
        ));
        return outcome;
    }
    for &peer in chosen {
        match scenario.not_for(peer) {
            Some(why) => outcome.notes.push(format!("{}: n/a, {why}", peer.name)),
            None => outcome.rows.push(Row {
                peer,
                samples: Vec::new(),
            }),
        }
    }
    for round in 1..=rounds {
        for row in in_any_order(&mut outcome.rows) {
            eprintln!("{} {round}/{rounds} {}", scenario.name, row.peer.name);
            match measure::measure(row.peer, scenario, seconds, session) {
                Ok(sample) => row.samples.push(sample),
                Err(error) => outcome
                    .notes
                    .push(format!("{}: round {round} failed, {error}", row.peer.name)),
            }
        }
    }
    outcome
}

fn in_any_order(rows: &mut [Row]) -> Vec<&mut Row> {
    let mut rows: Vec<&mut Row> = rows.iter_mut().collect();
    rows.sort_by_cached_key(|_| RandomState::new().hash_one(()));
    rows
}

fn front(options: &Options, skipped: &[String], session: Session) -> Result<String> {
    let mut text = "## Load\n\n".to_owned();
    text += &machine::description(&options.command("load"))?;
    text += match session {
        Session::Own => "- each server and each `wrk -t2` in a process session of its own\n",
        Session::Shared => "- all processes in one process session\n",
    };
    for why in skipped {
        text += &format!("- {why}\n");
    }
    Ok(text)
}

fn body(outcomes: &[Outcome], shared: &[Outcome]) -> String {
    let mut parts: Vec<String> = outcomes.iter().map(Outcome::markdown).collect();
    if !shared.is_empty() {
        parts.push(
            "### All in one process session\n\n\
             The same again, with servers and load generator in one session: autogroup scheduling\n\
             then lets the servers batch their work, and flatters some. Not held against the targets.\n"
                .to_owned(),
        );
        parts.extend(shared.iter().map(Outcome::markdown));
    }
    parts.push(targets::markdown(outcomes));
    parts.join("\n")
}

fn pictures(outcomes: &[Outcome]) -> Result<String> {
    let panels: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.panel(Row::requests))
        .collect();
    plot::bars(&results::plot("load-requests.svg")?, &panels)?;
    let processor = |row: &Row| row.median(|sample| sample.processor_per_request);
    let panels: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.panel(processor))
        .collect();
    plot::bars(&results::plot("load-cpu.svg")?, &panels)?;
    Ok(
        "Requests a second:\n\n![requests a second](results/load-requests.svg)\n\n\
        Processor time of the server for each request, in µs:\n\n\
        ![processor time for each request](results/load-cpu.svg)\n\n"
            .to_owned(),
    )
}
