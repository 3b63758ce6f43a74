//! The program `farewell`, on the library `farewell`: `farewell DIR` serves a folder,
//! `farewell` alone is a small service for demonstrations, and `farewell drill` tests how
//! any server stops.
//!
//! This package has the options, the log, the routes and the output. The server
//! is the package `farewell`, and the drill is the package `farewell-drill`.
//! `--help` lists the exit codes.

// std's macros panic where the output is closed: see `output`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod access_log;
mod admin;
mod args;
mod bind;
mod browser;
mod commands;
mod config;
mod failure;
mod files;
mod greeting;
mod inherited;
mod listen;
mod live;
mod os;
mod output;
mod qr;
mod restart;
mod routes;
mod serve;
mod signals;
mod stop_access;
mod supervisor;
mod usage;
mod values;

use std::io;
use std::io::Write;
use std::process::ExitCode;

use farewell::Abort;
use farewell::Report;
use farewell::Trigger;

use self::args::Command;
use self::args::Options;
use self::args::ReportFormat;
use self::config::check::check;
use self::failure::Failure;
use self::inherited::Inherited;
use self::os::StandardStream;
use self::output::FlushTime;
use self::output::STDERR;
use self::output::STDOUT;

/// Runs the program. Returns when the output is written or has timed out.
fn main() -> ExitCode {
    let at_once = |code| (code, FlushTime::whole());
    let (code, flush_time) = run().unwrap_or_else(|failure| at_once(failure.report()));
    output::finish(flush_time);
    ExitCode::from(code)
}

/// Runs the program. Returns its exit code, and how long its output may take.
fn run() -> Result<(u8, FlushTime), Failure> {
    let options = match Options::from_command_line()? {
        Ok(options) => options,
        Err(text) => {
            STDOUT.print(format!("{}\n", text.trim_end()));
            return Ok((0, FlushTime::whole()));
        }
    };
    if let Some(command) = &options.command {
        return Ok((run_command(command)?, FlushTime::whole()));
    }
    let inherited = Inherited::take()?;
    output::catch_panic_messages();
    let access_log = match options.check {
        true => None,
        false => access_log::open(&options)?,
    };
    live::init_logger(access_log);
    for warning in Options::unknown_variables().iter().chain(&options.warning) {
        log::warn!("{warning}");
    }
    if options.check {
        print_at_once(check(&options)?)?;
        return Ok((0, FlushTime::whole()));
    }
    let report = serve::serve(&options, access_log.is_some(), inherited)?;
    let flush_time = FlushTime::after_stop(report.duration, options.stop_bound());
    if os::is_ansi_terminal(StandardStream::Stderr) {
        // The live line must be cleared before the report is printed on the
        // same terminal.
        STDERR.flush(flush_time);
    }
    STDOUT.print(match options.report {
        ReportFormat::Text => format!("{report}\n"),
        ReportFormat::Json => format!("{}\n", report.to_json()),
    });
    Ok((exit_code(&report), flush_time))
}

/// Runs what is not the server.
fn run_command(command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Drill(options) => return Ok(farewell_drill::run(options)),
        Command::Completions(options) => print_at_once(commands::completions(options))?,
        Command::Man(options) => print_at_once(commands::man(options)?)?,
    }
    Ok(0)
}

/// Writes to stdout, and waits until it has taken everything. A reader that has seen enough,
/// such as `head`, is no error.
fn print_at_once(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_ref())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::error(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn exit_code(report: &Report) -> u8 {
    match report.abort {
        Some(Abort::Requested(Trigger::Signal)) => 130,
        _ if report.all_answered() && report.threads_left == 0 => 0,
        _ => 3,
    }
}
