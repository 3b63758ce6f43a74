//! A request does not wake threads that do not serve it.

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

/// Sends requests one after another, and returns how often the thread went to
/// sleep during them.
fn sleeps_during_requests(program: &Program, client: &mut Client, thread: &str) -> u64 {
    // After the first response every thread has started.
    assert_eq!(client.get("/").status, 200);
    let before = sleeps(program, thread);
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/").status, 200);
    }
    sleeps(program, thread) - before
}

const REQUESTS: u64 = 500;

/// Wake-ups that may have other causes.
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
