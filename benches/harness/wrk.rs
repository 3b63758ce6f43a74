//! The load generator `wrk`.

use std::fmt;
use std::io::Read;
use std::ops::AddAssign;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::Result;
use super::process::Process;
use super::process::Session;
use super::top;

/// The message if `wrk` is not installed.
pub(crate) const MISSING: &str =
    "`wrk` is not installed: apt-get install wrk, or https://github.com/wg/wrk";

/// The load that `wrk` generates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// Send a POST with a body of this many bytes instead of a GET.
    pub(crate) post: Option<usize>,
    /// Use a new connection for each request.
    pub(crate) close: bool,
    /// A header field of each request, such as `If-None-Match: "a"`.
    pub(crate) field: Option<&'static str>,
    /// Mean pause of each connection before its next request, in milliseconds.
    /// If the pauses are much longer than the responses take, every server gets
    /// the same number of requests a second.
    pub(crate) pause: Option<u64>,
}

/// The figures of one run. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrkFigures {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) errors: Errors,
}

/// The counts in wrk's "Socket errors" and "Non-2xx or 3xx responses".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    connect: u64,
    read: u64,
    write: u64,
    /// Responses that are not 2xx or 3xx.
    pub(crate) status: u64,
    timeout: u64,
}

impl AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.connect += other.connect;
        self.read += other.read;
        self.write += other.write;
        self.status += other.status;
        self.timeout += other.timeout;
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.connect, "connect"),
            (self.read, "read"),
            (self.write, "write"),
            (self.status, "status"),
            (self.timeout, "timeout"),
        ];
        let mut some = counts.iter().filter(|(count, _)| *count > 0);
        let Some((count, what)) = some.next() else {
            return f.write_str("none");
        };
        write!(f, "{count} {what}")?;
        some.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

impl Load {
    /// Runs `wrk` for this many seconds.
    ///
    /// # Errors
    ///
    /// If `wrk` does not run, or its output is not understood.
    pub(crate) fn run(&self, port: u16, seconds: u64, session: Session) -> Result<WrkFigures> {
        let mut wrk = self.start(port, seconds, session)?;
        let mut output = String::new();
        if let Some(mut stdout) = wrk.child().stdout.take() {
            stdout.read_to_string(&mut output)?;
        }
        let status = wrk.wait(Duration::from_secs(seconds + 10))?;
        figures(&output)
            .ok_or_else(|| format!("wrk printed no figures ({status}): {}", output.trim()).into())
    }

    /// Runs `wrk` for less than a second, which is its minimum.
    ///
    /// # Errors
    ///
    /// If `wrk` does not run.
    pub(crate) fn warm_up(&self, port: u16, time: Duration, session: Session) -> Result<()> {
        let mut wrk = self.start(port, time.as_secs() + 10, session)?;
        thread::sleep(time);
        wrk.signal("INT")?;
        wrk.wait(Duration::from_secs(20))?;
        Ok(())
    }

    fn start(&self, port: u16, seconds: u64, session: Session) -> Result<Process> {
        let script = top().join("benches/harness/report.lua");
        let mut words = vec![
            "wrk".to_owned(),
            format!("-t{}", self.connections.min(2)),
            format!("-c{}", self.connections),
            format!("-d{seconds}s"),
            "--latency".to_owned(),
            "-s".to_owned(),
            script.to_string_lossy().into_owned(),
        ];
        if self.close {
            words.extend(["-H".to_owned(), "Connection: close".to_owned()]);
        }
        if let Some(field) = self.field {
            words.extend(["-H".to_owned(), field.to_owned()]);
        }
        words.push(format!("http://127.0.0.1:{port}{}", self.path));
        words.push("--".to_owned());
        if let Some(bytes) = self.post {
            words.extend(["POST".to_owned(), bytes.to_string()]);
        }
        if let Some(pause) = self.pause {
            words.extend(["PAUSE".to_owned(), pause.to_string()]);
        }
        Process::start(&words, session, Stdio::piped(), Stdio::inherit())
    }
}

/// Parses the line that `report.lua` prints.
fn figures(output: &str) -> Option<WrkFigures> {
    let line = output
        .lines()
        .find_map(|line| line.strip_prefix("figures "))?;
    let numbers: Vec<u64> = line
        .split(' ')
        .map_while(|word| word.parse().ok())
        .collect();
    let [
        requests,
        time,
        p50,
        p99,
        p999,
        connect,
        read,
        write,
        status,
        timeout,
    ] = numbers[..]
    else {
        return None;
    };
    Some(WrkFigures {
        requests: requests as f64,
        seconds: time as f64 / 1e6,
        p50: p50 as f64,
        p99: p99 as f64,
        p999: p999 as f64,
        errors: Errors {
            connect,
            read,
            write,
            status,
            timeout,
        },
    })
}
