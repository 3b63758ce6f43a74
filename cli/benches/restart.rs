//! What 64 clients lose in 50 restarts of the program under load: by SIGUSR2, by a stop and
//! a start while a supervisor holds the socket, and by SIGUSR2 with a new program that
//! crashes, hangs, or has a bad configuration.
//!
//! The clients send GET and POST in a closed loop, on connections that they keep and on new
//! ones. `cargo bench --bench restart` takes two minutes. Options after `--`: `--rounds N`
//! restarts of each kind, `--write`. It writes `benches/RESULTS.md`. It fails if anything
//! was refused, lost, truncated or wrong.
//!
//! A client that gets no core for as long as the last call may find its connection closed:
//! its request crosses the close, and counts as lost. So the machine has to be quiet.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot continue fails")]

#[path = "../../tests/support/client.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod client;
#[path = "../../benches/harness/mod.rs"]
mod harness;
#[path = "../tests/restarts/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod restarts;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use harness::Result;
use harness::machine;
use harness::numbers::median;
use harness::numbers::short;
use harness::numbers::table;
use harness::options::BenchOptions;
use harness::results;
use restarts::clients::CLIENTS;
use restarts::clients::Clients;
use restarts::service::Place;
use restarts::service::Service;
use rustix::process::Signal;
use serde_json::Value;

const ROUNDS: usize = 50;

/// Answers between two restarts.
const ANSWERS: u64 = 1_000;

const PROGRAM: &str = env!("CARGO_BIN_EXE_farewell");

/// The log line of a restart that did not succeed.
const FAILED: &str = "the restart has failed, and this process goes on";

/// What a new program does that does not get ready, and the script that does it.
const BROKEN: [(&str, &str); 3] = [
    ("SIGUSR2, the new program crashes", "kill -SEGV $$"),
    ("SIGUSR2, the new program hangs", "exec sleep 600"),
    (
        "SIGUSR2, the configuration is bad",
        "exec \"$real\" --workers none",
    ),
];

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let options = BenchOptions::of_process()?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let mut rows = vec![by_signal(rounds), by_supervisor(rounds)];
    rows.extend(BROKEN.map(|(what, script)| by_broken(rounds, what, script)));
    let heads = [
        "restarts by",
        "restarts",
        "answered",
        "refused",
        "lost",
        "truncated",
        "wrong",
        "crossed the close",
        "cut by a server",
        "ms a restart, median",
        "most",
    ];
    let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let text = format!(
        "## Restarts\n\n{}- {CLIENTS} clients in a closed loop on loopback: GET and POST, on kept and on new connections; at least {ANSWERS} answers between two restarts\n\n{}",
        machine::description(&options.command("restart"))?,
        table(&heads, &cells)
    );
    println!("\n{text}");
    if options.writes() {
        results::write("restart", &text)?;
    }
    match rows.iter().all(|row| row.failed == 0) {
        true => Ok(()),
        false => Err("a restart has failed requests".into()),
    }
}

/// What happened in all restarts of a kind.
struct Row {
    what: &'static str,
    /// In ms.
    times: Vec<f64>,
    /// Answered, refused, lost, truncated, wrong; crossed the close, cut.
    counts: Vec<u64>,
    failed: u64,
}

impl Row {
    fn new(what: &'static str, times: &[Duration], clients: Clients, service: Service) -> Self {
        let attempts = clients.finish();
        let output = service.stop();
        let reports: Vec<Value> = output
            .reports
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let sum = |of: &str, outcome: &str| -> u64 {
            let count = |report: &Value| report[of]["ended"][outcome].as_u64().unwrap();
            reports.iter().map(count).sum()
        };
        let cut = sum("requests", "cut") + sum("requests", "answered_503");
        let crossed = sum("connections", "crossed_the_close");
        let counts = [
            &attempts.answered,
            &attempts.refused,
            &attempts.lost,
            &attempts.truncated,
            &attempts.wrong,
        ];
        let mut counts: Vec<u64> = counts.iter().map(|count| count.load(SeqCst)).collect();
        counts.extend([crossed, cut]);
        eprintln!("{what}: {attempts:?}, {crossed} crossed the close");
        Self {
            what,
            times: times.iter().map(|time| time.as_secs_f64() * 1e3).collect(),
            counts,
            failed: attempts.failed() + cut,
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.what.to_owned(), self.times.len().to_string()];
        cells.extend(self.counts.iter().map(u64::to_string));
        let most = self.times.iter().copied().fold(0.0, f64::max);
        let middle = median(self.times.iter().copied()).map_or_else(String::new, short);
        cells.extend([middle, short(most)]);
        cells
    }
}

/// From the signal until the new process has taken over.
fn by_signal(rounds: usize) -> Row {
    let place = Place::new(PROGRAM);
    let mut service = Service::start(&place.path, &[]);
    let clients = Clients::start(service.address);
    let mut times = Vec::new();
    for _ in 0..rounds {
        clients.wait_answered(ANSWERS);
        let start = Instant::now();
        service.restart();
        times.push(start.elapsed());
    }
    clients.wait_answered(ANSWERS);
    Row::new("SIGUSR2", &times, clients, service)
}

/// From the signal until the next process listens. Meanwhile connections wait in the
/// backlog of the socket, which this process holds as a supervisor does.
fn by_supervisor(rounds: usize) -> Row {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || Service::activate(PROGRAM.as_ref(), &listener, &[]);
    let mut service = start();
    let clients = Clients::start(service.address);
    let mut times = Vec::new();
    for _ in 0..rounds {
        clients.wait_answered(ANSWERS);
        let begun = Instant::now();
        assert_eq!(service.stop().code, Some(0));
        service = start();
        times.push(begun.elapsed());
    }
    clients.wait_answered(ANSWERS);
    Row::new(
        "stop and start, the socket is held",
        &times,
        clients,
        service,
    )
}

/// From the signal until the old process has given up.
fn by_broken(rounds: usize, what: &'static str, script: &str) -> Row {
    let place = Place::new(PROGRAM);
    let service = Service::start(&place.path, &["--restart-timeout", "200ms"]);
    let clients = Clients::start(service.address);
    place.install(script);
    let mut times = Vec::new();
    for _ in 0..rounds {
        clients.wait_answered(ANSWERS);
        let start = Instant::now();
        service.signal(Signal::USR2);
        service.wait_logged(FAILED);
        times.push(start.elapsed());
    }
    clients.wait_answered(ANSWERS);
    Row::new(what, &times, clients, service)
}
