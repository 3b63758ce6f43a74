//! What idle and slow clients cost a healthy client: 5 000 idle keep-alive
//! connections, and 500 clients that send a byte of a head each second. Also
//! how long a stop with the idle connections takes.
//!
//! `cargo bench --bench crowd` needs a limit of 12 000 open files.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot continue fails")]

#[path = "../../tests/support/client.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod client;

use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use client::Client;

const IDLE: usize = 5_000;
const SLOW_CLIENTS: usize = 500;
const REQUESTS: usize = 5_000;
const ROUNDS: usize = 5;

fn main() {
    // The number of workers does not depend on the machine.
    let mut server = Command::new(env!("CARGO_BIN_EXE_farewell"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "16",
            "--head-timeout",
            "1h",
        ])
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut greeting).unwrap();
    let address: SocketAddr = greeting
        .split_once("http://")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .unwrap();

    let alone = median_of_rounds(address);
    println!("a healthy client alone: median {alone:?}");

    let idle: Vec<Client> = (0..IDLE)
        .map(|_| {
            let mut client = Client::connect(address);
            assert_eq!(client.get("/").status, 200);
            client
        })
        .collect();
    let with_idle = median_of_rounds(address);
    println!("with {IDLE} idle connections: median {with_idle:?}");

    let done = Arc::new(AtomicBool::new(false));
    let sending = thread::spawn({
        let done = Arc::clone(&done);
        move || send_slowly(address, &done)
    });
    let with_all = median_of_rounds(address);
    println!("with {SLOW_CLIENTS} slow clients too: median {with_all:?}");
    let ratio = with_all.as_secs_f64() / alone.as_secs_f64();
    println!("ratio: {ratio:.2}");
    done.store(true, Relaxed);
    sending.join().unwrap();

    // This thread closes each idle connection when the server has closed it.
    let closing = thread::spawn(move || {
        for mut client in idle {
            client.expect_eof();
        }
    });
    let trigger = Instant::now();
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = server.wait().unwrap();
    let time = trigger.elapsed();
    closing.join().unwrap();
    println!(
        "a stop with {IDLE} idle connections: {time:?} with a last call of 500 ms, exit code {}",
        status.code().unwrap()
    );
}

/// The median latency of requests on one keep-alive connection: the median of
/// all rounds.
fn median_of_rounds(address: SocketAddr) -> Duration {
    let mut medians: Vec<Duration> = (0..ROUNDS).map(|_| median(address)).collect();
    medians.sort_unstable();
    medians[ROUNDS / 2]
}

fn median(address: SocketAddr) -> Duration {
    let mut client = Client::connect(address);
    let mut times: Vec<Duration> = (0..REQUESTS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(client.get("/").status, 200);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[REQUESTS / 2]
}

/// Each client sends a byte a second. The bytes are spread evenly over the
/// second.
fn send_slowly(address: SocketAddr, done: &AtomicBool) {
    let mut clients: Vec<Client> = (0..SLOW_CLIENTS)
        .map(|_| Client::connect(address))
        .collect();
    let between = Duration::from_secs(1) / SLOW_CLIENTS as u32;
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nX-Slow: ");
    }
    while !done.load(Relaxed) {
        for client in &mut clients {
            client.send("x");
            thread::sleep(between);
        }
    }
}
