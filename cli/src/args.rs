//! The program's options, from the command line and the environment.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use farewell::Config;

use super::failure::Failure;
use super::files::FileOptions;
use super::usage;
use super::values::bytes;
use super::values::count;
use super::values::duration;
use super::values::flag;

/// Serves a folder over HTTP/1.1, and answers every request before it stops.
///
/// Without DIR, it is a service for demonstrations. Every option can also be set by an environment variable; the command line
/// takes precedence. A DURATION is written as 500ms, 10s or 1m; a SIZE in bytes,
/// or as 64KiB, 2MiB or 1GiB.
#[derive(Debug, Parser)]
#[command(
    name = "farewell",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Folder to serve. A folder with the name of a command is written with its
    /// path, as in ./drill.
    #[arg(value_name = "DIR", env = "FAREWELL_DIR")]
    pub(super) dir: Option<PathBuf>,

    /// Address and port to listen on. A port alone, as in :8081, means all
    /// addresses of this machine; port 0 picks a free port. For a unix socket, its
    /// path, as in unix:/run/farewell.sock.
    #[arg(
        long,
        value_name = "ADDR",
        env = "FAREWELL_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    pub(super) listen: String,

    /// Address and port, or unix socket, of a listener for operators, which answers
    /// /shutdown, /healthz, /readyz and /metrics while every worker is busy. Without it,
    /// --listen serves them.
    #[arg(long, value_name = "ADDR", env = "FAREWELL_ADMIN")]
    pub(super) admin: Option<String>,

    /// Number of threads that run handlers [default: 8 for each core, at least
    /// 16].
    #[arg(long, value_name = "N", env = "FAREWELL_WORKERS", value_parser = count)]
    workers: Option<usize>,

    /// Most open connections at a time; further ones wait in the kernel's
    /// accept queue [default: 10000, or fewer if the limit on open files is
    /// lower].
    #[arg(long, value_name = "N", env = "FAREWELL_MAX_CONNECTIONS", value_parser = count)]
    max_connections: Option<usize>,

    /// Most open connections from one client address; further ones get a 429
    /// [default: no limit].
    #[arg(long, value_name = "N", env = "FAREWELL_CONNECTIONS_PER_PEER", value_parser = count)]
    connections_per_peer: Option<usize>,

    /// Largest request body; a larger one gets a 413 [default: 2MiB].
    #[arg(long, value_name = "SIZE", env = "FAREWELL_BODY_BYTES_MAX", value_parser = bytes)]
    body_bytes_max: Option<u64>,

    /// Longest time of a stop, after --lame-duck, until requests that are not
    /// answered yet are cut; the stop ends at most twice --linger later
    /// [default: 5s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_DRAIN_TIMEOUT", value_parser = duration)]
    drain_timeout: Option<Duration>,

    /// Time during a stop, after --lame-duck, in which an idle connection may
    /// still send a request before it is closed; --drain-timeout ends it earlier
    /// [default: 500ms].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LAST_CALL", value_parser = duration)]
    last_call: Option<Duration>,

    /// Longest time to wait, after the last response on a connection, for a
    /// silent client to close its side; a shorter --linger-max ends it earlier
    /// [default: 2s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LINGER", value_parser = duration)]
    linger: Option<Duration>,

    /// Longest time to keep reading and discarding, after the last response on
    /// a connection, what the client is still sending [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LINGER_MAX", value_parser = duration)]
    linger_max: Option<Duration>,

    /// Longest time that a stop waits for TCP handshakes that began before it
    /// [default: 250ms].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_HANDSHAKE_GRACE", value_parser = duration)]
    handshake_grace: Option<Duration>,

    /// Time to keep serving after a stop is requested, while /readyz answers
    /// 503, so that load balancers stop sending requests here [default: 0s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LAME_DUCK", value_parser = duration)]
    lame_duck: Option<Duration>,

    /// Longest time that a connection may stay open without a request [default:
    /// 1m].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_IDLE_TIMEOUT", value_parser = duration)]
    idle_timeout: Option<Duration>,

    /// Longest time from the first to the last byte of a request's head; then
    /// the request gets a 408 [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_HEAD_TIMEOUT", value_parser = duration)]
    head_timeout: Option<Duration>,

    /// Longest time in which a request body may make no progress of at least
    /// --rate-min bytes a second; then the request gets a 408 [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_BODY_TIMEOUT", value_parser = duration)]
    body_timeout: Option<Duration>,

    /// Longest time in which a client may read its response at less than
    /// --rate-min bytes a second; then the connection is cut [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_WRITE_TIMEOUT", value_parser = duration)]
    write_timeout: Option<Duration>,

    /// Lowest rate in bytes a second at which a client must send a body or read
    /// a response, averaged over --body-timeout or --write-timeout; with 0, any
    /// byte counts as progress [default: 2KiB].
    #[arg(long, value_name = "SIZE", env = "FAREWELL_RATE_MIN", value_parser = bytes)]
    rate_min: Option<u64>,

    /// Log a line for each request, with target farewell::access and level
    /// info: the Common Log Format, and the seconds that the request took.
    #[arg(long, env = "FAREWELL_ACCESS_LOG", value_parser = flag)]
    access_log: bool,

    /// Time that each "Hello" response takes, to simulate work. Not with DIR.
    #[arg(long, value_name = "DURATION", env = "FAREWELL_WORK", value_parser = duration, default_value = "0s")]
    pub(super) work: Duration,

    /// File with a token that a request for /shutdown must send, as
    /// Authorization: Bearer TOKEN. The variable FAREWELL_SHUTDOWN_TOKEN can
    /// hold the token itself instead. Without a token, any client on this
    /// machine may stop the program.
    #[arg(long, value_name = "FILE", env = "FAREWELL_SHUTDOWN_TOKEN_FILE")]
    pub(super) shutdown_token_file: Option<PathBuf>,

    /// Do not serve /shutdown: only signals stop the program.
    #[arg(long, env = "FAREWELL_NO_SHUTDOWN_ROUTE", value_parser = flag)]
    pub(super) no_shutdown_route: bool,

    /// Format of the report that is printed on stdout at the end.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FAREWELL_REPORT",
        default_value = "text"
    )]
    pub(super) report: ReportFormat,

    /// The options that environment variables have set, by the names of their
    /// fields.
    #[arg(skip)]
    by_variable: Vec<String>,

    /// The field of an option that is for a folder alone, if one is set.
    #[arg(skip)]
    file_option: Option<String>,

    // The last, because its heading is for all that follow.
    #[command(flatten)]
    pub(super) files: FileOptions,
}

/// A command that runs instead of the server.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Drill(Box<farewell_drill::DrillOptions>),
}

const AFTER_HELP: &str = "\
Routes:
  /healthz         200 while the program runs
  /readyz          200, or 503 once a stop is requested
  /shutdown        stops the program; the response says what is in progress
  /shutdown?wait   stops it, and reports the progress of the stop until its end
  /shutdown?now    stops it, and cuts requests in progress
  /metrics         numbers for Prometheus
  any other path   with DIR: the file or folder of this path in DIR
  Without DIR:
  POST /echo       returns the body of the request
  any other path   returns \"Hello\"; with ?delay=3s it does so after 3 seconds
  Each of them needs a free worker, /healthz and /shutdown too. They come before
  files of the same name.

Signals:
  Ctrl+C, SIGTERM and SIGHUP stop the program. A second signal, at least 200 ms
  later, cuts requests in progress. On Linux, a signal that was ignored when the
  program started stays ignored.

Log:
  The log goes to stderr. RUST_LOG sets its level: error, warn, info (default),
  debug, trace or off. While stderr is blocked, lines are dropped and counted.

Exit codes:
  0    every request was answered
  1    an error
  2    wrong usage
  3    at --drain-timeout or by /shutdown?now, requests were cut or got a 503, or
       a handler did not return
  130  a second signal cut requests in progress";

/// The format of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// Text for people
    Text,
    /// One line with a JSON object
    Json,
}

impl Options {
    /// Returns the options, or the text that `--help` or `--version` prints.
    pub(super) fn from_command_line() -> Result<Result<Self, String>, Failure> {
        let parsed = Self::command().try_get_matches();
        match parsed.and_then(|matches| Self::from_matches(&matches)) {
            Ok(options) => match options.conflict() {
                Some(problem) => Err(Failure::usage(problem)),
                None => Ok(Ok(options)),
            },
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Err(error.to_string())),
                _ => {
                    let arguments: Vec<_> = env::args_os().collect();
                    Err(usage::explain(&Self::command(), &arguments, &error))
                }
            },
        }
    }

    fn from_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::from_arg_matches(matches)?;
        let by_variable =
            |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::EnvVariable);
        options.by_variable = matches
            .ids()
            .filter(by_variable)
            .map(ToString::to_string)
            .collect();
        options.file_option = FileOptions::any_set(matches);
        Ok(options)
    }

    /// What clap cannot express: options that contradict each other.
    fn conflict(&self) -> Option<String> {
        let Some(dir) = &self.dir else {
            let option = self.file_option.as_deref().map(|field| self.name(field))?;
            return Some(format!(
                "{option} is for a folder, and none is given: write farewell DIR (see farewell --help)"
            ));
        };
        let is_command = |name: &str| Self::command().find_subcommand(name).is_some();
        let is_typed = !self.by_variable.iter().any(|field| field == "dir");
        match dir.to_str() {
            Some(name) if is_typed && is_command(name) => Some(format!(
                "{name} must come first: it has its own options (a folder of this name is ./{name})"
            )),
            _ if !self.work.is_zero() => Some(format!(
                "{} is for the service without a folder: remove it, or {}",
                self.name("work"),
                if is_typed { "DIR" } else { "FAREWELL_DIR" },
            )),
            _ if self.listen.starts_with("unix:") && (self.files.qr || self.files.open) => {
                let option = self.name(if self.files.qr { "qr" } else { "open" });
                Some(format!(
                    "{option} needs a URL, and {} has none",
                    self.listen
                ))
            }
            _ => self.files.conflict(|field| self.name(field)),
        }
    }

    /// The name of the option that sets a field, or of the environment variable
    /// if the value comes from it.
    pub(super) fn name(&self, field: &str) -> String {
        match self.by_variable.iter().any(|set| set == field) {
            true => format!("FAREWELL_{}", field.to_uppercase()),
            false => format!("--{}", field.replace('_', "-")),
        }
    }

    /// A warning about the environment variables that look like options and are
    /// none, with the closest option if one is close.
    pub(super) fn unknown_variables() -> Option<String> {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let variables = env::vars_os().map(|(name, value)| (text(name), text(value)));
        usage::unknown_variables(&Self::command(), variables)
    }

    /// The configuration of the library.
    pub(super) fn config(&self) -> Config {
        fn set<T: Copy>(field: &mut T, option: Option<T>) {
            if let Some(value) = option {
                *field = value;
            }
        }

        let mut config = Config::default();
        set(&mut config.workers, self.workers);
        set(&mut config.max_connections, self.max_connections);
        set(&mut config.drain_timeout, self.drain_timeout);
        set(&mut config.last_call, self.last_call);
        set(&mut config.linger, self.linger);
        set(&mut config.linger_max, self.linger_max);
        set(&mut config.handshake_grace, self.handshake_grace);
        set(&mut config.lame_duck, self.lame_duck);
        set(&mut config.idle_timeout, self.idle_timeout);
        set(&mut config.head_timeout, self.head_timeout);
        set(&mut config.body_bytes_max, self.body_bytes_max);
        set(&mut config.body_timeout, self.body_timeout);
        set(&mut config.write_timeout, self.write_timeout);
        set(&mut config.rate_min, self.rate_min);
        config.connections_per_peer = self.connections_per_peer;
        config.access_log = self.access_log;
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_definitions() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_option_has_an_environment_variable_of_its_name() {
        for argument in Options::command().get_arguments() {
            let id = argument.get_id().as_str();
            if matches!(id, "help" | "version") {
                continue;
            }
            let variable = format!("FAREWELL_{}", id.to_uppercase());
            assert_eq!(argument.get_env().unwrap(), variable.as_str());
        }
    }

    #[test]
    fn the_help_shows_the_defaults_of_the_library() {
        let help = Options::command().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let config = Config::default();
        let seconds = Duration::from_secs;
        assert_eq!(config.body_bytes_max, bytes("2MiB").unwrap());
        assert!(help.contains("a 413 [default: 2MiB]"));
        assert_eq!(config.rate_min, bytes("2KiB").unwrap());
        assert!(help.contains("progress [default: 2KiB]"));
        assert_eq!(
            (config.drain_timeout, config.linger),
            (seconds(5), seconds(2))
        );
        assert!(help.contains("twice --linger later [default: 5s]"));
        assert!(help.contains("ends it earlier [default: 2s]"));
        assert_eq!(config.linger_max, seconds(30));
        assert!(help.contains("is still sending [default: 30s]"));
        assert_eq!(
            (config.body_timeout, config.write_timeout),
            (seconds(30), seconds(30))
        );
        assert!(
            help.contains("gets a 408 [default: 30s]") && help.contains("is cut [default: 30s]")
        );
    }
}
