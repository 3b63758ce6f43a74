//! What each server loses when it is stopped under load: runs `farewell drill`
//! with every server of `benches/peers` and its own graceful stop.
//!
//! Options of `cargo bench --bench loss`, after `--`: `--rounds N`, `--only
//! farewell,nginx`, `--quick`, `--write`. Servers that are not installed are
//! named and left out. It writes `benches/RESULTS.md`.

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
use harness::options::BenchOptions;
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

/// A mode of the drill, and the path that its clients request.
type Mode = (&'static str, &'static str);

/// The modes for every server.
const COMMON: [Mode; 2] = [("new", "/"), ("keep-alive", "/")];

/// The modes for farewell. A POST needs a route that accepts it, and a slow
/// reader needs a large response.
const ALL: [Mode; 6] = [
    ("new", "/"),
    ("keep-alive", "/"),
    ("pipelined", "/"),
    ("idle", "/"),
    ("post", "/echo"),
    ("slow-reader", "/64k"),
];

/// Longest time for one stop in one mode. After it the drill has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    harness::exit_code(run)
}

fn run() -> Result<()> {
    let options = BenchOptions::of_process()?;
    let rounds = options.rounds.unwrap_or(ROUNDS);
    let (chosen, mut notes) = peers::choose(&options.only)?;
    let chosen: Vec<&Peer> = chosen
        .into_iter()
        .filter(|peer| peer.is_this_commit() || peer.competes())
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
        let modes = match peer.is_this_commit() {
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
    text += "\n*Lost*: the request was sent on an established connection, and no byte of a response came.\n";
    println!("\n{text}");
    if options.writes() {
        results::write("loss", &text)?;
    }
    Ok(())
}

/// The totals of one server in one mode, from the drill's output.
struct Line {
    server: &'static str,
    mode: &'static str,
    totals: Value,
}

impl Line {
    /// A number in the totals, if it is there.
    fn number(&self, name: &str) -> Option<f64> {
        self.totals.get(name).and_then(Value::as_f64)
    }

    /// Whether the cell is printed in bold.
    fn is_loss(&self, name: &str) -> bool {
        matches!(name, "lost" | "truncated") && self.number(name).is_some_and(|count| count > 0.0)
    }
}

/// Runs one drill for each mode, so that an error in one mode does not affect
/// the others.
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
    let mut output = String::new();
    if let Some(mut stdout) = drill.child().stdout.take() {
        stdout.read_to_string(&mut output)?;
    }
    let status = drill.wait(PATIENCE * rounds as u32)?;
    let report: Value = serde_json::from_str(&output)
        .map_err(|_| format!("the drill printed no JSON ({status})"))?;
    if let Some(error) = report.get("error").and_then(Value::as_str) {
        return Err(error.into());
    }
    // 0: nothing was lost. 1: something was lost. 3: some responses had another
    // status than 2xx.
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
