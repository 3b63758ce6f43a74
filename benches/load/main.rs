//! Compares the speed of servers, also in states that make a server slow:
//! requests a second, processor time per request, latency and memory.
//!
//! `cargo bench --bench load` takes about 45 minutes. Options after `--`:
//! `--quick` for a short run, `--pairs N`, `--seconds S`, `--only
//! farewell,nginx`, `--scenario plain-64,fair`, `--base PROGRAM`,
//! `--shared-session`. It needs `wrk`. Servers that are not installed are named
//! and left out. A whole run writes `benches/RESULTS.md`; a partial run does
//! only with `--write`.
//!
//! farewell and each other server are measured alternately, one second each, in
//! pairs A B and B A: see [`pairs`]. Every server and every load generator has
//! a process session of its own, as it would if it ran alone.
//!
//! `--base PROGRAM` adds a comparison with another commit. PROGRAM is the
//! program `farewell` of `benches/peers`, built at that commit.

mod client;
#[path = "../harness/mod.rs"]
mod harness;
mod measure;
mod pairs;
mod plan;
mod scenario;
mod tables;
mod targets;

use std::process::ExitCode;
use std::time::Instant;

use harness::Result;
use harness::machine;
use harness::options::BenchOptions;
use harness::peers;
use harness::peers::Peer;
use harness::plot;
use harness::process::Session;
use harness::process::raise_open_files;
use harness::results;
use harness::wrk;
use pairs::Amount;
use scenario::SCENARIOS;
use scenario::Scenario;
use tables::Outcome;
use tables::Row;

/// Enough for both ends of the idle connections.
const OPEN_FILES: u64 = 11_000;

/// The default number of pairs.
const PAIRS: usize = 8;

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((client::OPTION, words)) = words.split_first().map(|(first, rest)| (&**first, rest))
    {
        return client::run(words);
    }
    let options = BenchOptions::of_process()?;
    if options.rounds.is_some() && !options.quick {
        return Err("this bench has no rounds: use --pairs N".into());
    }
    if !peers::installed("wrk") {
        println!("nothing was measured: {}", wrk::MISSING);
        return Ok(());
    }
    let scenarios = chosen_scenarios(&options)?;
    let (mut chosen, skipped) = peers::choose(&options.only)?;
    peers::build(&chosen)?;
    skipped.iter().for_each(|reason| println!("{reason}"));
    // Added last, so that this commit's farewell is first in every table.
    chosen.extend(options.base.clone().map(Peer::base));

    let start = Instant::now();
    let session = match options.shared_session {
        true => Session::Shared,
        false => Session::Own,
    };
    let mut text = front(&options, &skipped, session)?;
    let outcomes: Vec<Outcome> = scenarios
        .iter()
        .map(|scenario| {
            let amount = Amount {
                pairs: options.pairs.unwrap_or(PAIRS),
                seconds: options.seconds.unwrap_or(scenario.seconds),
                session,
            };
            outcome_of(scenario, &chosen, amount)
        })
        .collect();

    text += &format!(
        "- the run took {:.1} minutes\n\n",
        start.elapsed().as_secs_f64() / 60.0
    );
    if options.writes() {
        text += &pictures(&outcomes)?;
    }
    text += &body(&outcomes);
    println!("\n{text}");
    if options.writes() {
        results::write("load", &text)?;
    }
    Ok(())
}

fn chosen_scenarios(options: &BenchOptions) -> Result<Vec<&'static Scenario>> {
    let known = |name: &String| SCENARIOS.iter().any(|scenario| scenario.name == *name);
    if let Some(name) = options.scenarios.iter().find(|name| !known(name)) {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        return Err(format!("unknown scenario {name}: use {}", names.join(", ")).into());
    }
    let chosen = |scenario: &&Scenario| BenchOptions::chosen(&options.scenarios, scenario.name);
    Ok(SCENARIOS.iter().filter(chosen).collect())
}

/// Runs one scenario.
fn outcome_of(scenario: &'static Scenario, chosen: &[&'static Peer], amount: Amount) -> Outcome {
    let mut outcome = Outcome {
        scenario,
        rows: Vec::new(),
        comparisons: Vec::new(),
        notes: Vec::new(),
    };
    if raise_open_files() < OPEN_FILES && scenario.name == "idle" {
        outcome.notes.push(format!(
            "not measured: it needs a limit of {OPEN_FILES} open files (`ulimit -n`)"
        ));
        return outcome;
    }
    let mut taking_part = Vec::new();
    for &peer in chosen {
        match scenario.not_for(peer) {
            Some(reason) => {
                let note = format!("{}: not measured, {reason}", peer.name);
                outcome.notes.push(note);
            }
            None => taking_part.push(peer),
        }
    }
    eprint!("{} ", scenario.name);
    for group in (scenario.plan)(scenario, &taking_part) {
        pairs::measure(&group, amount, &mut outcome);
    }
    eprintln!();
    outcome
}

fn front(options: &BenchOptions, skipped: &[String], session: Session) -> Result<String> {
    let mut text = "## Load\n\n".to_owned();
    text += &machine::description(&options.command("load"))?;
    text += match session {
        Session::Own => "- each server and each load generator in a process session of its own\n",
        Session::Shared => "- all processes in one process session\n",
    };
    for reason in skipped {
        text += &format!("- {reason}\n");
    }
    Ok(text)
}

fn body(outcomes: &[Outcome]) -> String {
    let mut parts: Vec<String> = outcomes.iter().map(Outcome::markdown).collect();
    parts.push(targets::markdown(outcomes));
    parts.join("\n")
}

fn pictures(outcomes: &[Outcome]) -> Result<String> {
    // The bar charts show only scenarios with one row for each server.
    let outcomes = || outcomes.iter().filter(|outcome| outcome.is_of_servers());
    let panels: Vec<_> = outcomes()
        .map(|outcome| outcome.panel(Row::requests))
        .collect();
    plot::bars(&results::plot("load-requests.svg")?, &panels)?;
    let processor = |row: &Row| row.median(|sample| sample.processor_per_request);
    let panels: Vec<_> = outcomes().map(|outcome| outcome.panel(processor)).collect();
    plot::bars(&results::plot("load-cpu.svg")?, &panels)?;
    Ok(
        "Requests a second:\n\n![requests a second](results/load-requests.svg)\n\n\
        Processor time of the server for each request, in µs:\n\n\
        ![processor time for each request](results/load-cpu.svg)\n\n"
            .to_owned(),
    )
}
