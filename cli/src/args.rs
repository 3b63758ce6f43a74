//! The program's options, from the command line and the environment.

use std::env;
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

use super::Failure;
use super::usage;
use super::values::bytes;
use super::values::count;
use super::values::duration;
use super::values::flag;

/// A threaded HTTP/1.1 server that answers every request before it stops.
///
/// Every option is an environment variable too; the command line has the last
/// word. A DURATION is written 500ms, 10s or 1m; a SIZE in bytes, or 64KiB,
/// 2MiB, 1GiB.
#[derive(Debug, Parser)]
#[command(
    name = "farewell",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true
)]
pub(super) struct Options {
    /// What else the program does.
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Address and port to listen on. A port alone, as in :8081, means all
    /// addresses of this machine; port 0 takes any free port.
    #[arg(
        long,
        value_name = "ADDR",
        env = "FAREWELL_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    pub(super) listen: String,

    /// Threads that run handlers [default: 8 for each core, at least 16].
    #[arg(long, value_name = "N", env = "FAREWELL_WORKERS", value_parser = count)]
    workers: Option<usize>,

    /// Most connections open at a time; further ones wait in the kernel's
    /// queue [default: 10000, or what the limit on open files allows].
    #[arg(long, value_name = "N", env = "FAREWELL_MAX_CONNECTIONS", value_parser = count)]
    max_connections: Option<usize>,

    /// Most connections of one client address at a time; further ones get a
    /// 429 [default: no limit].
    #[arg(long, value_name = "N", env = "FAREWELL_CONNECTIONS_PER_PEER", value_parser = count)]
    connections_per_peer: Option<usize>,

    /// Largest request body; a larger one gets a 413 [default: 2MiB].
    #[arg(long, value_name = "SIZE", env = "FAREWELL_BODY_BYTES_MAX", value_parser = bytes)]
    body_bytes_max: Option<u64>,

    /// Longest time that a stop may take, after --lame-duck; then requests that
    /// are not answered yet are cut [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_DRAIN_TIMEOUT", value_parser = duration)]
    drain_timeout: Option<Duration>,

    /// How long in a stop, after --lame-duck, an open connection may still send
    /// a request [default: 500ms].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LAST_CALL", value_parser = duration)]
    last_call: Option<Duration>,

    /// How long, after the last response on a connection, the client may be
    /// silent before it closes its side [default: 2s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LINGER", value_parser = duration)]
    linger: Option<Duration>,

    /// Longest time, after the last response on a connection, to read on and
    /// discard what a client is still sending [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LINGER_MAX", value_parser = duration)]
    linger_max: Option<Duration>,

    /// How long a stop waits for TCP handshakes that had begun before it
    /// [default: 250ms].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_HANDSHAKE_GRACE", value_parser = duration)]
    handshake_grace: Option<Duration>,

    /// How long, once asked to stop, to go on serving while /readyz answers
    /// 503, so that load balancers turn away first [default: 0s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LAME_DUCK", value_parser = duration)]
    lame_duck: Option<Duration>,

    /// How long a connection may stay open without a request [default: 1m].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_IDLE_TIMEOUT", value_parser = duration)]
    idle_timeout: Option<Duration>,

    /// Longest time from the first byte of a request's head to its last; then
    /// the request gets a 408 [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_HEAD_TIMEOUT", value_parser = duration)]
    head_timeout: Option<Duration>,

    /// Longest time in which a request body may make no progress of at least
    /// --rate-min bytes a second; then the request gets a 408 [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_BODY_TIMEOUT", value_parser = duration)]
    body_timeout: Option<Duration>,

    /// Longest time in which a client may read less of its response than
    /// --rate-min bytes a second; then its connection is cut [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_WRITE_TIMEOUT", value_parser = duration)]
    write_timeout: Option<Duration>,

    /// Least that a client must send of a body, or read of a response, in a
    /// second, averaged over --body-timeout or --write-timeout; with 0, any byte
    /// is progress [default: 2KiB].
    #[arg(long, value_name = "SIZE", env = "FAREWELL_RATE_MIN", value_parser = bytes)]
    rate_min: Option<u64>,

    /// Log a line for each request, as farewell::access at the level info: the
    /// common log format, and the seconds that the request took.
    #[arg(long, env = "FAREWELL_ACCESS_LOG", value_parser = flag)]
    access_log: bool,

    /// Time that each answer of "Hello" takes, as a stand-in for real work.
    #[arg(long, value_name = "DURATION", env = "FAREWELL_WORK", value_parser = duration, default_value = "0s")]
    pub(super) work: Duration,

    /// Let only requests with the token in this file use /shutdown; they send
    /// it as Authorization: Bearer TOKEN. FAREWELL_SHUTDOWN_TOKEN may hold the
    /// token itself instead. Without a token, clients on this machine may.
    #[arg(long, value_name = "FILE", env = "FAREWELL_SHUTDOWN_TOKEN_FILE")]
    pub(super) shutdown_token_file: Option<PathBuf>,

    /// Serve no /shutdown: only signals stop the program.
    #[arg(long, env = "FAREWELL_NO_SHUTDOWN_ROUTE", value_parser = flag)]
    pub(super) no_shutdown_route: bool,

    /// How to print the report at the end, on stdout.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FAREWELL_REPORT",
        default_value = "text"
    )]
    pub(super) report: ReportFormat,

    /// The options that the environment has set, by their fields.
    #[arg(skip)]
    by_variable: Vec<String>,
}

/// What the program does instead of serving.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Drill(Box<farewell_drill::DrillOptions>),
}

const AFTER_HELP: &str = "\
Routes:
  /healthz         200 while the program runs
  /readyz          200, and 503 once it is asked to stop
  POST /echo       answers with the body of the request
  /shutdown        stops the program; the answer says what is in progress
  /shutdown?wait   stops it, and tells how that goes until its end
  /shutdown?now    stops it, and cuts what is in progress
  anything else    answers \"Hello\"; with ?delay=3s after that time
Log: to stderr, by RUST_LOG (error, warn, info, debug, trace or off); default
  info. While stderr takes nothing, lines are dropped and counted.
Signals: Ctrl+C, SIGTERM and SIGHUP stop the program; a second signal, 200 ms
  later or more, cuts what is in progress. On Linux a signal that was ignored
  when the program started stays ignored.
Exit codes: 0 every request was answered; 1 an error; 2 wrong usage; 3 requests
  were cut or refused, or code did not return, at --drain-timeout or by
  /shutdown?now; 130 a second signal cut them.";

/// How the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people.
    Text,
    /// One JSON object on one line.
    Json,
}

impl Options {
    /// The options; or what `--help` and `--version` print.
    pub(super) fn from_command_line() -> Result<Result<Self, String>, Failure> {
        let parsed = Self::command().try_get_matches();
        match parsed.and_then(|matches| Self::from_matches(&matches)) {
            Ok(options) => Ok(Ok(options)),
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
        Ok(options)
    }

    /// The option that sets a field, as its user knows it: the variable, if that
    /// has set it.
    pub(super) fn name(&self, field: &str) -> String {
        match self.by_variable.iter().any(|set| set == field) {
            true => format!("FAREWELL_{}", field.to_uppercase()),
            false => format!("--{}", field.replace('_', "-")),
        }
    }

    /// The library's configuration.
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
    fn the_options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn every_option_is_an_environment_variable_of_its_name() {
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
    fn the_defaults_of_the_help_are_those_of_the_library() {
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
            (seconds(10), seconds(2))
        );
        assert!(help.contains("are cut [default: 10s]"));
        assert!(help.contains("closes its side [default: 2s]"));
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
