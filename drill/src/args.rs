//! The options of the drill.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::client::Mode;
use super::system;
use super::system::Signal;
use super::tally::Expected;
use super::target::Url;

/// Test how a server stops: start it, lay load on it, stop it in the middle of
/// the load, and follow every request to its end.
///
/// Any HTTP/1.1 server will do. One round is one start, one mode of load, and
/// one stop; each mode has so many rounds. The drill talks to this machine only,
/// unless it is told otherwise, and it leaves no process behind.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// What to request. Where it says {port}, a free port is picked for each
    /// round; it replaces {port} in the command too, and is PORT in the
    /// command's environment.
    #[arg(long, value_parser = Url::parse)]
    pub(super) url: Url,

    /// Rounds of each mode.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub(super) rounds: usize,

    /// Clients at a time, each a thread with one connection.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = RangedU64ValueParser::<usize>::new().range(1..=512))]
    pub(super) clients: usize,

    /// What the clients do, one or more of these with commas between.
    #[arg(
        long,
        value_name = "MODES",
        value_delimiter = ',',
        default_value = "new,keep-alive"
    )]
    pub(super) mode: Vec<Mode>,

    /// How to stop the server: TERM, INT, QUIT or HUP, which the command's own
    /// process gets; TERM:group and so on, which its whole process group gets
    /// (on Linux); or url:/path, which is requested.
    #[arg(long, value_name = "HOW", default_value = "TERM", value_parser = Stop::parse)]
    pub(super) stop: Stop,

    /// How long the load lasts before the stop, a third more or less; 1m at
    /// most.
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = load_for)]
    pub(super) load_for: Duration,

    /// So many further requests a second, whatever the server does, at random
    /// moments and on a connection each; as many as 128 of them at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) open_rate: Option<u32>,

    /// How long the server may take until it answers.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub(super) start_timeout: Duration,

    /// How long the server may take from the stop to its end, until it is
    /// killed.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub(super) stop_timeout: Duration,

    /// How long a client waits for a connection, and for the next byte of an
    /// answer.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = timeout)]
    pub(super) patience: Duration,

    /// The status that answers should have, such as 404, or 3xx for all of these.
    #[arg(long, value_name = "STATUS", default_value = "2xx", value_parser = Expected::parse)]
    pub(super) expect: Expected,

    /// What all that is random depends on, picked ports aside.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub(super) json: bool,

    /// Draw what became of the requests around the stop into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,

    /// Let the URL name another machine than this one. Only for a server that
    /// is yours to stop.
    #[arg(long)]
    pub(super) allow_remote: bool,

    /// Pass on what the server prints, to stderr.
    #[arg(long)]
    pub(super) show_output: bool,

    /// The server, as it is to be started. It must not go to the background. A
    /// signal reaches this process alone: a shell has to `exec` the server, and
    /// for a wrapper that does not (npm start, go run) there is TERM:group.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
What may become of a request:
  answered      before the stop, or after it, in full by its framing (without a
                length, the orderly end of the connection ends an answer)
  refused       the connection was refused: safe to go elsewhere. A kept
                connection that the server has closed before the next request
                was sent is no loss: the client connects again
  unprocessed   sent behind a request whose answer said that the connection
                closes: safe to send again
  5xx           answered, with a status of 500 or more that is not expected
  other         answered, with another status that is not expected
  lost          let in or sent, and then no byte of an answer: reset, closed, or
                silent for as long as --patience. A request that crosses the
                server's close on the wire is lost: its client cannot tell
  truncated     an answer that began and did not end, or is none

Each round ends when the server is gone, and every client has its end. With
TERM:group the server is gone when all of its processes are; otherwise when the
command has ended, and then nothing else may be left.

Exit codes: 0 nothing was lost; 1 something was lost or truncated; 2 wrong
usage; 3 nothing was lost, but answers had another status than the expected one;
4 the server did not start, did not answer before the stop, ended before it, did
not stop, or outlived its command; 130 interrupted.";

/// What stops the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Signal {
        signal: Signal,
        to_group: bool,
    },
    /// A GET for this path.
    Request(String),
}

impl Stop {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("url:") {
            return match path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
                true => Ok(Self::Request(path.to_owned())),
                false => Err("write the path as url:/shutdown".to_owned()),
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
                    "one of TERM, INT, QUIT and HUP, with :group or without, or \
                            url:/path"
                        .to_owned(),
                );
            }
        };
        if !system::HAS_SIGNALS {
            return Err("signals are not supported here: stop it by url:/path".to_owned());
        }
        if to_group && !system::FINDS_ORPHANS {
            return Err("when a group has ended cannot be told here: stop it by TERM".to_owned());
        }
        Ok(Self::Signal { signal, to_group })
    }

    /// As the command line has it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Signal { signal, to_group } => {
                let suffix = if *to_group { ":group" } else { "" };
                format!("{}{suffix}", signal.name())
            }
            Self::Request(path) => format!("url:{path}"),
        }
    }

    /// Whether the end of all of the server's processes is awaited.
    pub(super) fn is_by_group(&self) -> bool {
        matches!(self, Self::Signal { to_group: true, .. })
    }
}

fn duration(text: &str, max: Duration) -> Result<Duration, String> {
    let max_text = humantime::format_duration(max);
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it must not be zero".to_owned()),
        Ok(duration) if duration > max => Err(format!("{max_text} at most")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write it as 500ms, 10s, 1m")),
    }
}

/// Every attempt is kept until the end of its round, which therefore must end.
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
    fn durations_are_bounded() {
        assert!(load_for("1m").is_ok());
        for wrong in ["0s", "61s", "5"] {
            assert!(load_for(wrong).is_err(), "{wrong}");
        }
    }
}
