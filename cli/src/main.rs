//! The program `farewell`, on the library `farewell`: `farewell DIR` serves a folder,
//! `farewell` alone is a small service for demonstrations, and `farewell drill` tests how
//! any server stops.
//!
//! This package has the options, the log, the routes and the output. The server
//! is the package `farewell`, and the drill is the package `farewell-drill`.
//! `--help` lists the exit codes.

// std's macros panic where the output is closed: see `output`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod browser;
mod files;
mod listen;
mod live;
mod os;
mod output;
mod qr;
mod routes;
mod stop_access;
mod usage;
mod values;

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::time::Instant;

use farewell::Abort;
use farewell::LocalAddr;
use farewell::Report;
use farewell::Server;
use farewell::StopAccess;
use farewell::StopRoutes;
use farewell::Trigger;

use self::args::Command;
use self::args::Options;
use self::args::ReportFormat;
use self::files::Folder;
use self::files::Urls;
use self::listen::ListenAddress;
use self::os::StandardStream;
use self::output::STDERR;
use self::output::STDOUT;

/// Why the program ends early: one line for the user, and the exit code.
#[derive(Debug)]
struct Failure {
    /// The command that the line begins with, such as `farewell drill`.
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

    /// Adds advice to an error of the library, and names options instead of
    /// fields.
    fn from_library(error: &farewell::Error, options: &Options) -> Self {
        let message = error.to_string();
        match error.io_error() {
            Some(cause) => Self::from_system(message, cause, options),
            None => Self::usage(format!(
                "{} (see farewell --help)",
                as_option(&message, options)
            )),
        }
    }

    /// Adds advice to an error of the system.
    fn from_system(message: String, cause: &io::Error, options: &Options) -> Self {
        let listen = options.name("listen");
        let is_unix = ListenAddress::new(&options.listen).unix_path().is_some();
        if cause.kind() == io::ErrorKind::InvalidInput {
            let right = match is_unix {
                true => "unix:/run/farewell.sock",
                false => "127.0.0.1:8081, or :8081 for all addresses",
            };
            return Self::usage(format!("{message}; write {listen} as {right}"));
        }
        let advice = match resource_advice(cause) {
            Some(advice) => advice.to_owned(),
            None if message.starts_with("cannot resolve") => {
                format!("check the host name in {listen}, or write its IP address")
            }
            None if !message.starts_with("cannot listen") => return Self::error(message),
            None if is_unix => unix_advice(cause.kind(), &listen),
            None => listen_advice(cause.kind(), &listen),
        };
        Self::error(format!("{message}; {advice}"))
    }

    /// Prints the line and returns the exit code.
    fn report(self) -> u8 {
        STDERR.print(format!("{}: {}\n", self.program, self.message));
        self.code
    }
}

/// Advice for an exhausted resource of the process or of the system.
fn resource_advice(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        os::PROCESS_FILES_EXHAUSTED => {
            Some("raise the limit on open files (ulimit -n) to at least 64")
        }
        os::SYSTEM_FILES_EXHAUSTED => {
            Some("raise the system-wide limit on open files (sysctl fs.file-max)")
        }
        os::THREADS_EXHAUSTED => {
            Some("raise the limit on threads (ulimit -u, or the container's), or lower --workers")
        }
        _ => None,
    }
}

/// Advice for an address that cannot be listened on.
fn listen_advice(error: io::ErrorKind, listen: &str) -> String {
    use io::ErrorKind;

    match error {
        ErrorKind::AddrInUse => {
            format!("is another instance running? choose another address with {listen}")
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine does not have the address: choose another with {listen}")
        }
        ErrorKind::PermissionDenied => {
            format!("ports below 1024 need privileges: choose another with {listen}")
        }
        _ => format!("choose another address with {listen}"),
    }
}

/// Advice for a path at which no unix socket can be created.
fn unix_advice(error: io::ErrorKind, listen: &str) -> String {
    match error {
        io::ErrorKind::AddrInUse => {
            format!("is another instance running? choose another path with {listen}")
        }
        _ => format!("choose another path with {listen}"),
    }
}

/// Replaces the names of the library's fields in a message by the options or
/// environment variables that set them. The first word is always such a name.
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
    if let Some(Command::Drill(options)) = &options.command {
        return Ok(farewell_drill::run(options));
    }
    output::catch_panic_messages();
    live::init_logger();
    if let Some(warning) = Options::unknown_variables() {
        log::warn!("{warning}");
    }
    let by_token = stop_access::by_token(&options)?;
    let needs_token = by_token.is_some();
    let failure = |error| Failure::from_library(&error, &options);
    let folder = Folder::open(&options)?;
    let server = bind(&options)?;
    let stop = server.shutdown_handle();
    let signals = server
        .stop_on_signals()
        .map_err(|error| Failure::error(error.to_string()))?;

    STDOUT.print(greeting(&server, &options, folder.as_ref(), needs_token));
    if let Some(urls) = Urls::of(&server.local_addr()) {
        show(&urls, &options);
    }
    let progress = live::show_progress(stop.clone(), signals);
    let routes = StopRoutes::new(stop, by_token.unwrap_or_else(StopAccess::loopback));
    let report = match folder {
        Some(folder) => server.serve(folder.handler(&routes, &options)),
        None => server.serve(routes::handler(&routes, &options)),
    };
    let report = report.map_err(failure)?;
    progress.join();

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

fn bind(options: &Options) -> Result<Server, Failure> {
    let (listen, config) = (ListenAddress::new(&options.listen), options.config());
    let failure = |error| Failure::from_library(&error, options);
    if let Some(path) = listen.unix_path() {
        #[cfg(unix)]
        return Server::bind_unix(path, config).map_err(failure);
        #[cfg(not(unix))]
        return Err(Failure::usage(format!(
            "cannot listen on unix:{}: this system has no unix sockets",
            path.display()
        )));
    }
    // The library does not know the text that was resolved, and could not name it.
    let resolved = listen.to_socket_addrs().map_err(|error| {
        Failure::from_system(format!("cannot resolve {listen}: {error}"), &error, options)
    })?;
    Server::bind(resolved.as_slice(), config).map_err(failure)
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

fn greeting(
    server: &Server,
    options: &Options,
    folder: Option<&Folder>,
    needs_token: bool,
) -> String {
    let address = server.local_addr();
    let all_addresses = match address.ip() {
        Some(IpAddr::V4(ip)) if ip.is_unspecified() => "; on all IPv4 addresses",
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => "; on all addresses",
        _ => "",
    };
    let route = !options.no_shutdown_route;
    let (curl, missing_token) = match (needs_token, curl_target(&address, needs_token)) {
        _ if !route => (String::new(), ""),
        (true, Some(target)) => (
            format!("curl -H 'Authorization: Bearer TOKEN' {target}  or "),
            "",
        ),
        (false, Some(target)) => (format!("curl {target}  or "), ""),
        (_, None) => (
            String::new(),
            " (on this address, /shutdown needs --shutdown-token-file)",
        ),
    };
    let scheme = match address {
        LocalAddr::Inet(_) => "http://",
        _ => "",
    };
    let serving = match (folder, Urls::of(&address)) {
        (None, _) => String::new(),
        (Some(folder), Some(urls)) => format!("serving {} at {}\n", folder.shown(), urls.listed()),
        (Some(folder), None) => format!("serving {}\n", folder.shown()),
    };
    format!(
        "farewell {} listening on {scheme}{address} ({}{all_addresses})\n{serving}\
         stop it with: {curl}Ctrl+C; twice to stop at once{missing_token}\n",
        env!("CARGO_PKG_VERSION"),
        counted(server.config().workers, "worker"),
    )
}

/// The arguments with which `curl` on this machine can stop the program. Without a
/// token, only requests to a loopback address can, so there are none for another address
/// or a unix socket.
fn curl_target(listening: &LocalAddr, needs_token: bool) -> Option<String> {
    let listening = match listening {
        LocalAddr::Inet(address) => address,
        LocalAddr::Unix(path) if needs_token => {
            let path = quoted(&path.to_string_lossy());
            return Some(format!("--unix-socket {path} http://localhost/shutdown"));
        }
        _ => return None,
    };
    let (ip, port) = (listening.ip(), listening.port());
    let host = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(ip) if ip.is_unspecified() => "localhost".to_owned(),
        ip if !needs_token && !ip.to_canonical().is_loopback() => return None,
        IpAddr::V4(ip) => ip.to_string(),
        // Without quotes, a shell could take the brackets for a pattern.
        IpAddr::V6(_) => return Some(format!("'http://{listening}/shutdown'")),
    };
    Some(format!("http://{host}:{port}/shutdown"))
}

/// A word for a shell, in quotes if it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// As in `1 request` and `2 requests`.
fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
