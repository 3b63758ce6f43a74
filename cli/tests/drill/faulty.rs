//! A server that stops badly, in a way that its first argument selects.
//!
//! `faulty FAULT PORT` answers every request after 2 ms until it gets SIGTERM
//! or a request for `/shutdown`.

#![allow(
    clippy::unwrap_used,
    reason = "a test server that cannot continue fails"
)]
#![allow(clippy::exit, reason = "most faults are an exit at the wrong moment")]

use std::env;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

/// Keeps requests in flight at any time.
const WORK: Duration = Duration::from_millis(2);

/// How long a server keeps serving after the stop, unless its fault is an exit.
const GRACE: Duration = Duration::from_millis(100);

/// The fault `dies` exits after this many responses.
const RESPONSES_MAX: usize = 100;

static STOPPING: AtomicBool = AtomicBool::new(false);
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Exits at the signal with code 7.
    ExitsAtOnce,
    /// Serves one connection at a time, and exits with connections in the
    /// backlog.
    LeavesBacklog,
    /// After the stop, reads requests and closes without a response.
    ClosesUnanswered,
    /// After the stop, closes with unread input, which resets the connection.
    Resets,
    /// After the stop, sends less than its `Content-Length` says.
    TruncatesLength,
    /// After the stop, sends no last chunk.
    TruncatesChunks,
    /// After the stop, answers with 503.
    Answers503,
    /// Does not listen.
    NeverListens,
    /// Listens, but does not answer.
    NeverAnswers,
    /// Exits without a signal.
    ExitsEarly,
    /// Does not stop.
    NeverStops,
    /// Answers every request with 404.
    AlwaysAnswers404,
    /// Answers a POST with 405.
    RejectsPost,
    /// Answers every request with 503.
    AlwaysAnswers503,
    /// Leaves its session and its process group.
    LeavesGroup,
    /// Starts another process that serves in a process group of its own, and
    /// exits.
    GoesToBackground,
}

impl Fault {
    fn named(name: &str) -> Self {
        match name {
            "exits-at-once" => Self::ExitsAtOnce,
            "leaves-backlog" => Self::LeavesBacklog,
            "closes-unanswered" => Self::ClosesUnanswered,
            "resets" => Self::Resets,
            "truncates-length" => Self::TruncatesLength,
            "truncates-chunks" => Self::TruncatesChunks,
            "answers-503" => Self::Answers503,
            "never-listens" => Self::NeverListens,
            "never-answers" => Self::NeverAnswers,
            "exits-early" => Self::ExitsEarly,
            "never-stops" => Self::NeverStops,
            "always-answers-404" => Self::AlwaysAnswers404,
            "rejects-post" => Self::RejectsPost,
            "always-answers-503" => Self::AlwaysAnswers503,
            "leaves-group" => Self::LeavesGroup,
            "goes-to-background" => Self::GoesToBackground,
            _ => panic!("unknown fault: {name}"),
        }
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [fault, port] = arguments.as_slice() else {
        panic!("usage: faulty FAULT PORT");
    };
    let fault = Fault::named(fault);
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).unwrap();
    thread::spawn(move || signals.forever().for_each(|_| stop(fault)));
    match fault {
        Fault::NeverListens => thread::park(),
        #[cfg(unix)]
        Fault::LeavesGroup => _ = rustix::process::setsid().unwrap(),
        Fault::GoesToBackground => {
            let mut server = process::Command::new(env::current_exe().unwrap());
            server.args(["leaves-group", port]).spawn().unwrap();
            process::exit(0);
        }
        _ => {}
    }
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    for stream in listener.incoming().flatten() {
        // Without this, a response could wait in the kernel and be lost at the
        // exit.
        stream.set_nodelay(true).unwrap();
        if fault == Fault::LeavesBacklog {
            if STOPPING.load(SeqCst) {
                process::exit(0);
            }
            // The client of this connection gets a complete response.
            // Connections in the backlog do not.
            let _ = exchange(&mut BufReader::new(stream), fault);
        } else {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Ok(AfterResponse::KeepOpen) = exchange(&mut stream, fault) {}
            });
        }
    }
}

fn stop(fault: Fault) {
    STOPPING.store(true, SeqCst);
    match fault {
        Fault::ExitsAtOnce => process::exit(7),
        Fault::LeavesBacklog | Fault::NeverStops => {}
        _ => {
            thread::sleep(GRACE);
            process::exit(0);
        }
    }
}

/// What happens to the connection after a response.
enum AfterResponse {
    KeepOpen,
    Close,
}

fn exchange(stream: &mut BufReader<TcpStream>, fault: Fault) -> io::Result<AfterResponse> {
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(AfterResponse::Close);
    }
    if fault == Fault::Resets && STOPPING.load(SeqCst) {
        let socket = stream.get_ref();
        // The reader may have buffered all of the input. Without unread input,
        // `close` sends a FIN, so the reset is forced.
        socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
        return Ok(AfterResponse::Close);
    }
    let length = rest_of_head(stream)?;
    io::copy(&mut stream.take(length), &mut io::sink())?;
    if first.contains(" /shutdown ") {
        process::exit(0);
    }
    thread::sleep(WORK);
    if fault == Fault::NeverAnswers {
        thread::park();
    }
    if fault == Fault::ExitsEarly && ANSWERED.fetch_add(1, SeqCst) == RESPONSES_MAX {
        process::exit(3);
    }
    answer(stream.get_mut(), fault, first.starts_with("POST "))
}

/// Reads the header fields, and returns the length of the body.
fn rest_of_head(stream: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().unwrap();
        }
        if line.trim_end().is_empty() {
            return Ok(length);
        }
    }
}

fn answer(stream: &mut TcpStream, fault: Fault, is_post: bool) -> io::Result<AfterResponse> {
    let bad = match fault {
        _ if !STOPPING.load(SeqCst) => None,
        Fault::ClosesUnanswered => Some(""),
        Fault::TruncatesLength => Some("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"),
        Fault::TruncatesChunks => {
            Some("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        }
        Fault::Answers503 => Some(
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        _ => None,
    };
    if let Some(bad) = bad {
        stream.write_all(bad.as_bytes())?;
        return Ok(AfterResponse::Close);
    }
    let (close, next) = match fault {
        Fault::LeavesBacklog => ("Connection: close\r\n", AfterResponse::Close),
        _ => ("", AfterResponse::KeepOpen),
    };
    let status = match fault {
        Fault::AlwaysAnswers404 => "404 Not Found",
        Fault::RejectsPost if is_post => "405 Method Not Allowed",
        Fault::AlwaysAnswers503 => "503 Service Unavailable",
        _ => "200 OK",
    };
    let whole = format!("HTTP/1.1 {status}\r\n{close}Content-Length: 5\r\n\r\nhello");
    stream.write_all(whole.as_bytes())?;
    Ok(next)
}
