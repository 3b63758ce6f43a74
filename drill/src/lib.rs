//! Tests the graceful shutdown of any HTTP/1.1 server.
//!
//! One round starts the server's command, sends requests to it, stops it while
//! the clients are sending, and follows every request to its end:
//!
//! ```text
//! Round:  start the command -> ready -> load -> stop -> command ends -> clients end
//!                                         |       |                       |
//! Client: connect, send, read, repeat ----+-------+-----------------------+
//!         every attempt ends in exactly one Outcome, and counts in one Class
//! ```
//!
//! The program `farewell drill` is this library with [`DrillOptions`] as its
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
//!     drill: farewell_drill::DrillOptions,
//! }
//!
//! fn main() -> ExitCode {
//!     ExitCode::from(farewell_drill::run(&Program::parse().drill))
//! }
//! ```
//!
//! The drill shares no code with the server `farewell`: a client with the same
//! bugs as the server would not find them. Its clients are blocking sockets in
//! threads, and it has its own response parser.
//!
//! # What counts as lost
//!
//! - A refused connection is not a loss. Neither is a kept-alive connection that
//!   the server closes before any byte of the next request is sent: the client
//!   checks for the close just before it writes, and connects again if it finds
//!   one or if the kernel accepts no byte of the request.
//! - A request is *lost* if any of its bytes were sent and no byte of a response
//!   came. This includes a request that crosses the server's close of an idle
//!   connection: the client cannot tell it from a request that the server read
//!   and dropped.
//! - A connection that was established and then reset is lost even if nothing was
//!   sent on it: the kernel had accepted it for the server.
//! - Pipelined requests after a response with `Connection: close` (or whose
//!   version or framing implies it) are *unprocessed*. If the connection ends
//!   without such a response, they are lost.
//! - A response with an unexpected status is not a loss. It is counted
//!   separately, and the verdict names the status.
//! - The end of the connection ends a response that has no length: a FIN completes
//!   it, a reset truncates it.
//! - A server has not stopped while its port still accepts connections or one of
//!   its processes still runs, even if its command has ended. Such a round is an
//!   error, and requests that fail because the drill kills these processes are
//!   not counted.
//!
//! # Modules
//!
//! | | |
//! |---|---|
//! | `args`, `target` | the options; the URL and its port |
//! | `round` | one round, from start to end |
//! | `server`, `system` | the server's processes; what differs between systems |
//! | `client`, `connection`, `response` | the load; one TCP connection; the response parser |
//! | `watch` | the state that the threads of a round share |
//! | `left_behind` | what still runs or listens after the stop |
//! | `interrupt` | Ctrl+C |
//! | `outcome`, `result` | how each request ended, and counts of it; all rounds |
//! | `table`, `json`, `chart` | the output |

// std's macros panic where the output is closed.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod chart;
mod client;
mod connection;
mod interrupt;
mod json;
mod left_behind;
mod outcome;
mod response;
mod result;
mod round;
mod server;
mod system;
mod table;
mod target;
mod watch;

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Write;
use std::net::IpAddr;

use fastrand::Rng;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

pub use self::args::DrillOptions;
use self::client::Mode;
use self::interrupt::Interrupt;
use self::result::DrillResult;
use self::round::Round;

/// Why the drill cannot continue: one line for the user, and the exit code.
#[derive(Clone, Debug)]
struct DrillError {
    message: String,
    code: u8,
}

impl DrillError {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 4,
        }
    }

    /// Adds the round to the message, unless the error does not depend on it.
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

impl fmt::Display for DrillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Runs the drill, prints the result, and returns the exit code.
///
/// The result goes to stdout; progress and errors go to stderr.
///
/// | exit code | |
/// |---|---|
/// | 0 | nothing was lost |
/// | 1 | requests were lost or responses truncated |
/// | 2 | the options cannot be used |
/// | 3 | nothing was lost, but some responses had an unexpected status |
/// | 4 | the server did not start, did not answer before the stop, exited before the stop, did not stop, or kept running after its command had ended |
/// | 130 | interrupted by Ctrl+C, SIGTERM or SIGHUP |
///
/// Call it once in a process, and only in a process that does nothing else. It
/// handles SIGINT, SIGTERM and SIGHUP for the whole process. On Linux the process
/// also becomes the parent of every process that the server's command leaves
/// behind, and kills it.
pub fn run(options: &DrillOptions) -> u8 {
    let ips = match check(options) {
        Ok(ips) => ips,
        Err(error) => {
            print_error(&error.message);
            return error.code;
        }
    };
    let mut result = DrillResult::default();
    if let Err(error) = run_rounds(options, &ips, &mut result) {
        result.error = Some(error);
    }
    print_result(options, &mut result);
    result.exit_code()
}

/// Checks what clap cannot check, and returns the addresses of the server.
fn check(options: &DrillOptions) -> Result<Vec<IpAddr>, DrillError> {
    let ips = options.url.resolve().map_err(DrillError::usage)?;
    if let Some(ip) = ips.iter().find(|ip| !ip.to_canonical().is_loopback())
        && !options.allow_remote
    {
        return Err(DrillError::usage(format!(
            "{} is at {ip}, which is not on this machine; if the server is yours to load and \
             stop, add --allow-remote",
            options.url
        )));
    }
    let needs_port =
        |argument: &std::ffi::OsString| argument.to_str().is_some_and(target::has_placeholder);
    if !options.url.picks_port() && options.command.iter().any(needs_port) {
        return Err(DrillError::usage(
            "the command contains {port}, but --url does not: write --url http://127.0.0.1:{port}/",
        ));
    }
    if let Some(file) = &options.svg {
        // A file that cannot be written is reported before the first round.
        File::create(file).map_err(|error| {
            DrillError::usage(format!("cannot write {}: {error}", file.display()))
        })?;
    }
    Ok(ips)
}

/// Runs every round. The modes alternate, so that a machine that gets slower or
/// faster over time affects all modes alike.
fn run_rounds(
    options: &DrillOptions,
    ips: &[IpAddr],
    result: &mut DrillResult,
) -> Result<(), DrillError> {
    let interrupt = Interrupt::handle()?;
    let modes = modes(options);
    let mut rng = Rng::with_seed(options.seed);
    let progress = progress(options, modes.len());
    for number in 1..=options.rounds {
        for &mode in &modes {
            progress.set_message(format!(
                "{}, {} lost",
                mode.name(),
                result.lost_or_truncated()
            ));
            let target = options.url.target(ips).map_err(DrillError::failed)?;
            let round = Round {
                options,
                target,
                mode,
                number,
                rng: rng.fork(),
                interrupt: &interrupt,
                progress: &progress,
            };
            let in_round = |error: DrillError| error.in_round(mode, number);
            let mut round_result = round.run().map_err(in_round)?;
            round_result.end = round_result.end.map_err(in_round);
            let end = round_result.end.clone();
            result.add(mode, number, round_result);
            end?;
            progress.inc(1);
        }
    }
    Ok(())
}

/// Each mode once, in the order of the command line.
fn modes(options: &DrillOptions) -> Vec<Mode> {
    let mut modes: Vec<Mode> = Vec::new();
    for &mode in &options.mode {
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    modes
}

/// A progress bar on stderr until it is dropped. It is hidden if stderr is not a
/// terminal, or if the server's output goes there too.
fn progress(options: &DrillOptions, modes: usize) -> ProgressBar {
    if options.show_output {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rounds, {eta} left; {msg}")
        .expect("the template is a valid constant");
    ProgressBar::new((options.rounds * modes) as u64).with_style(style)
}

fn print_result(options: &DrillOptions, result: &mut DrillResult) {
    if let Some(file) = &options.svg
        && let Err(error) = chart::draw(file, options, result)
    {
        let message = format!("cannot write {}: {error}", file.display());
        result.error.get_or_insert(DrillError::failed(message));
    }
    let text = match options.json {
        true => format!("{}\n", json::to_json(options, result)),
        false => table::text(options, result),
    };
    // A closed stdout does not change the exit code.
    let mut stdout = io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    if let Some(error) = &result.error {
        let hint = match error.code == 4 && !options.show_output {
            true => " (--show-output shows the server's output)",
            false => "",
        };
        print_error(&format!("{error}{hint}"));
    }
}

fn print_error(message: &str) {
    // If stderr is closed, there is no other place for the message.
    let _ = writeln!(io::stderr(), "farewell drill: {message}");
}
