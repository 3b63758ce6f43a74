//! A server that stops badly, in a way of its user's choice.
//!
//! `faulty FAULT PORT` answers every request after 2 ms, until SIGTERM or a
//! request for `/shutdown`.

#![allow(
    clippy::unwrap_used,
    reason = "a test's server that cannot go on fails"
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

/// So that at any time there are requests in flight.
const WORK: Duration = Duration::from_millis(2);

/// How long the faults that are no exit show themselves.
const GRACE: Duration = Duration::from_millis(100);

/// A server that dies does so after this many answers.
const LIFE: usize = 100;

static STOPPING: AtomicBool = AtomicBool::new(false);
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Exits at the signal, with code 7.
    ExitsAtOnce,
    /// Serves one after the other, and leaves the backlog behind.
    LeavesBacklog,
    /// Reads requests, and closes without an answer.
    Swallows,
    /// Closes with unread input, which resets.
    Resets,
    /// Sends less than the length says.
    TruncatesLength,
    /// Sends no last chunk.
    TruncatesChunks,
    /// Answers 503.
    Apologizes,
    /// Never listens.
    IsAbsent,
    /// Listens, and answers nobody.
    IsMute,
    /// Exits by itself.
    Dies,
    /// Does not stop.
    Stays,
    /// Answers everything with 404.
    KnowsNothing,
    /// Answers a POST with 405.
    TakesNoPost,
    /// Answers everything with 503.
    Fails,
    /// Leaves the session and the group that it was started in.
    LeavesGroup,
    /// Has another process serve in a group of its own, and exits.
    GoesToBackground,
}

impl Fault {
    fn named(name: &str) -> Self {
        match name {
            "exits-at-once" => Self::ExitsAtOnce,
            "leaves-backlog" => Self::LeavesBacklog,
            "swallows" => Self::Swallows,
            "resets" => Self::Resets,
            "truncates-length" => Self::TruncatesLength,
            "truncates-chunks" => Self::TruncatesChunks,
            "apologizes" => Self::Apologizes,
            "is-absent" => Self::IsAbsent,
            "is-mute" => Self::IsMute,
            "dies" => Self::Dies,
            "stays" => Self::Stays,
            "knows-nothing" => Self::KnowsNothing,
            "takes-no-post" => Self::TakesNoPost,
            "fails" => Self::Fails,
            "leaves-group" => Self::LeavesGroup,
            "goes-to-background" => Self::GoesToBackground,
            _ => panic!("no such fault: {name}"),
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
        Fault::IsAbsent => thread::park(),
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
        // What is answered leaves at once, and is not in flight at the exit.
        stream.set_nodelay(true).unwrap();
        if fault == Fault::LeavesBacklog {
            if STOPPING.load(SeqCst) {
                process::exit(0);
            }
            // Whoever is answered finds an end there. Those who wait do not.
            let _ = exchange(&mut BufReader::new(stream), fault);
        } else {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Ok(Next::Request) = exchange(&mut stream, fault) {}
            });
        }
    }
}

fn stop(fault: Fault) {
    STOPPING.store(true, SeqCst);
    match fault {
        Fault::ExitsAtOnce => process::exit(7),
        Fault::LeavesBacklog | Fault::Stays => {}
        _ => {
            thread::sleep(GRACE);
            process::exit(0);
        }
    }
}

/// What follows on a connection.
enum Next {
    Request,
    Close,
}

fn exchange(stream: &mut BufReader<TcpStream>, fault: Fault) -> io::Result<Next> {
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(Next::Close);
    }
    if fault == Fault::Resets && STOPPING.load(SeqCst) {
        let socket = stream.get_ref();
        // What the buffer has taken would not be unread, and a FIN would do.
        socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
        return Ok(Next::Close);
    }
    let length = rest_of_head(stream)?;
    io::copy(&mut stream.take(length), &mut io::sink())?;
    if first.contains(" /shutdown ") {
        process::exit(0);
    }
    thread::sleep(WORK);
    if fault == Fault::IsMute {
        thread::park();
    }
    if fault == Fault::Dies && ANSWERED.fetch_add(1, SeqCst) == LIFE {
        process::exit(3);
    }
    answer(stream.get_mut(), fault, first.starts_with("POST "))
}

/// Reads the fields, and gives the length of the body.
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

fn answer(stream: &mut TcpStream, fault: Fault, is_post: bool) -> io::Result<Next> {
    let bad = match fault {
        _ if !STOPPING.load(SeqCst) => None,
        Fault::Swallows => Some(""),
        Fault::TruncatesLength => Some("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"),
        Fault::TruncatesChunks => {
            Some("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        }
        Fault::Apologizes => Some(
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        _ => None,
    };
    if let Some(bad) = bad {
        stream.write_all(bad.as_bytes())?;
        return Ok(Next::Close);
    }
    let (close, next) = match fault {
        Fault::LeavesBacklog => ("Connection: close\r\n", Next::Close),
        _ => ("", Next::Request),
    };
    let status = match fault {
        Fault::KnowsNothing => "404 Not Found",
        Fault::TakesNoPost if is_post => "405 Method Not Allowed",
        Fault::Fails => "503 Service Unavailable",
        _ => "200 OK",
    };
    let whole = format!("HTTP/1.1 {status}\r\n{close}Content-Length: 5\r\n\r\nhello");
    stream.write_all(whole.as_bytes())?;
    Ok(next)
}
