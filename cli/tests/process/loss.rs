//! A stop under load loses no request.
//!
//! `FAREWELL_ROUNDS=50 cargo test --release --test process loss -- --nocapture`
//! runs 50 rounds of each mode and prints how long the stops took.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::load::Load;
use crate::load::Mode;
use crate::program::Program;

/// How many responses the clients have had when the stop begins.
const ANSWERS: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Signal,
    Request,
}

fn loses_nothing(mode: Mode, stop: Stop) {
    // With FAREWELL_ROUNDS the program has its default options. While other
    // tests load the machine, a client may not be able to send its next request
    // within the default last call, which the contract allows. A longer last
    // call costs nothing here, because every client sends as soon as it runs.
    let (rounds, options): (usize, &[&str]) = match std::env::var("FAREWELL_ROUNDS") {
        Ok(rounds) => (rounds.parse().unwrap(), &[]),
        Err(_) => (3, &["--last-call", "8s"]),
    };
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| round(mode, stop, options, ANSWERS))
        .collect();
    times.sort_unstable();
    println!(
        "{mode:?}, stopped by {stop:?}: {rounds} rounds, 0 lost, 0 truncated; \
         trigger to exit: median {:?}, longest {:?}",
        times[rounds / 2],
        times[rounds - 1]
    );
}

/// Stops the program once under load. Returns the time from the trigger to the
/// exit.
fn round(mode: Mode, stop: Stop, options: &[&str], answers: u64) -> Duration {
    let program = Program::start(options);
    let load = Load::start(program.address, mode, answers);
    load.expect_stop();
    let trigger = Instant::now();
    let confirmations = match stop {
        Stop::Signal => {
            program.signal(Signal::TERM);
            0
        }
        Stop::Request => {
            let response = program.connect().get("/shutdown");
            assert_eq!(response.status, 200);
            assert!(response.body.starts_with("shutting down: "), "{response:?}");
            assert!(response.body.ends_with(" s is cut\n"), "{response:?}");
            1
        }
    };
    let (ended, time) = program.end_since(trigger);
    let counts = load.finish();
    assert_eq!(counts.lost.load(SeqCst), 0, "lost: {}", ended.stdout);
    assert_eq!(
        counts.truncated.load(SeqCst),
        0,
        "truncated: {}",
        ended.stdout
    );
    assert_eq!(counts.wrong.load(SeqCst), 0, "wrong: {}", ended.stdout);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.assert_balanced();
    let answered = counts.answered.load(SeqCst) + confirmations;
    assert_eq!(
        ended.count("requests", "answered"),
        answered,
        "{}",
        ended.stdout
    );
    let connected = counts.connected.load(SeqCst) + confirmations;
    assert_eq!(
        ended.report()["connections"]["accepted"],
        connected,
        "{}",
        ended.stdout
    );
    time
}

#[test]
fn new_connections_stopped_by_sigterm() {
    loses_nothing(Mode::New, Stop::Signal);
}

#[test]
fn new_connections_stopped_by_request() {
    loses_nothing(Mode::New, Stop::Request);
}

#[test]
fn keep_alive_stopped_by_sigterm() {
    loses_nothing(Mode::KeepAlive, Stop::Signal);
}

#[test]
fn keep_alive_stopped_by_request() {
    loses_nothing(Mode::KeepAlive, Stop::Request);
}

#[test]
fn half_of_each_stopped_by_sigterm() {
    loses_nothing(Mode::Half, Stop::Signal);
}

#[test]
fn half_of_each_stopped_by_request() {
    loses_nothing(Mode::Half, Stop::Request);
}

/// 64 clients, and a worker for each sixteenth of them: requests wait for longer than the
/// reserve lets urgent ones wait.
#[test]
fn far_more_clients_than_workers_stopped_by_request() {
    let options = ["--workers", "4", "--work", "5ms", "--last-call", "8s"];
    for mode in [Mode::Half, Mode::KeepAlive] {
        round(mode, Stop::Request, &options, 300);
    }
}
