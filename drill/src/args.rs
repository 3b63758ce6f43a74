//! The options of the drill, and their values.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::client::Mode;
use super::outcome::Expected;
use super::system;
use super::system::Signal;
use super::target::Url;

/// Test the graceful shutdown of an HTTP/1.1 server.
///
/// Each round starts the server's command, sends requests to it, stops it while
/// the clients are sending, and follows every request to its end. One round has
/// one mode of load; --mode and --rounds say which modes there are, and how many
/// rounds of each. The drill connects only to this machine, unless --allow-remote
/// is given, and it leaves no process behind.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DrillOptions {
    /// URL to request. If its port is {port}, the drill picks a free port for
    /// each round, puts it in place of {port} in COMMAND, and passes it to the
    /// command in the environment variable PORT.
    #[arg(long, value_parser = Url::parse)]
    pub(super) url: Url,

    /// Number of rounds for each mode, at most 10000.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub(super) rounds: usize,

    /// Number of concurrent clients, at most 512. Each has one connection at a
    /// time and sends its next request when the last one has ended.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = RangedU64ValueParser::<usize>::new().range(1..=512))]
    pub(super) clients: usize,

    /// Modes of load, separated by commas.
    #[arg(
        long,
        value_name = "MODES",
        value_delimiter = ',',
        default_value = "new,keep-alive"
    )]
    pub(super) mode: Vec<Mode>,

    /// How to stop the server: TERM, INT, QUIT or HUP sends that signal to the
    /// process of COMMAND; TERM:group (Linux only; likewise for the other signals)
    /// sends it to the process group of COMMAND; url:/path requests that path.
    #[arg(long, value_name = "HOW", default_value = "TERM", value_parser = Stop::parse)]
    pub(super) stop: Stop,

    /// Duration of the load before the stop, at most 1m. Each round varies it at
    /// random by up to a third.
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = load_for)]
    pub(super) load_for: Duration,

    /// Additional requests per second, sent at random times whether or not the
    /// server keeps up, each on a new connection; at most 128 of them are in
    /// progress at a time [default: none].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) open_rate: Option<u32>,

    /// Longest time from the start of COMMAND to the server's first response.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub(super) start_timeout: Duration,

    /// Longest time from the stop to the end of the server; then the drill kills
    /// the server.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub(super) stop_timeout: Duration,

    /// Longest time that a client waits for a connection, and for the next byte
    /// of a response; then the request is lost, or its response truncated.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = timeout)]
    pub(super) patience: Duration,

    /// Expected status of every response: one status, such as 404, or a class,
    /// such as 3xx.
    #[arg(long, value_name = "STATUS", default_value = "2xx", value_parser = Expected::parse)]
    pub(super) expect: Expected,

    /// Seed of the random numbers. It does not affect the choice of {port}.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub(super) json: bool,

    /// Write a chart of how the requests around the stop ended to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,

    /// Allow a URL whose host is not this machine. Use it only for a server that
    /// you may load and stop.
    #[arg(long)]
    pub(super) allow_remote: bool,

    /// Copy the server's stdout and stderr to stderr.
    #[arg(long)]
    pub(super) show_output: bool,

    /// Command that starts the server. The server must stay in the foreground. A
    /// signal is sent to this process only: a shell script must `exec` the server,
    /// and for a wrapper that does not (npm start, go run) use --stop TERM:group.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Each request counts as one of:
  answered before  a complete response with the expected status, before the stop
  answered after   the same, after the stop
  refused          the connection was refused, and nothing was sent
  unprocessed      pipelined after a request whose response closes the
                   connection: the client can safely send it again
  answered other   a complete response with an unexpected status below 500
  answered 5xx     a complete response with an unexpected status of 500 or more
  lost             connected or sent, and no byte of a response came: the
                   connection was reset or closed, or --patience passed
  truncated        a part of a response came, or bytes that are not a response

A response without a length is complete when the server closes the connection
in an orderly way. A keep-alive connection that the server closes before the
next request is sent is not a loss: the client connects again. A request that
crosses the server's close on the wire is lost: the client cannot tell it from a
request that the server dropped.

A round ends when the server and every client have ended. The server has ended
when COMMAND has, and then it must have left no process behind; with TERM:group
it has ended when every process of COMMAND has.

Exit codes:
  0    nothing was lost
  1    requests were lost or responses truncated
  2    wrong usage
  3    nothing was lost, but some responses had an unexpected status
  4    the server did not start, did not answer before the stop, exited before
       the stop, did not stop, or kept running after its command had ended
  130  interrupted";

/// How the server is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Signal {
        signal: Signal,
        to_group: bool,
    },
    /// By a GET of this path.
    Request(String),
}

impl Stop {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("url:") {
            return match path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
                true => Ok(Self::Request(path.to_owned())),
                false => Err("it must be a path, as in url:/shutdown".to_owned()),
            };
        }
        let (name, to_group) = match text.strip_suffix(":group") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let signal = match name.strip_prefix("SIG").unwrap_or(name) {
            "TERM" => Signal::Term,
            "INT" => Signal::Int,
            "QUIT" => Signal::Quit,
            "HUP" => Signal::Hup,
            _ => {
                return Err(
                    "it must be TERM, INT, QUIT or HUP, with or without :group, or \
                            url:/path"
                        .to_owned(),
                );
            }
        };
        if !system::HAS_SIGNALS {
            return Err("signals are not supported on this system; use url:/path".to_owned());
        }
        if to_group && !system::FINDS_ORPHANS {
            return Err("process groups are not supported on this system; use TERM".to_owned());
        }
        Ok(Self::Signal { signal, to_group })
    }

    /// The text of the option's value.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Signal { signal, to_group } => {
                let suffix = if *to_group { ":group" } else { "" };
                format!("{}{suffix}", signal.name())
            }
            Self::Request(path) => format!("url:{path}"),
        }
    }

    /// Whether the server has ended only when all of its processes have.
    pub(super) fn is_by_group(&self) -> bool {
        matches!(self, Self::Signal { to_group: true, .. })
    }
}

fn duration(text: &str, max: Duration) -> Result<Duration, String> {
    let max_text = humantime::format_duration(max);
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it must not be zero".to_owned()),
        Ok(duration) if duration > max => Err(format!("it must be at most {max_text}")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("write it as 500ms, 10s or 1m: {error}")),
    }
}

/// It is bounded because every attempt stays in memory until its round ends.
fn load_for(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_secs(60))
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_a_signal_or_a_path() {
        for name in [
            "TERM",
            "INT",
            "QUIT",
            "HUP",
            "TERM:group",
            "INT:group",
            "url:/shutdown?now",
        ] {
            assert_eq!(Stop::parse(name).unwrap().name(), name);
        }
        let to_group = |text| Stop::parse(text).unwrap().is_by_group();
        assert!(to_group("SIGTERM:group") && !to_group("SIGTERM") && !to_group("url:/x:group"));
        for wrong in [
            "KILL",
            "TERM:",
            "TERM:GROUP",
            ":group",
            "term",
            "url:",
            "url:x",
            "url:/a b",
            "",
        ] {
            assert!(Stop::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit_and_have_a_maximum() {
        assert!(load_for("1m").is_ok());
        for wrong in ["0s", "61s", "5"] {
            assert!(load_for(wrong).is_err(), "{wrong}");
        }
    }
}
