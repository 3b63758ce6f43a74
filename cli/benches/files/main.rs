//! Compares `farewell DIR` with other file servers: nginx (`sendfile on`),
//! static-web-server and miniserve. Requests or bytes a second, processor time
//! per request, memory.
//!
//! `cargo bench --bench files` takes about six minutes. Options after `--`:
//! `--quick`, `--pairs N`, `--seconds S`, `--only farewell,nginx`,
//! `--scenario 1k,64k`, `--peers FOLDER`. It prints a table for
//! `docs/benchmarks.md`. It needs `wrk`, and a limit of 3 000 open files for the
//! slow readers.
//!
//! Two of the servers are not packages of Debian:
//!
//! ```sh
//! cargo install --root FOLDER --locked static-web-server miniserve
//! cargo bench --bench files -- --peers FOLDER/bin
//! ```
//!
//! A server that is neither in FOLDER nor in `PATH` is named and left out.
//! farewell and each other server are measured alternately, A B and then B A, and
//! the ratios are those of neighbours: see `benches/load/pairs.rs`.

#[path = "../../../benches/harness/mod.rs"]
mod harness;
mod scenarios;
mod served;
mod servers;
mod slow_readers;
mod table;

use std::process::ExitCode;

use harness::Result;
use harness::machine;
use harness::options::BenchOptions;
use harness::peers::RunningServer;
use harness::peers::installed;
use harness::process::raise_open_files;
use harness::wrk;
use scenarios::SCENARIOS;
use scenarios::Scenario;
use served::Served;
use servers::Found;
use servers::Server;
use table::Row;

/// The default number of pairs.
const PAIRS: usize = 8;

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let options = BenchOptions::of_process()?;
    if !installed("wrk") {
        println!("nothing was measured: {}", wrk::MISSING);
        return Ok(());
    }
    let chosen = chosen_scenarios(&options)?;
    let open_files = raise_open_files();
    let served = Served::create()?;
    let (found, left_out) = servers::find(&options)?;
    left_out.iter().for_each(|reason| println!("{reason}"));

    let mut text = machine::description(&options.command("files"))?;
    for server in &found {
        text += &format!("- {}\n", server.version());
    }
    text += "\n";
    let mut rows = Vec::new();
    for scenario in chosen.iter().filter_map(|name| Scenario::of_name(name)) {
        rows.extend(compare(scenario, &found, &served, &options)?);
    }
    text += &table::of_rates(&rows);
    if chosen.contains(&slow_readers::NAME) {
        match open_files < slow_readers::OPEN_FILES {
            true => text += "\nThe slow readers need a limit of 3000 open files (`ulimit -n`).\n",
            false => text += &slow_readers::table(&found, &served)?,
        }
    }
    println!("\n{text}");
    Ok(())
}

/// The names of the scenarios to run.
fn chosen_scenarios(options: &BenchOptions) -> Result<Vec<&'static str>> {
    let names = SCENARIOS.iter().map(|scenario| scenario.name);
    let all: Vec<&str> = names.chain([slow_readers::NAME]).collect();
    if let Some(name) = options
        .scenarios
        .iter()
        .find(|name| !all.contains(&&***name))
    {
        return Err(format!("unknown scenario {name}: use {}", all.join(", ")).into());
    }
    let is_chosen = |name: &&str| BenchOptions::chosen(&options.scenarios, name);
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// Measures farewell and each of the other servers in pairs.
fn compare(
    scenario: &'static Scenario,
    found: &[Found],
    served: &Served,
    options: &BenchOptions,
) -> Result<Vec<Row>> {
    let seconds = options.seconds.unwrap_or(1);
    let mut running = Vec::new();
    for server in found {
        let started = server.start(served)?;
        let load = scenario.load_for(&started)?;
        load.warm_up(started.port, scenarios::WARM_UP, servers::SESSION)?;
        running.push((started, load));
    }
    let mut rows: Vec<Row> = found
        .iter()
        .map(|found| Row::new(scenario, found))
        .collect();
    let farewell = found
        .iter()
        .position(|found| found.server == Server::Farewell);
    let sample = |rows: &mut Vec<Row>, index: usize| {
        eprint!(".");
        let (server, load): &(RunningServer, wrk::Load) = &running[index];
        let sample = scenarios::measure(server, load, seconds)?;
        rows[index].samples.push(sample);
        Ok::<_, Box<dyn std::error::Error>>(sample)
    };
    for pair in 0..options.pairs.unwrap_or(PAIRS) {
        for index in 0..found.len() {
            match farewell {
                Some(farewell) if farewell == index && found.len() > 1 => {}
                Some(farewell) if farewell != index => {
                    let (ours, other) = match pair % 2 {
                        0 => {
                            let ours = sample(&mut rows, farewell)?;
                            (ours, sample(&mut rows, index)?)
                        }
                        _ => {
                            let other = sample(&mut rows, index)?;
                            (sample(&mut rows, farewell)?, other)
                        }
                    };
                    rows[index].ratios.push(ours.divided_by(&other));
                }
                _ => {
                    sample(&mut rows, index)?;
                }
            }
        }
    }
    eprintln!();
    Ok(rows)
}
