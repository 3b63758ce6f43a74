//! What slow clients cost a healthy client, how much memory they take, and how
//! they end: 1 000 clients that send a byte of a head each second, 1 000 that
//! send a byte of a body each second, and 1 000 that read a response of 1 MiB
//! at 1 KiB a second, all at the same time.
//!
//! `cargo bench --bench slow` takes 70 seconds, and needs a limit of 8 000 open
//! files. The server runs in a process of its own with four workers, and the
//! default limits otherwise.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot continue fails")]

#[path = "../tests/support/client.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod client;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use client::Client;
use farewell::Config;
use farewell::Request;
use farewell::Server;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

const EACH: usize = 1_000;
const ANSWER: usize = 1 << 20;
const READ_A_SECOND: usize = 1 << 10;
const WINDOW: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// A kind of slow client, and how the server ends it.
struct Kind {
    name: &'static str,
    request: &'static str,
    sends: bool,
    /// The status of the response that ends it; `None` if the connection is cut
    /// in the middle of its response.
    status: Option<&'static str>,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "that send a body slowly",
        request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n",
        sends: true,
        status: Some("HTTP/1.1 408 "),
    },
    Kind {
        name: "that read a response slowly",
        request: "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        sends: false,
        status: None,
    },
    Kind {
        name: "that send a head slowly",
        request: "GET / HTTP/1.1\r\nX-Slow: ",
        sends: true,
        status: Some("HTTP/1.1 408 "),
    },
];

fn main() {
    if std::env::args().any(|argument| argument == "--serve") {
        return serve();
    }
    let (mut server, address) = start();
    let memory = || (resident(&server), kernel_memory());
    let alone = median(address);
    println!("a healthy client alone: median {alone:?}");
    let (resident_before, kernel_before) = memory();

    let (groups_ready, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ended: Vec<usize> = thread::scope(|scope| {
        let groups: Vec<_> = KINDS
            .iter()
            .map(|kind| scope.spawn(|| run_clients(address, kind, &groups_ready, &over)))
            .collect();
        while groups_ready.load(SeqCst) < KINDS.len() {
            thread::yield_now();
        }
        let with_slow = median(address);
        let (resident, kernel) = memory();
        println!(
            "with {} slow clients: median {with_slow:?}",
            KINDS.len() * EACH
        );
        let ratio = with_slow.as_secs_f64() / alone.as_secs_f64();
        println!("ratio: {ratio:.2}");
        println!(
            "memory of the server: {} KiB, {resident_before} KiB before; of all sockets: {} KiB more than before",
            resident,
            kernel.saturating_sub(kernel_before),
        );
        groups
            .into_iter()
            .map(|group| group.join().unwrap())
            .collect()
    });
    for (kind, ended) in KINDS.iter().zip(ended) {
        let how = kind
            .status
            .unwrap_or("a cut")
            .trim_start_matches("HTTP/1.1 ");
        println!(
            "{ended} of {EACH} clients {} were ended with {how}",
            kind.name
        );
    }
    over.store(true, SeqCst);
    // The server stops when its stdin is closed.
    drop(server.stdin.take());
    server.wait().unwrap();
}

/// The server, which runs until its stdin is closed.
fn serve() {
    let mut config = Config::default();
    config.workers = 4;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    println!("{}", server.local_addr());
    let large: &'static [u8] = vec![b'x'; ANSWER].leak();
    let spawned = server
        .spawn(move |request: Request| match request.uri().path() {
            "/large" => large,
            _ => b"hello",
        })
        .unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    spawned.shutdown_handle().shutdown();
    println!("{}", spawned.join().unwrap());
}

fn start() -> (Child, SocketAddr) {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    thread::spawn(move || {
        for line in stdout.lines() {
            println!("  {}", line.unwrap());
        }
    });
    (server, line.trim().parse().unwrap())
}

/// The median latency of requests on one keep-alive connection, over five
/// seconds.
fn median(address: SocketAddr) -> Duration {
    let mut client = Client::connect(address);
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < WINDOW {
        let before = Instant::now();
        assert_eq!(client.get("/").status, 200);
        times.push(before.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Runs a thousand clients of one kind. Returns how many ended as expected.
fn run_clients(
    address: SocketAddr,
    kind: &Kind,
    groups_ready: &AtomicUsize,
    over: &AtomicBool,
) -> usize {
    let mut clients: Vec<Slow> = (0..EACH).map(|_| Slow::new(address, kind)).collect();
    groups_ready.fetch_add(1, SeqCst);
    let start = Instant::now();
    while clients.iter().any(|client| !client.ended) {
        assert!(start.elapsed() < 90 * SECOND && !over.load(SeqCst));
        let round = Instant::now();
        for client in &mut clients {
            client.send_or_read(kind);
        }
        thread::sleep(SECOND.saturating_sub(round.elapsed()));
    }
    let right = |client: &&Slow| match kind.status {
        Some(status) => client.received.starts_with(status.as_bytes()),
        None => client.count < ANSWER,
    };
    clients.iter().filter(right).count()
}

struct Slow {
    stream: TcpStream,
    /// The first bytes of the response.
    received: Vec<u8>,
    count: usize,
    ended: bool,
}

impl Slow {
    fn new(address: SocketAddr, kind: &Kind) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // A small receive buffer, as the response must not fit into the buffers
        // of this machine.
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(kind.request.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self {
            stream,
            received: Vec::new(),
            count: 0,
            ended: false,
        }
    }

    fn send_or_read(&mut self, kind: &Kind) {
        if self.ended {
            return;
        }
        if kind.sends && self.received.is_empty() {
            // The write fails once the server has ended the connection, which
            // the read shows.
            let _ = self.stream.write(b"x");
        }
        let mut buffer = [0; READ_A_SECOND];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.count += count;
                if self.received.len() < 100 {
                    self.received.extend_from_slice(&buffer[..count]);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.ended = true,
        }
    }
}

/// Resident memory of the server, in KiB.
fn resident(server: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// Memory of all TCP sockets of this machine, in KiB.
fn kernel_memory() -> u64 {
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap();
    let line = sockets
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .unwrap();
    let pages: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    pages * 4
}
