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

use std::process::ExitCode;
use std::time::Instant;

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
use self::output::STDERR;
use self::output::STDOUT;

/// Runs the program. Returns when the output is written or has timed out.
fn main() -> ExitCode {
    let code = run().unwrap_or_else(Failure::report);
    output::finish();
    ExitCode::from(code)
}

/// Runs the program and returns its exit code.
fn run() -> Result<u8, Failure> {
    let options = match Options::from_command_line()? {
        Ok(options) => options,
        Err(text) => {
            STDOUT.print(format!("{}\n", text.trim_end()));
            return Ok(0);
        }
    };
    if let Some(command) = &options.command {
        return run_command(command);
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
        STDOUT.print(check(&options)?);
        return Ok(0);
    }
    let report = serve::serve(&options, access_log.is_some(), inherited)?;
    if os::is_ansi_terminal(StandardStream::Stderr) {
        // The live line must be cleared before the report is printed on the
        // same terminal.
        STDERR.flush(Instant::now());
    }
    STDOUT.print(match options.report {
        ReportFormat::Text => format!("{report}\n"),
        ReportFormat::Json => format!("{}\n", report.to_json()),
    });
    Ok(exit_code(&report))
}

/// Runs what is not the server.
fn run_command(command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Drill(options) => return Ok(farewell_drill::run(options)),
        Command::Completions(options) => STDOUT.print(commands::completions(options)),
        Command::Man(options) => STDOUT.print(commands::man(options)?),
    }
    Ok(0)
}

fn exit_code(report: &Report) -> u8 {
    match report.abort {
        Some(Abort::Requested(Trigger::Signal)) => 130,
        _ if report.all_answered() && report.threads_left == 0 => 0,
        _ => 3,
    }
}
