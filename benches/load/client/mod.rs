//! The load that `wrk` cannot give: each connection counted by itself, slow
//! requests at a rate, and a slow request amid quick ones.
//!
//! It is this same program in a process of its own, so that it can have a
//! process session of its own: `--client counted PORT PATH CONNECTIONS SECONDS`,
//! `--client paced PORT PATH A_SECOND SECONDS`, `--client first-slow PORT new|known
//! CALLS`. What it measured is one line of `name=number`; times are in
//! microseconds.

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

/// The first word of the client's command line; the bench alone gives it.
pub(crate) const OPTION: &str = "--client";

/// How long an answer may take before the measurement has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest response with its head: no load of this client asks for more.
const RESPONSE_MAX: usize = 2048;

/// What a client measured, by name.
pub(crate) type Figures = HashMap<String, f64>;

/// The client's process, as long as it runs.
#[derive(Debug)]
pub(crate) struct Client {
    process: Process,
    /// After this time it must have ended.
    patience: Duration,
}

impl Client {
    /// Starts one in a process of its own.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub(crate) fn start(words: &[String], seconds: u64, session: Session) -> Result<Self> {
        let this = std::env::current_exe()?;
        let mut program = vec![this.to_string_lossy().into_owned(), OPTION.to_owned()];
        program.extend_from_slice(words);
        Ok(Self {
            process: Process::start(&program, session, Stdio::piped(), Stdio::inherit())?,
            patience: Duration::from_secs(seconds) + PATIENCE,
        })
    }

    /// Waits for its end, and for its figures.
    ///
    /// # Errors
    ///
    /// When it fails, or does not end in time.
    pub(crate) fn figures(mut self) -> Result<Figures> {
        let mut said = String::new();
        if let Some(mut output) = self.process.child().stdout.take() {
            output.read_to_string(&mut said)?;
        }
        let status = self.process.wait(self.patience)?;
        if !status.success() {
            return Err(format!("the client failed, {status}").into());
        }
        let figure = |word: &str| -> Option<(String, f64)> {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        Ok(said.split_whitespace().filter_map(figure).collect())
    }
}

/// What the client's process does, with the words after `--client`.
///
/// # Errors
///
/// When the words are not understood, or the server does not answer as it should.
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
        _ => return Err(format!("{} is no load of the client", words.join(" ")).into()),
    };
    let words: Vec<String> = figures
        .iter()
        .map(|(name, number)| format!("{name}={number}"))
        .collect();
    println!("{}", words.join(" "));
    Ok(())
}

/// One keep-alive connection, whose thread waits for each answer.
struct Connection {
    stream: TcpStream,
    response: Response,
}

impl Connection {
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
    /// Reads once, and says whether the response is whole; then the next read is
    /// of the next one.
    ///
    /// # Errors
    ///
    /// When the read fails, the server has closed, or the status is not 200.
    fn read_from(&mut self, stream: &mut impl Read) -> Result<bool> {
        match stream.read(&mut self.bytes[self.length..])? {
            0 => return Err("the server closed a connection, or its answer is too long".into()),
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
        let length = length.ok_or("an answer without a Content-Length")?;
        let is_whole = self.length >= end + 4 + length;
        if is_whole {
            self.length = 0;
        }
        Ok(is_whole)
    }
}

/// Whether a read that does not wait found nothing.
fn would_block(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Where so much of a sorted list is below, from 0 to 1; zero of none.
fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    sorted.get(at).copied().map_or(0.0, microseconds)
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
