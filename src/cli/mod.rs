//! The program around the library: options, signals, log, output.

mod args;
mod live;
mod permit;
mod report;
mod routes;

use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use farewell::Abort;
use farewell::Report;
use farewell::Server;
use farewell::ShutdownHandle;
use farewell::Trigger;

use crate::drill;

use self::args::Command;
use self::args::Options;
use self::args::ReportFormat;
use self::permit::Permit;

/// Why the program ends early: one line for its user, and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The command that it is about.
    command: &'static str,
    message: String,
    code: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            command: "farewell",
            message: message.into(),
            code: 2,
        }
    }

    fn error(message: impl Into<String>) -> Self {
        Self {
            command: "farewell",
            message: message.into(),
            code: 1,
        }
    }

    /// Prints the line, and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(io::stderr(), "{}: {}", self.command, self.message);
        ExitCode::from(self.code)
    }
}

impl From<farewell::Error> for Failure {
    fn from(error: farewell::Error) -> Self {
        use io::ErrorKind;

        let message = error.to_string();
        match error.io_error().map(io::Error::kind) {
            None => Self::usage(format!("{} (see --help)", as_option(&message))),
            Some(ErrorKind::InvalidInput) => {
                Self::usage(format!("{message}; write it as 127.0.0.1:8081"))
            }
            Some(_) => Self::error(format!("{message}; choose another with --listen")),
        }
    }
}

/// A message that begins with the name of a field, with that of the option.
fn as_option(message: &str) -> String {
    let (field, rest) = message.split_once(' ').unwrap_or((message, ""));
    format!("--{} {rest}", field.replace('_', "-"))
}

/// Runs the program to its exit code.
pub(crate) fn run() -> Result<u8, Failure> {
    let options = match Options::from_command_line()? {
        Ok(options) => options,
        Err(text) => {
            say(text.trim_end());
            return Ok(0);
        }
    };
    if let Some(Command::Drill(options)) = &options.command {
        return Ok(drill::run(options));
    }
    live::init_logger();
    let permit = Permit::from_options(&options)?;
    let server = Server::bind(options.listen.as_str(), options.config())?;
    let stop = server.shutdown_handle();
    let signals = Signals::handle(stop.clone())?;

    say(&greeting(&server, &options, &permit));
    let live = live::narrate(stop.clone(), &signals);
    let handler = routes::handler(stop, permit, &options);
    let report = server.serve(handler)?;
    live.join();

    say(&match options.report {
        ReportFormat::Text => report.to_string(),
        ReportFormat::Json => report::to_json(&report).to_string(),
    });
    Ok(exit_code(&report))
}

fn exit_code(report: &Report) -> u8 {
    match report.abort {
        Some(Abort::Demand(Trigger::Signal)) => 130,
        _ if report.everyone_answered() => 0,
        _ => 3,
    }
}

/// How close together two signals are one: `timeout` and other supervisors
/// signal a process and then its group, which reaches it twice.
const BOUNCE: Duration = Duration::from_millis(200);

/// What the signals of this process ask for.
///
/// The first drains; the second cuts. A drain that `/shutdown` began is not cut
/// by the first signal: an orchestrator that calls `/shutdown` and then sends
/// SIGTERM means one stop, not two.
#[derive(Debug, Default)]
struct Signals {
    first: OnceLock<Instant>,
}

impl Signals {
    /// Has every signal from here on stop the server.
    fn handle(stop: ShutdownHandle) -> Result<Arc<Self>, Failure> {
        let signals = Arc::new(Self::default());
        let here = Arc::clone(&signals);
        ctrlc::set_handler(move || here.received(&stop))
            .map_err(|error| Failure::error(format!("cannot handle signals: {error}")))?;
        Ok(signals)
    }

    fn received(&self, stop: &ShutdownHandle) {
        let now = Instant::now();
        let first = *self.first.get_or_init(|| now);
        if first == now {
            if !stop.shutdown_by(Trigger::Signal) {
                log::info!("a signal: stopping already; once more to stop at once");
            }
        } else if now.duration_since(first) >= BOUNCE {
            stop.abort_by(Trigger::Signal);
        }
    }

    fn seen(&self) -> bool {
        self.first.get().is_some()
    }
}

fn greeting(server: &Server, options: &Options, permit: &Permit) -> String {
    let address = server.local_addr();
    let mut local = address;
    if address.ip().is_unspecified() {
        local.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let url = format!("http://{local}/shutdown");
    let how = match (options.no_shutdown_route, permit) {
        (true, _) => "Ctrl+C".to_owned(),
        (false, Permit::Loopback) => format!("curl {url}  or Ctrl+C"),
        (false, Permit::Bearer(_)) => {
            format!("curl -H 'Authorization: Bearer TOKEN' {url}  or Ctrl+C")
        }
    };
    format!(
        "farewell {} listening on http://{address} ({})\n\
         stop it with: {how}; twice to stop at once",
        env!("CARGO_PKG_VERSION"),
        counted(server.config().workers, "worker"),
    )
}

/// Prints for the program's user. A closed stdout is no reason to stop
/// serving.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        log::warn!("cannot write to stdout: {error}");
    }
}

/// `1 request`, `2 requests`.
fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// The seconds until what is left is cut.
fn seconds_left(stop: &ShutdownHandle) -> f64 {
    let left = |at: Instant| at.saturating_duration_since(Instant::now());
    stop.deadline().map_or(Duration::ZERO, left).as_secs_f64()
}
