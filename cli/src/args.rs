//! The program's options, from the command line and the environment.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use clap::FromArgMatches;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::error::ErrorKind;
use farewell::AccessLogFormat;
use farewell::Config;

use super::commands::CompletionsOptions;
use super::commands::ManOptions;
use super::config::ConfigFile;
use super::config::Source;
use super::config::Sources;
use super::failure::Failure;
use super::files::FileOptions;
use super::usage;
use super::values::bytes;
use super::values::count;
use super::values::duration;
use super::values::flag;

/// Serves a folder over HTTP/1.1, and answers every request before it stops.
///
/// Without DIR, it is a service for demonstrations. Every option can also be set by an environment variable or in
/// a file (--config); the command line takes precedence over both, and the environment over the file. A DURATION is written as 500ms, 10s or 1m; a SIZE in bytes,
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
    /// /status, /metrics, /shutdown, /healthz and /readyz while every worker is busy.
    /// Without it, --listen serves them.
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

    /// Longest time for a restart by SIGUSR2: a new process that is not ready by
    /// then is killed, and this one goes on [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_RESTART_TIMEOUT", value_parser = duration)]
    restart_timeout: Option<Duration>,

    /// Log a line for each request on stderr, with target farewell::access and
    /// level info.
    #[arg(long, env = "FAREWELL_ACCESS_LOG", value_parser = flag)]
    access_log: bool,

    /// Append a line for each request to this file, in place of stderr. A new
    /// file has the mode 0640. SIGHUP then reopens the file, for logrotate, and
    /// does not stop the program.
    #[arg(long, value_name = "FILE", env = "FAREWELL_ACCESS_LOG_FILE")]
    pub(super) access_log_file: Option<PathBuf>,

    /// Format of the access log: the Common Log Format with the seconds that the
    /// request took and the rate of its response, or a JSON object.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FAREWELL_ACCESS_LOG_FORMAT",
        default_value = "common"
    )]
    access_log_format: LogFormat,

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

    /// File with the options, in TOML: drain-timeout = "20s". Each option can be
    /// there, except this one and --check. The command line and the environment take
    /// precedence over it. Relative paths begin at the folder of the file.
    #[arg(long, value_name = "FILE", env = "FAREWELL_CONFIG")]
    config: Option<PathBuf>,

    /// Do not serve. Check the options, the files that they name and the address,
    /// and print each option with its value and where it comes from, as a file for
    /// --config. The exit code is 2 if anything is wrong.
    #[arg(long, env = "FAREWELL_CHECK", value_parser = flag)]
    pub(super) check: bool,

    /// Format of the report that is printed on stdout at the end.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FAREWELL_REPORT",
        default_value = "text"
    )]
    pub(super) report: ReportFormat,

    /// Where the value of each option comes from.
    #[arg(skip)]
    pub(super) sources: Sources,

    /// What the user should know about the configuration file.
    #[arg(skip)]
    pub(super) warning: Option<String>,

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
    Completions(CompletionsOptions),
    Man(ManOptions),
}

/// The default of `--restart-timeout`.
const RESTART_TIMEOUT: Duration = Duration::from_secs(30);

const AFTER_HELP: &str = "\
Routes:
  /healthz         200 while the program runs
  /readyz          200, or 503 once a stop is requested
  /shutdown        stops the program; the response says what is in progress
  /shutdown?wait   stops it, and reports the progress of the stop until its end
  /shutdown?now    stops it, and cuts requests in progress
  /metrics         numbers for Prometheus
  /status          what the program does, as a live page, or as JSON
  any other path   with DIR: the file or folder of this path in DIR
  Without DIR:
  POST /echo       returns the body of the request
  any other path   returns \"Hello\"; with ?delay=3s it does so after 3 seconds
  All but \"any other path\" and /echo are answered while every worker is busy. They
  come before files of the same name.

Signals:
  Ctrl+C, SIGTERM and SIGHUP stop the program. A second signal, at least 200 ms
  later, cuts requests in progress. On Linux, a signal that was ignored when the
  program started stays ignored. With --access-log-file, SIGHUP reopens that file
  and does not stop the program.
  SIGUSR2 restarts the program without refusing a connection: a new process, of
  the program file as it is then, gets the listening sockets, and this one stops
  when the new one is ready. If it does not get ready, this one goes on.

Supervisors:
  The program takes listening sockets from systemd (LISTEN_FDS), and tells it
  its state (NOTIFY_SOCKET, WATCHDOG_USEC).

Log:
  The log goes to stderr. RUST_LOG sets its level: error, warn, info (default),
  debug, trace or off. While stderr is blocked, lines are dropped and counted.

Exit codes:
  0    every request was answered
  1    an error
  2    wrong usage, or --check has found anything wrong
  3    at --drain-timeout or by /shutdown?now, requests were cut or got a 503, or
       a handler did not return
  130  a second signal cut requests in progress";

/// The format of a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// As many programs read it
    Common,
    /// A JSON object
    Json,
}

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
        let mut file = None;
        let mut parsed = Self::parse(None);
        if let Ok(options) = &parsed
            && let Some(path) = &options.config
            && options.command.is_none()
        {
            let option = options.name("config");
            file = Some(ConfigFile::read(path, &option, &Self::command())?);
            parsed = Self::parse(file.as_ref());
        }
        match parsed {
            Ok(mut options) => match options.conflict() {
                Some(problem) => Err(Failure::usage(problem)),
                None => {
                    options.warning = file.and_then(|file| file.warning());
                    Ok(Ok(options))
                }
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

    /// Parses the command line and the environment. What they do not set has the values of
    /// the file.
    fn parse(file: Option<&ConfigFile>) -> Result<Self, clap::Error> {
        let command = match file {
            Some(file) => file.as_defaults_of(Self::command()),
            None => Self::command(),
        };
        let matches = command.try_get_matches()?;
        let mut options = Self::from_arg_matches(&matches)?;
        options.sources = Sources::new(&matches, file);
        options.file_option = FileOptions::any_set(&matches, &options.sources);
        Ok(options)
    }

    /// What clap cannot express: options that contradict each other.
    fn conflict(&self) -> Option<String> {
        let has_access_log = self.access_log || self.access_log_file.is_some();
        let is_off = *self.sources.of("access_log") != Source::Default;
        let has_format = *self.sources.of("access_log_format") != Source::Default;
        if has_format && !has_access_log && !is_off {
            let format = self.name("access_log_format");
            return Some(format!(
                "{format} needs --access-log or --access-log-file (see farewell --help)"
            ));
        }
        let Some(dir) = &self.dir else {
            let option = self.file_option.as_deref().map(|field| self.name(field))?;
            return Some(format!(
                "{option} is for a folder, and none is given: write farewell DIR (see farewell --help)"
            ));
        };
        let is_typed = *self.sources.of("dir") == Source::CommandLine;
        match dir.to_str() {
            Some(name) if is_typed && usage::is_command(name) => Some(format!(
                "{name} must come first: it has its own options (a folder of this name is ./{name})"
            )),
            _ if !self.work.is_zero() => Some(format!(
                "{} is for the service without a folder: remove it, or {}",
                self.name("work"),
                match is_typed {
                    true => "DIR".to_owned(),
                    false => self.name("dir"),
                },
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

    /// How long a new process may take until it is ready.
    pub(super) fn restart_timeout(&self) -> Duration {
        self.restart_timeout.unwrap_or(RESTART_TIMEOUT)
    }

    /// The name of the option that sets a field, of the environment variable if the value
    /// comes from it, or of the option and its place if that is a file.
    pub(super) fn name(&self, field: &str) -> String {
        self.sources.name(field)
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
        config.access_log = self.access_log || self.access_log_file.is_some();
        config.access_log_format = match self.access_log_format {
            LogFormat::Common => AccessLogFormat::Common,
            LogFormat::Json => AccessLogFormat::Json,
        };
        config
    }

    /// The longest time from the trigger of a stop to its report.
    pub(super) fn stop_bound(&self) -> Duration {
        let config = self.config();
        config.lame_duck + config.drain_timeout + 2 * config.linger
    }
}

#[cfg(test)]
mod tests;
