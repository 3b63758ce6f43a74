//! Threads that have nothing to do with a request are not woken for it.

#![cfg(target_os = "linux")]

use std::fs;

use rustix::process::Signal;

use crate::client::Client;
use crate::program::Program;

/// How often a thread of the program has gone to sleep so far.
fn sleeps(program: &Program, thread: &str) -> u64 {
    let tasks = format!("/proc/{}/task", program.pid().as_raw_nonzero());
    for task in fs::read_dir(tasks).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap().trim().to_owned()
        };
        if value("Name:") == thread {
            return value("voluntary_ctxt_switches:").parse().unwrap();
        }
    }
    panic!("no thread {thread}");
}

/// Sends requests, one after another, and gives how often the thread has gone to
/// sleep meanwhile.
fn sleeps_during_requests(program: &Program, client: &mut Client, thread: &str) -> u64 {
    // After an answer every thread is there.
    assert_eq!(client.get("/").status, 200);
    let before = sleeps(program, thread);
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").status, 200);
    }
    sleeps(program, thread) - before
}

const REQUESTS: u64 = 500;

/// A thread may be woken for other reasons, a few times.
const FEW: u64 = REQUESTS / 20;

#[test]
fn at_the_limit_of_connections_a_request_does_not_wake_the_acceptor() {
    let program = Program::start(&["--max-connections", "2"]);
    let (mut client, _other) = (program.connect(), program.connect());
    let mut waiting = program.connect();
    waiting.request("/");
    let woken = sleeps_during_requests(&program, &mut client, "farewell-accept");
    assert!(woken < FEW, "{woken} times for {REQUESTS} requests");
    drop(client);
    assert_eq!(waiting.response().status, 200);
}

#[test]
fn in_a_lame_duck_a_request_does_not_wake_the_draining_thread() {
    let program = Program::start(&["--lame-duck", "60s"]);
    let mut client = program.connect();
    program.signal(Signal::TERM);
    while client.get("/readyz").status == 200 {}
    let woken = sleeps_during_requests(&program, &mut client, "farewell");
    assert!(woken < FEW, "{woken} times for {REQUESTS} requests");
}
