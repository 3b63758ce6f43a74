//! Errors of the program: one line on stderr that says what was wrong and what to do, and
//! the exit code.

use std::io;

use super::args::Options;
use super::listen::ListenAddress;
use super::os;
use super::output::STDERR;

/// Why the program ends early: one line for the user, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    /// The command that the line begins with, such as `farewell drill`.
    pub(super) program: &'static str,
    pub(super) message: String,
    pub(super) code: u8,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            program: "farewell",
            message: message.into(),
            code: 2,
        }
    }

    pub(super) fn error(message: impl Into<String>) -> Self {
        Self {
            code: 1,
            ..Self::usage(message)
        }
    }

    /// Adds advice to an error of the library, and names options instead of
    /// fields.
    pub(super) fn from_library(error: &farewell::Error, options: &Options) -> Self {
        Self::of_address("listen", &options.listen, error, options)
    }

    /// As [`from_library`](Self::from_library), for the server that listens on `address`,
    /// the value of the option that sets `field`.
    pub(super) fn of_address(
        field: &str,
        address: &str,
        error: &farewell::Error,
        options: &Options,
    ) -> Self {
        let message = error.to_string();
        match error.io_error() {
            Some(cause) => Self::from_system(message, cause, field, address, options),
            None => Self::usage(format!(
                "{} (see farewell --help)",
                as_option(&message, options)
            )),
        }
    }

    /// Adds advice to an error of the system.
    pub(super) fn from_system(
        message: String,
        cause: &io::Error,
        field: &str,
        address: &str,
        options: &Options,
    ) -> Self {
        let option = options.name(field);
        let is_unix = ListenAddress::new(address).unix_path().is_some();
        if cause.kind() == io::ErrorKind::InvalidInput {
            let right = match is_unix {
                true => "unix:/run/farewell.sock",
                false => "127.0.0.1:8081, or :8081 for all addresses",
            };
            return Self::usage(format!("{message}; write {option} as {right}"));
        }
        let advice = match resource_advice(cause) {
            Some(advice) => advice.to_owned(),
            None if message.starts_with("cannot resolve") => {
                format!("check the host name in {option}, or write its IP address")
            }
            None if !message.starts_with("cannot listen") => return Self::error(message),
            None if is_unix => unix_advice(cause.kind(), &option),
            None => listen_advice(cause.kind(), &option),
        };
        Self::error(format!("{message}; {advice}"))
    }

    /// Adds advice if the system lacks a resource.
    pub(super) fn of_resource(message: String, cause: &io::Error) -> Self {
        match resource_advice(cause) {
            Some(advice) => Self::error(format!("{message}; {advice}")),
            None => Self::error(message),
        }
    }

    /// Prints the line and returns the exit code.
    pub(super) fn report(self) -> u8 {
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
