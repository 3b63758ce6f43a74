//! The program's options, from the command line and the environment.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use farewell::Config;

use crate::drill;

use super::Failure;

/// A threaded HTTP/1.1 server that answers everyone before it leaves.
///
/// Every option is an environment variable too. Durations are written 500ms,
/// 10s, 1m.
#[derive(Debug, Parser)]
#[command(
    name = "farewell",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(super) struct Options {
    /// What else the program does.
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    /// Address and port to listen on; port 0 takes any free one.
    #[arg(
        long,
        value_name = "ADDR",
        env = "FAREWELL_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    pub(super) listen: String,

    /// Threads that run handlers [default: 8 for each core, at least 16].
    #[arg(long, value_name = "N", env = "FAREWELL_WORKERS")]
    workers: Option<usize>,

    /// Connections open at a time; further ones wait [default: 10000].
    #[arg(long, value_name = "N", env = "FAREWELL_MAX_CONNECTIONS")]
    max_connections: Option<usize>,

    /// Connections of one address at a time; further ones get a 429
    /// [default: no limit].
    #[arg(long, value_name = "N", env = "FAREWELL_CONNECTIONS_PER_PEER")]
    connections_per_peer: Option<usize>,

    /// The largest request body, in bytes [default: 2097152].
    #[arg(long, value_name = "BYTES", env = "FAREWELL_BODY_BYTES_MAX")]
    body_bytes_max: Option<u64>,

    /// How long a drain may take, after the lame duck, before what is left is
    /// cut [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_DRAIN_TIMEOUT", value_parser = duration)]
    drain_timeout: Option<Duration>,

    /// How long, in a stop, an open connection may still begin a request
    /// [default: 500ms].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LAST_CALL", value_parser = duration)]
    last_call: Option<Duration>,

    /// How long to wait for a client to close its side after its last response
    /// [default: 2s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LINGER", value_parser = duration)]
    linger: Option<Duration>,

    /// How long a stop waits for handshakes that had begun [default: 250ms].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_SETTLE", value_parser = duration)]
    settle: Option<Duration>,

    /// How long to go on, with /readyz saying 503, before a stop begins to
    /// drain [default: 0s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_LAME_DUCK", value_parser = duration)]
    lame_duck: Option<Duration>,

    /// How long a connection may be idle [default: 1m].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_IDLE_TIMEOUT", value_parser = duration)]
    idle_timeout: Option<Duration>,

    /// How long a request's head may take from its first byte [default: 10s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_HEAD_TIMEOUT", value_parser = duration)]
    head_timeout: Option<Duration>,

    /// In each such time a request body has to come forward by so much as
    /// --rate-min makes of it [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_BODY_TIMEOUT", value_parser = duration)]
    body_timeout: Option<Duration>,

    /// In each such time a client has to read so much of its response as
    /// --rate-min makes of it [default: 30s].
    #[arg(long, value_name = "DURATION", env = "FAREWELL_WRITE_TIMEOUT", value_parser = duration)]
    write_timeout: Option<Duration>,

    /// The least rate of request bodies, and of responses being read, in bytes
    /// a second [default: 2048].
    #[arg(long, value_name = "BYTES", env = "FAREWELL_RATE_MIN")]
    rate_min: Option<u64>,

    /// Log a line for each request, in the common log format and with the
    /// seconds that it took, as farewell::access at the level info.
    #[arg(long, env = "FAREWELL_ACCESS_LOG", value_parser = BoolishValueParser::new())]
    access_log: bool,

    /// How long each hello takes: a stand-in for real work.
    #[arg(long, value_name = "DURATION", env = "FAREWELL_WORK", value_parser = duration, default_value = "0s")]
    pub(super) work: Duration,

    /// Take /shutdown from whoever has the token in this file, and from nobody
    /// else. The token itself may be in FAREWELL_SHUTDOWN_TOKEN instead.
    #[arg(long, value_name = "FILE", env = "FAREWELL_SHUTDOWN_TOKEN_FILE")]
    pub(super) shutdown_token_file: Option<PathBuf>,

    /// Have no /shutdown: only signals stop the program.
    #[arg(long, env = "FAREWELL_NO_SHUTDOWN_ROUTE", value_parser = BoolishValueParser::new())]
    pub(super) no_shutdown_route: bool,

    /// How to print the report at the end.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "FAREWELL_REPORT",
        default_value = "text"
    )]
    pub(super) report: ReportFormat,
}

/// What the program does instead of serving.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Drill(Box<drill::Options>),
}

const AFTER_HELP: &str = "\
Routes: /healthz, /readyz, POST /echo, /shutdown, /shutdown?wait, /shutdown?now;
any other path says hello, with ?delay=3s after so long.
Log: RUST_LOG, default info, to stderr.
Signals: Ctrl+C, SIGTERM and SIGHUP stop; a second one, 200 ms later or more,
stops at once.
Exit codes: 0 everyone was answered; 1 error; 2 wrong usage; 3 somebody was cut
or turned away, at the deadline or by ?now; 130 stopped at once by a signal.";

/// How the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people.
    Text,
    /// One JSON object on one line.
    Json,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 500ms, 10s, 1m"))
}

impl Options {
    /// The options; or what `--help` and `--version` print.
    pub(super) fn from_command_line() -> Result<Result<Self, String>, Failure> {
        match Self::try_parse() {
            Ok(options) => Ok(Ok(options)),
            Err(error) => match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Err(error.to_string())),
                _ => {
                    let mut failure = Failure::usage(one_line(&error.to_string()));
                    // Options before it are refused, so that it is the first.
                    if env::args_os().nth(1).is_some_and(|word| word == "drill") {
                        failure.command = "farewell drill";
                    }
                    Err(failure)
                }
            },
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
        set(&mut config.settle, self.settle);
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

/// What clap says in several lines, up to its usage, in one.
fn one_line(message: &str) -> String {
    let said: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let said = said.join("; ");
    format!(
        "{} (see --help)",
        said.strip_prefix("error: ").unwrap_or(&said)
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
    fn a_wrong_option_is_told_in_one_line() {
        let error = Options::try_parse_from(["farewell", "--linger", "5"]).unwrap_err();
        let line = one_line(&error.to_string());
        assert!(line.contains("--linger"), "{line}");
        assert!(line.contains("write it as 500ms"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
