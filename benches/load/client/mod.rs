//! Load that `wrk` cannot generate: responses counted for each connection, slow
//! requests at a fixed rate, and a slow request among quick requests.
//!
//! The client is the bench's own program in another process, which has a
//! process session of its own: `--client counted PORT PATH CONNECTIONS
//! SECONDS`, `--client paced PORT PATH A_SECOND SECONDS`, `--client first-slow
//! PORT new|known CALLS`. It prints its figures as one line of `name=number`.
//! Times are in microseconds.

mod closed;
mod first_slow;
mod paced;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::Result;
use crate::harness::process::Process;
use crate::harness::process::Session;

/// First argument of the client. Only the bench uses it.
pub(crate) const OPTION: &str = "--client";

/// Longest time that a response may take. After it the measurement fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest response, including its head, that this client receives.
const RESPONSE_MAX: usize = 2048;

/// The figures of a client, by name.
pub(crate) type ClientFigures = HashMap<String, f64>;

/// The process of a client.
#[derive(Debug)]
pub(crate) struct Client {
    process: Process,
    /// The process must end within this time.
    patience: Duration,
}

impl Client {
    /// Starts a client in a process of its own.
    ///
    /// # Errors
    ///
    /// If the client does not start.
    pub(crate) fn start(words: &[String], seconds: u64, session: Session) -> Result<Self> {
        let this = std::env::current_exe()?;
        let mut program = vec![this.to_string_lossy().into_owned(), OPTION.to_owned()];
        program.extend_from_slice(words);
        Ok(Self {
            process: Process::start(&program, session, Stdio::piped(), Stdio::inherit())?,
            patience: Duration::from_secs(seconds) + PATIENCE,
        })
    }

    /// Waits for the client to end, and returns its figures.
    ///
    /// # Errors
    ///
    /// If the client fails or does not end in time.
    pub(crate) fn figures(mut self) -> Result<ClientFigures> {
        let mut output = String::new();
        if let Some(mut stdout) = self.process.child().stdout.take() {
            stdout.read_to_string(&mut output)?;
        }
        let status = self.process.wait(self.patience)?;
        if !status.success() {
            return Err(format!("the client failed: {status}").into());
        }
        let figure = |word: &str| -> Option<(String, f64)> {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        Ok(output.split_whitespace().filter_map(figure).collect())
    }
}

/// The main function of the client, with the arguments after `--client`.
///
/// # Errors
///
/// If the arguments are wrong, or the server does not answer with 200.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let figures = match words[..] {
        ["counted", port, path, connections, seconds] => closed::counted(
            port.parse()?,
            path,
            connections.parse()?,
            Duration::from_secs(seconds.parse()?),
        )?,
        ["paced", port, path, a_second, seconds] => paced::paced(
            port.parse()?,
            path,
            a_second.parse()?,
            Duration::from_secs(seconds.parse()?),
        )?,
        ["first-slow", port, kind, calls] => {
            first_slow::first_slow(port.parse()?, kind == "known", calls.parse()?)?
        }
        _ => return Err(format!("unknown load of the client: {}", words.join(" ")).into()),
    };
    let words: Vec<String> = figures
        .iter()
        .map(|(name, number)| format!("{name}={number}"))
        .collect();
    println!("{}", words.join(" "));
    Ok(())
}

/// A keep-alive connection with blocking reads.
struct BlockingConnection {
    stream: TcpStream,
    response: Response,
}

impl BlockingConnection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            response: Response::default(),
        })
    }

    fn ask(&mut self, path: &str) -> Result<()> {
        self.stream.write_all(request(path).as_bytes())?;
        while !self.response.read_from(&mut self.stream)? {}
        Ok(())
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// The response that is being read.
struct Response {
    bytes: [u8; RESPONSE_MAX],
    length: usize,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            bytes: [0; RESPONSE_MAX],
            length: 0,
        }
    }
}

impl Response {
    /// Reads once, and returns whether the response is complete. The next read
    /// then starts the next response.
    ///
    /// # Errors
    ///
    /// If the read fails, the server has closed, or the status is not 200.
    fn read_from(&mut self, stream: &mut impl Read) -> Result<bool> {
        match stream.read(&mut self.bytes[self.length..])? {
            0 => return Err("the server closed a connection, or the response is too long".into()),
            count => self.length += count,
        }
        let bytes = &self.bytes[..self.length];
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(false);
        };
        let head = std::str::from_utf8(&bytes[..end])?;
        if !head.starts_with("HTTP/1.1 200") {
            let line = head.lines().next().unwrap_or_default();
            return Err(format!("the server answered {line}").into());
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or("the response has no Content-Length")?;
        let is_whole = self.length >= end + 4 + length;
        if is_whole {
            self.length = 0;
        }
        Ok(is_whole)
    }
}

/// Whether a nonblocking read found nothing.
fn would_block(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// The percentile of a sorted list, for a share from 0 to 1. Zero for an empty
/// list.
fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().map_or(0.0, microseconds)
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
