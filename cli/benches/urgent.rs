//! How long `/healthz` takes while no worker is free for it: while every handler hangs, with
//! further requests behind them, and while clients keep every worker busy with handlers that
//! take 20 ms. At the end, how long the confirmation of `/shutdown` takes.
//!
//! `cargo bench --bench urgent` takes a minute. A program from another commit, to compare
//! with: `cargo bench --bench urgent -- --program PATH`; it is given five seconds for an
//! answer.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot continue fails")]

#[path = "../../tests/support/client.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod client;

use std::env;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use client::Client;

const WORKERS: usize = 16;
const BEHIND: usize = 40;
const BUSY_CLIENTS: usize = 64;
const PROBES: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    hanging(0);
    hanging(BEHIND);
    busy();
}

/// Every worker is in a call, and so many further requests wait.
fn hanging(behind: usize) {
    let (mut server, address) = start("0s");
    let clients: Vec<Client> = (0..WORKERS + behind)
        .map(|_| {
            let mut client = Client::connect(address);
            client.request("/?delay=60s");
            client
        })
        .collect();
    // The handlers begin within milliseconds.
    thread::sleep(Duration::from_secs(1));
    println!("{WORKERS} handlers hang, {behind} requests wait behind them");
    print_probes(address);
    print("  /shutdown", &[time_of(|| ask(address, "/shutdown"))]);
    server.kill().unwrap();
    server.wait().unwrap();
    drop(clients);
}

/// Clients keep every worker busy.
fn busy() {
    let (mut server, address) = start("20ms");
    let (over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..BUSY_CLIENTS {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !over.load(Relaxed) {
                    assert_eq!(client.get("/").status, 200);
                    answers.fetch_add(1, Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        println!("{BUSY_CLIENTS} clients, {WORKERS} workers, handlers take 20 ms");
        let (before, began) = (answers.load(Relaxed), Instant::now());
        thread::sleep(Duration::from_secs(5));
        let answered = answers.load(Relaxed) - before;
        let rate = answered as f64 / began.elapsed().as_secs_f64();
        println!("  without probes: {rate:.0} answers a second");
        print_probes(address);
        over.store(true, Relaxed);
    });
    server.kill().unwrap();
    server.wait().unwrap();
}

fn print_probes(address: SocketAddr) {
    let new = || time_of(|| ask(address, "/healthz"));
    print("  /healthz, a new connection each", &probes(new));
    let Ok(stream) = connect(address) else { return };
    let kept = || time_of(|| ask_on(&stream, "/healthz", "keep-alive"));
    print("  /healthz, one connection", &probes(kept));
}

/// `None`: no answer in time. Then there are no further probes.
fn probes(mut probe: impl FnMut() -> Option<Duration>) -> Vec<Option<Duration>> {
    let mut times = Vec::new();
    while times.len() < PROBES && times.last() != Some(&None) {
        times.push(probe());
        thread::sleep(PAUSE);
    }
    times
}

fn print(what: &str, times: &[Option<Duration>]) {
    let mut known: Vec<Duration> = times.iter().copied().flatten().collect();
    known.sort_unstable();
    match (known.get(known.len() / 2), known.last()) {
        _ if known.len() < times.len() => println!("{what}: no answer within {PATIENCE:?}"),
        (Some(median), Some(max)) => {
            println!(
                "{what}: median {median:.1?}, max {max:.1?} of {}",
                known.len()
            );
        }
        _ => println!("{what}: none"),
    }
}

fn time_of(probe: impl FnOnce() -> std::io::Result<()>) -> Option<Duration> {
    let began = Instant::now();
    probe().ok().map(|()| began.elapsed())
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<()> {
    ask_on(&connect(address)?, path, "close")
}

fn ask_on(mut stream: &TcpStream, path: &str, connection: &str) -> std::io::Result<()> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n"
    )?;
    let mut answer = [0; 4096];
    let count = stream.read(&mut answer)?;
    assert!(answer[..count].starts_with(b"HTTP/1.1 200 "));
    Ok(())
}

fn start(work: &str) -> (Child, SocketAddr) {
    let mut arguments = env::args().skip_while(|argument| argument != "--program");
    let program = arguments.nth(1);
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_farewell").to_owned());
    let mut server = Command::new(program)
        .args(["--listen", "127.0.0.1:0", "--work", work, "--workers"])
        .arg(WORKERS.to_string())
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut greeting).unwrap();
    let address = greeting
        .split_once("http://")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    // The program may print its report, which is not read.
    thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    (server, address.unwrap())
}
