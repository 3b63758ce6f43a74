//! `wrk`, the load generator, and what it says.

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

/// What to say where it is not installed.
pub(crate) const MISSING: &str =
    "no `wrk`, the load generator: apt-get install wrk, or https://github.com/wg/wrk";

/// What it is to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// A POST with a body of so many bytes, and no GET.
    pub(crate) post: Option<usize>,
    /// One connection for each request.
    pub(crate) close: bool,
    /// How long each connection pauses before its next request, in milliseconds
    /// on average. With pauses that are long beside the answers, all servers get
    /// the same requests a second.
    pub(crate) pause: Option<u64>,
}

/// What it measured; times in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) errors: Errors,
}

/// Its "Socket errors", and its "Non-2xx or 3xx responses".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    connect: u64,
    read: u64,
    write: u64,
    /// Answers that are not 2xx or 3xx.
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
    /// Runs it for so many seconds.
    ///
    /// # Errors
    ///
    /// When it does not run, or says nothing that is understood.
    pub(crate) fn run(&self, port: u16, seconds: u64, session: Session) -> Result<Figures> {
        let mut wrk = self.start(port, seconds, session)?;
        let mut said = String::new();
        if let Some(mut output) = wrk.child().stdout.take() {
            output.read_to_string(&mut said)?;
        }
        let status = wrk.wait(Duration::from_secs(seconds + 10))?;
        figures(&said)
            .ok_or_else(|| format!("wrk gave no figures, {status} {}", said.trim()).into())
    }

    /// Runs it for a time that is less than the second that it takes at least.
    ///
    /// # Errors
    ///
    /// When it does not run.
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

/// The line of `report.lua`.
fn figures(said: &str) -> Option<Figures> {
    let line = said
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
    Some(Figures {
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
