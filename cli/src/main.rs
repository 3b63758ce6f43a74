//! The program `farewell`: a small service on the library, and a way to see it
//! stop; and `farewell drill`, which sees how any server stops.
//!
//! What is here is the program's own: options, signals, log, routes, output. The
//! server is the package `farewell`, the drill the package `farewell-drill`.
//!
//! Exit codes of the service: 0 everyone was answered; 1 an error (address in use, say);
//! 2 wrong usage; 3 the deadline, or `/shutdown?now`, cut somebody or turned
//! them away; 130 a second signal stopped it at once.

mod args;
mod listen;
mod live;
mod os;
mod output;
mod permit;
mod report;
mod routes;
mod usage;
mod values;

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use farewell::Abort;
use farewell::Report;
use farewell::Server;
use farewell::ShutdownHandle;
use farewell::Trigger;

use self::args::Command;
use self::args::Options;
use self::args::ReportFormat;
use self::listen::Listen;
use self::os::Stream;
use self::output::STDERR;
use self::output::STDOUT;
use self::permit::Permit;

/// Why the program ends early: one line for its user, and an exit code.
#[derive(Debug)]
struct Failure {
    /// The part of the program that it is about: `farewell drill`, say.
    program: &'static str,
    message: String,
    code: u8,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            program: "farewell",
            message: message.into(),
            code: 2,
        }
    }

    fn error(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            ..Self::usage(message)
        }
    }

    /// What the library says to these options, and what to do about it.
    fn of_library(error: &farewell::Error, options: &Options) -> Self {
        let message = error.to_string();
        let Some(cause) = error.io_error() else {
            return Self::usage(format!(
                "{} (see farewell --help)",
                as_option(&message, options)
            ));
        };
        let listen = options.name("listen");
        if cause.kind() == io::ErrorKind::InvalidInput {
            return Self::usage(format!(
                "{message}; write {listen} as 127.0.0.1:8081, or :8081 for all addresses"
            ));
        }
        let hint = match hint(cause) {
            Some(hint) => hint.to_owned(),
            None if !message.starts_with("cannot listen") => return Self::error(message),
            None => listen_hint(cause.kind(), &listen),
        };
        Self::error(format!("{message}; {hint}"))
    }

    /// Prints the line, and gives the code.
    fn report(self) -> u8 {
        STDERR.print(format!("{}: {}\n", self.program, self.message));
        self.code
    }
}

/// What helps where something of the process or of the system is used up.
fn hint(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        os::PROCESS_FILES_USED_UP => {
            Some("allow the process more open files (ulimit -n), 64 at least")
        }
        os::SYSTEM_FILES_USED_UP => {
            Some("the whole system has too many files open (sysctl fs.file-max)")
        }
        os::THREADS_USED_UP => {
            Some("allow more threads (ulimit -u, or the container's limit), or use fewer --workers")
        }
        _ => None,
    }
}

/// What helps where an address cannot be listened on.
fn listen_hint(error: io::ErrorKind, listen: &str) -> String {
    use io::ErrorKind;

    match error {
        ErrorKind::AddrInUse => {
            format!("is another instance running? choose another address with {listen}")
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address: choose another with {listen}")
        }
        ErrorKind::PermissionDenied => {
            format!("ports below 1024 need a privilege: choose another with {listen}")
        }
        _ => format!("choose another address with {listen}"),
    }
}

/// A message that begins with the name of a field, with that of the option or
/// of the variable that set it; other fields that it names likewise.
fn as_option(message: &str, options: &Options) -> String {
    let mut words = message.split(' ');
    let first = words.next().map(|field| options.name(field));
    let others = words.map(|word| match word.trim_end_matches([':', ';', ',']) {
        field if field.contains('_') => word.replace(field, &options.name(field)),
        _ => word.to_owned(),
    });
    first
        .into_iter()
        .chain(others)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The whole program. Returns its exit code once what it has printed is
/// written, or can be waited for no longer.
fn main() -> ExitCode {
    let code = run().unwrap_or_else(Failure::report);
    output::finish();
    ExitCode::from(code)
}

/// Runs the program to its exit code.
fn run() -> Result<u8, Failure> {
    let options = match Options::from_command_line()? {
        Ok(options) => options,
        Err(text) => {
            STDOUT.print(format!("{}\n", text.trim_end()));
            return Ok(0);
        }
    };
    if let Some(Command::Drill(options)) = &options.command {
        return Ok(farewell_drill::run(options));
    }
    output::catch_panic_messages();
    live::init_logger();
    let permit = Permit::from_options(&options)?;
    let failure = |error| Failure::of_library(&error, &options);
    let listen = Listen::new(&options.listen);
    let server = Server::bind(listen, options.config()).map_err(failure)?;
    let stop = server.shutdown_handle();
    let signals = server
        .stop_on_signals()
        .map_err(|error| Failure::error(error.to_string()))?;

    STDOUT.print(greeting(&server, &options, &permit));
    let live = live::narrate(stop.clone(), signals);
    let handler = routes::handler(stop, permit, &options);
    let report = server.serve(handler).map_err(failure)?;
    live.join();

    if os::is_screen(Stream::Stderr) {
        // The live line is cleared before the report comes to the same screen.
        STDERR.flush(Instant::now());
    }
    STDOUT.print(match options.report {
        ReportFormat::Text => format!("{report}\n"),
        ReportFormat::Json => format!("{}\n", report::to_json(&report)),
    });
    Ok(exit_code(&report))
}

fn exit_code(report: &Report) -> u8 {
    match report.abort {
        Some(Abort::Requested(Trigger::Signal)) => 130,
        _ if report.all_answered() && report.threads_left == 0 => 0,
        _ => 3,
    }
}

fn greeting(server: &Server, options: &Options, permit: &Permit) -> String {
    let address = server.local_addr();
    let everywhere = match address.ip().is_unspecified() {
        true if address.is_ipv4() => "; on all IPv4 addresses",
        true => "; on all addresses",
        false => "",
    };
    let route = !options.no_shutdown_route;
    let (how, not_here) = match (permit, stop_url(address, permit)) {
        _ if !route => (String::new(), ""),
        (Permit::Bearer(_), Some(url)) => (
            format!("curl -H 'Authorization: Bearer TOKEN' {url}  or "),
            "",
        ),
        (Permit::Loopback, Some(url)) => (format!("curl {url}  or "), ""),
        (_, None) => (
            String::new(),
            " (on this address, /shutdown needs --shutdown-token-file)",
        ),
    };
    format!(
        "farewell {} listening on http://{address} ({}{everywhere})\n\
         stop it with: {how}Ctrl+C; twice to stop at once{not_here}\n",
        env!("CARGO_PKG_VERSION"),
        counted(server.config().workers, "worker"),
    )
}

/// Where a client on this machine may stop the program; `None` if it may
/// nowhere: the program takes a stop without a token from a loopback address
/// only.
fn stop_url(listening: SocketAddr, permit: &Permit) -> Option<String> {
    let (ip, port) = (listening.ip(), listening.port());
    let local_only = matches!(permit, Permit::Loopback);
    let host = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(ip) if ip.is_unspecified() => "localhost".to_owned(),
        ip if local_only && !ip.to_canonical().is_loopback() => return None,
        IpAddr::V4(ip) => ip.to_string(),
        // A shell may take brackets for a pattern.
        IpAddr::V6(_) => return Some(format!("'http://{listening}/shutdown'")),
    };
    Some(format!("http://{host}:{port}/shutdown"))
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
