//! What a stop under load loses, server by server: `farewell drill` over every
//! server of `benches/peers`, each stopped in its own graceful way.
//!
//! `cargo bench --bench loss`; after `--`: `--rounds N`, `--only farewell,nginx`,
//! `--quick`, `--write`. Servers that are not installed are named and left out.
//! It writes `benches/RESULTS.md`.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![allow(clippy::print_stderr, reason = "and on the way what it is doing")]

#[path = "../../benches/harness/mod.rs"]
mod harness;

use std::io::Read;
use std::process::ExitCode;
use std::process::Stdio;
use std::time::Duration;

use harness::Result;
use harness::machine;
use harness::numbers::short;
use harness::numbers::table;
use harness::options::Options;
use harness::peers;
use harness::peers::Peer;
use harness::plot;
use harness::plot::Panel;
use harness::process::Process;
use harness::process::Session;
use harness::process::raise_open_files;
use harness::results;
use serde_json::Value;

const ROUNDS: usize = 20;
const CLIENTS: &str = "64";

/// A mode of the drill, and what its clients ask for.
type Mode = (&'static str, &'static str);

/// What every server is drilled in.
const COMMON: [Mode; 2] = [("new", "/"), ("keep-alive", "/")];

/// Ours in all modes: a POST needs somewhere to go, and a slow reader much to
/// read.
const ALL: [Mode; 6] = [
    ("new", "/"),
    ("keep-alive", "/"),
    ("pipelined", "/"),
    ("idle", "/"),
    ("post", "/echo"),
    ("slow-reader", "/64k"),
];

/// For one stop of one mode; a drill that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let options = Options::of_process()?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let (chosen, mut notes) = peers::choose(&options.only)?;
    let chosen: Vec<&Peer> = chosen
        .into_iter()
        .filter(|peer| peer.is_ours() || peer.competes())
        .collect();
    peers::build(&chosen)?;
    raise_open_files();

    let mut text = format!(
        "## Loss\n\n{}- {CLIENTS} clients in a closed loop on loopback, SIGTERM (nginx: SIGQUIT) under load\n",
        machine::description(&options.command("loss"))?
    );
    let mut lines = Vec::new();
    for peer in chosen {
        eprintln!("{}: {rounds} stops in each mode", peer.name);
        let modes = match peer.is_ours() {
            true => &ALL[..],
            false => &COMMON[..],
        };
        for &mode in modes {
            match drill(peer, mode, rounds) {
                Ok(line) => lines.push(line),
                Err(error) => notes.push(format!("{}, {}: {error}", peer.name, mode.0)),
            }
        }
    }
    notes.iter().for_each(|note| text += &format!("- {note}\n"));
    text.push('\n');
    if options.writes() {
        plot::bars(
            &results::plot("loss.svg")?,
            &COMMON.map(|(mode, _)| panel(mode, &lines)),
        )?;
        text += "Lost in each stop:\n\n![lost in each stop](results/loss.svg)\n\n";
    }
    text += &figures(&lines);
    text += "\n*Lost*: sent on an established connection, and no complete response came back.\n";
    println!("\n{text}");
    if options.writes() {
        results::write("loss", &text)?;
    }
    Ok(())
}

/// What one server did in one mode: the drill's totals.
struct Line {
    server: &'static str,
    mode: &'static str,
    totals: Value,
}

impl Line {
    /// A number of the totals; none where the drill has no such number.
    fn number(&self, name: &str) -> Option<f64> {
        self.totals.get(name).and_then(Value::as_f64)
    }

    /// A loss is what a reader looks for.
    fn is_loss(&self, name: &str) -> bool {
        matches!(name, "lost" | "truncated") && self.number(name).is_some_and(|count| count > 0.0)
    }
}

/// A drill for each mode, so that one that fails does not hide another.
fn drill(peer: &Peer, (mode, path): Mode, rounds: usize) -> Result<Line> {
    let mut words: Vec<String> = [
        env!("CARGO_BIN_EXE_farewell"),
        "drill",
        "--json",
        "--url",
        &format!("http://127.0.0.1:{{port}}{path}"),
        "--rounds",
        &rounds.to_string(),
        "--clients",
        CLIENTS,
        "--mode",
        mode,
        "--stop",
        peer.stop_signal(),
        "--",
    ]
    .map(str::to_owned)
    .to_vec();
    words.extend(peer.program());
    words.extend(["--port", "{port}"].map(str::to_owned));

    let mut drill = Process::start(&words, Session::Own, Stdio::piped(), Stdio::inherit())?;
    let mut said = String::new();
    if let Some(mut output) = drill.child().stdout.take() {
        output.read_to_string(&mut said)?;
    }
    let status = drill.wait(PATIENCE * rounds as u32)?;
    let report: Value =
        serde_json::from_str(&said).map_err(|_| format!("the drill said no JSON; {status}"))?;
    if let Some(error) = report.get("error").and_then(Value::as_str) {
        return Err(error.into());
    }
    // 0: nothing was lost; 1: something was; 3: not every answer was a 200.
    if !matches!(status.code(), Some(0 | 1 | 3)) {
        return Err(format!("the drill failed: {status}").into());
    }
    let totals = report.get("totals").and_then(|totals| totals.get(mode));
    Ok(Line {
        server: peer.name,
        mode,
        totals: totals.ok_or("the drill has no totals")?.clone(),
    })
}

fn figures(lines: &[Line]) -> String {
    const COLUMNS: [(&str, &str); 11] = [
        ("rounds", "stops"),
        ("answered_before", "answered before"),
        ("answered_after", "answered after"),
        ("refused", "refused"),
        ("unprocessed", "unprocessed"),
        ("answered_5xx", "5xx"),
        ("lost", "lost"),
        ("truncated", "truncated"),
        ("lost_per_stop", "lost in each stop"),
        ("exit_ms_median", "exit ms, median"),
        ("exit_ms_max", "exit ms, most"),
    ];
    let mut heads = vec!["server", "mode"];
    heads.extend(COLUMNS.map(|(_, head)| head));
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let mut cells = vec![line.server.to_owned(), line.mode.to_owned()];
            cells.extend(COLUMNS.map(|(name, _)| match line.number(name) {
                None => "–".to_owned(),
                Some(count) if line.is_loss(name) => format!("**{count}**"),
                Some(count) if name.contains("_ms") || name == "lost_per_stop" => short(count),
                Some(count) => count.to_string(),
            }));
            cells
        })
        .collect();
    table(&heads, &rows)
}

fn panel(mode: &str, lines: &[Line]) -> Panel {
    let of_mode = lines.iter().filter(|line| line.mode == mode);
    Panel {
        title: mode.to_owned(),
        bars: of_mode
            .filter_map(|line| Some((line.server, line.number("lost_per_stop")?)))
            .collect(),
    }
}
