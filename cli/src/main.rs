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
mod signals;
mod stop_access;
mod supervisor;
mod usage;
mod values;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use farewell::Abort;
use farewell::Report;
use farewell::Server;
use farewell::Trigger;

use self::admin::Admin;
use self::admin::Operators;
use self::args::Command;
use self::args::Options;
use self::args::ReportFormat;
use self::config::check::check;
use self::failure::Failure;
use self::files::Folder;
use self::files::Urls;
use self::inherited::Inherited;
use self::inherited::Listening;
use self::inherited::Role;
use self::os::StandardStream;
use self::output::STDERR;
use self::output::STDOUT;
use self::restart::Restarts;
use self::supervisor::Supervisor;

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
    let mut inherited = Inherited::take()?;
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
    let restarts = Restarts::accept_requests()?;
    let token = stop_access::by_token(&options)?;
    let failure = |error| Failure::from_library(&error, &options);
    let folder = Folder::open(&options)?;
    let socket = inherited.socket(Role::Main);
    let server = bind::bind(
        "listen",
        &options.listen,
        socket,
        options.config(),
        &options,
    )?;
    let admin = admin::bind(
        &options,
        &server.local_addr(),
        inherited.socket(Role::Admin),
    )?;
    inherited.close_unused();
    let admin_address = admin.as_ref().map(Server::local_addr);
    let of_admin = admin.iter().map(|admin| (Role::Admin, admin));
    let servers = [(Role::Main, &server)].into_iter().chain(of_admin);
    let listening = servers.map(|(role, server)| Listening {
        role,
        listener: server.listener_handle(),
    });
    let listening: Vec<Listening> = listening.collect();
    let stop = server.shutdown_handle();
    let supervisor = Arc::new(Supervisor::of_environment(&stop, server.config()));
    // SIGHUP reopens the file of the access log.
    let signals = match access_log {
        Some(_) => server.stop_on_interrupt_and_terminate(),
        None => server.stop_on_signals(),
    };
    let signals = signals.map_err(|error| Failure::error(error.to_string()))?;

    STDOUT.print(greeting::greeting(
        &server,
        &options,
        folder.as_ref(),
        admin_address.as_ref(),
        token.is_some(),
    ));
    if let Some(urls) = Urls::of(&server.local_addr()) {
        show(&urls, &options);
    }
    let progress = live::show_progress(stop.clone(), signals);
    let operators = Operators::new(&server, admin_address.as_ref(), token, &options);
    let admin = admin
        .map(|server| Admin::start(server, &operators))
        .transpose()?;
    let on_main = admin.is_none().then_some(&operators);
    let predecessor = inherited.predecessor.take();
    restarts.begin(stop, listening, predecessor, &supervisor, &options)?;
    let report = match folder {
        Some(folder) => server.serve(folder.handler(on_main)),
        None => server.serve(routes::handler(on_main, &options)),
    };
    if let Some(admin) = admin {
        admin.stop();
    }
    restarts.end();
    let report = report.map_err(failure)?;
    progress.join();
    supervisor.end();

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

/// Does what `--qr` and `--open` ask for.
fn show(urls: &Urls, options: &Options) {
    if options.files.qr {
        if urls.elsewhere.is_none() {
            let (qr, listen) = (options.name("qr"), options.name("listen"));
            log::warn!(
                "{qr} shows a URL of this machine alone: with {listen} :8081, a phone can connect"
            );
        }
        let in_colours = os::is_ansi_terminal(StandardStream::Stdout);
        STDOUT.print(qr::code(urls.best(), in_colours).unwrap_or_default());
    }
    if options.files.open {
        browser::open(&urls.here);
    }
}

fn exit_code(report: &Report) -> u8 {
    match report.abort {
        Some(Abort::Requested(Trigger::Signal)) => 130,
        _ if report.all_answered() && report.threads_left == 0 => 0,
        _ => 3,
    }
}
