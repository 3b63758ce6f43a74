//! The drill: how any HTTP server stops under load.
//!
//! ```text
//! Round:  start the command -> it answers -> load -> stop -> its end -> all ends
//!                                              |       |                 |
//! Client: connect, send, read, again and again +-------+-----------------+
//!         every attempt ends in exactly one Fate, and counts in one Class
//! ```
//!
//! It shares no code with the server `farewell`: its clients are blocking
//! sockets in threads, and `wire` is a parser of its own. A client that had a
//! server's mistakes would prove nothing.
//!
//! The program `farewell drill` is this library with its [`Options`] on the
//! command line:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Program {
//!     #[command(flatten)]
//!     drill: farewell_drill::Options,
//! }
//!
//! fn main() -> ExitCode {
//!     ExitCode::from(farewell_drill::run(&Program::parse().drill))
//! }
//! ```
//!
//! # What is lost
//!
//! A client can tell these apart, and the drill does:
//!
//! - A connection that is *refused*, and a kept one that the server has closed
//!   *before* anything of the next request was sent, are safe. The client looks
//!   for the end of a kept connection just before it writes; if there is one, or
//!   if the kernel takes nothing of the request, it connects again.
//! - A request whose bytes were sent, and which met an end, is *lost*, although
//!   it may have crossed the close of an idle connection. Those are not counted
//!   apart: an end in good order may also come from a server that has read the
//!   request, and the client sees no difference.
//! - So is a connection that was let in and then reset, although nothing was
//!   sent: the kernel had said yes in the server's name.
//! - Pipelined requests behind an answer that said `Connection: close` (or said
//!   so by its version or its framing) were *not processed*. Behind a
//!   connection that ends without such a notice they are lost.
//! - A server is not stopped when its command has ended, but its port still takes
//!   connections, or processes that descend from it run. That round is an error,
//!   and what the drill cuts by killing them is not counted.
//! - An answer with an unexpected status is no loss, and not right either: it is
//!   counted apart, and named.
//! - An answer without a length ends with its connection: a FIN completes it, a
//!   reset truncates it.
//!
//! # Map
//!
//! `args` the options; `target` the URL and its port; `round` one round, by
//! `server` (the process, with `system` below it), `client` (the modes),
//! `connection` and `wire`; `stage` what their threads tell each other;
//! `left_behind` what is there after the stop; `interrupt` Ctrl+C; `tally`
//! fates, classes and sums; `outcome` all rounds; `table`, `json` and `chart`
//! show it.

mod args;
mod chart;
mod client;
mod connection;
mod interrupt;
mod json;
mod left_behind;
mod outcome;
mod round;
mod server;
mod stage;
mod system;
mod table;
mod tally;
mod target;
mod wire;

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Write;
use std::net::IpAddr;

use fastrand::Rng;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

pub use self::args::Options;
use self::client::Mode;
use self::interrupt::Interrupt;
use self::outcome::Outcome;
use self::round::Round;

/// Why a drill ends early: one line for its user, and an exit code.
#[derive(Clone, Debug)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }

    fn error(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 4,
        }
    }

    /// Says in which round it happened. An interrupt has nothing to do with it.
    fn in_round(mut self, mode: Mode, number: usize) -> Self {
        if self.code == 4 {
            self.message = format!("{}, round {number}: {}", mode.name(), self.message);
        }
        self
    }

    fn interrupted() -> Self {
        Self {
            message: "interrupted".to_owned(),
            code: 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Runs the drill, shows what came of it, and gives the exit code.
///
/// The result goes to stdout, the progress and what was wrong to stderr. The
/// codes: 0 nothing was lost; 1 something was lost or truncated; 2 the options
/// cannot be used; 3 nothing was lost, but answers had another status than the
/// expected one; 4 the server did not start, did not answer before the stop,
/// ended before it, did not stop, or outlived its command; 130 interrupted.
///
/// It is for a process of its own, and for one call in it: it takes Ctrl+C for
/// the process, SIGTERM and SIGHUP too, and on Linux the processes that its
/// command leaves behind become this one's children, which it kills.
pub fn run(options: &Options) -> u8 {
    let ips = match check(options) {
        Ok(ips) => ips,
        Err(failure) => {
            complain(&failure.message);
            return failure.code;
        }
    };
    let mut outcome = Outcome::default();
    if let Err(failure) = play(options, &ips, &mut outcome) {
        outcome.failure = Some(failure);
    }
    show(options, &mut outcome);
    outcome.exit_code()
}

/// What clap cannot know. Returns the addresses of the server.
fn check(options: &Options) -> Result<Vec<IpAddr>, Failure> {
    let ips = options.url.resolve().map_err(Failure::usage)?;
    if let Some(ip) = ips.iter().find(|ip| !ip.to_canonical().is_loopback())
        && !options.allow_remote
    {
        return Err(Failure::usage(format!(
            "{} is at {ip}, not on this machine: a server that is not yours is not to be \
             loaded or stopped (see --allow-remote)",
            options.url
        )));
    }
    let asks = |argument: &std::ffi::OsString| argument.to_str().is_some_and(target::asks_for_port);
    if !options.url.picks_port() && options.command.iter().any(asks) {
        return Err(Failure::usage(
            "the command asks for a {port}, which --url does not: http://127.0.0.1:{port}/",
        ));
    }
    if let Some(file) = &options.svg {
        // Better now than after all rounds.
        File::create(file)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.display())))?;
    }
    Ok(ips)
}

/// Plays every round, mode by turn, so that what changes with time changes for
/// all modes alike.
fn play(options: &Options, ips: &[IpAddr], outcome: &mut Outcome) -> Result<(), Failure> {
    let interrupt = Interrupt::handle()?;
    let modes = modes(options);
    let mut rng = Rng::with_seed(options.seed);
    let progress = progress(options, modes.len());
    for number in 1..=options.rounds {
        for &mode in &modes {
            progress.set_message(format!("{}, {} lost", mode.name(), outcome.failed()));
            let target = options.url.target(ips).map_err(Failure::error)?;
            let round = Round {
                options,
                target,
                mode,
                number,
                rng: rng.fork(),
                interrupt: &interrupt,
                progress: &progress,
            };
            let in_round = |failure: Failure| failure.in_round(mode, number);
            let mut played = round.play().map_err(in_round)?;
            played.end = played.end.map_err(in_round);
            let end = played.end.clone();
            outcome.add(mode, number, played);
            end?;
            progress.inc(1);
        }
    }
    Ok(())
}

/// Each mode once, in the order of the command line.
fn modes(options: &Options) -> Vec<Mode> {
    let mut modes: Vec<Mode> = Vec::new();
    for &mode in &options.mode {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    modes
}

/// A bar on stderr, until it is dropped; none where stderr is no terminal, or is the server's too.
fn progress(options: &Options, modes: usize) -> ProgressBar {
    if options.show_output {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rounds, {eta} left; {msg}")
        .expect("the template is a constant, and right");
    ProgressBar::new((options.rounds * modes) as u64).with_style(style)
}

fn show(options: &Options, outcome: &mut Outcome) {
    if let Some(file) = &options.svg
        && let Err(error) = chart::draw(file, options, outcome)
    {
        let message = format!("cannot write {}: {error}", file.display());
        outcome.failure.get_or_insert(Failure::error(message));
    }
    let text = match options.json {
        true => format!("{}\n", json::to_json(options, outcome)),
        false => table::text(options, outcome),
    };
    // A closed stdout changes nothing in what came of the drill.
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    if let Some(failure) = &outcome.failure {
        let hint = match failure.code == 4 && !options.show_output {
            true => " (--show-output shows what the server says)",
            false => "",
        };
        complain(&format!("{failure}{hint}"));
    }
}

fn complain(message: &str) {
    // A closed stderr leaves nothing to be done.
    let _ = writeln!(io::stderr(), "farewell drill: {message}");
}
