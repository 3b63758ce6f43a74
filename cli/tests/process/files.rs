//! The program runs out of file descriptors, and recovers.

#![cfg(target_os = "linux")]

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;

use crate::client::Client;
use crate::program::Program;
use crate::program::command_of;

/// Sets the limit on open files of a running program.
fn limit_files(program: &Program, limit: u64) {
    let new = Rlimit {
        current: Some(limit),
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    rustix::process::prlimit(Some(program.pid()), Resource::Nofile, new).unwrap();
}

/// Sets the limit so that the running program cannot open another file.
fn leave_no_file(program: &Program) {
    let folder = format!("/proc/{}/fd", program.pid().as_raw_nonzero());
    let open: Vec<u64> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|number| number.parse().unwrap())
        .collect();
    // A new file gets the lowest free number.
    let free = (0..).find(|number| !open.contains(number)).unwrap();
    limit_files(program, free);
}

#[test]
fn with_a_low_limit_of_files_connections_wait_in_the_backlog() {
    // The server reserves files for other purposes: three for each shard, and
    // two for each upload that may wait, of which there are half as many as
    // workers.
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let uploads = (8 * cores).max(16) / 2;
    let limit = 36 + 3 * cores + 2 * uploads + 8;
    // The program inherits the limit from the shell.
    let program = Program::spawn(command_of(
        "sh",
        &[
            "-c",
            &format!("ulimit -n {limit}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_farewell"),
        ],
    ));
    let mut clients: Vec<Client> = (0..60).map(|_| program.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    }
    for mut client in clients {
        assert_eq!(client.response().status, 200);
    }
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("allows 8 connections"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.count("requests", "answered"), 60);
}

#[test]
fn accepting_continues_after_running_out_of_files() {
    let program = Program::start(&[]);
    let mut first = program.connect();
    assert_eq!(first.get("/").status, 200);
    leave_no_file(&program);
    let mut waiting: Vec<Client> = (0..5).map(|_| program.connect()).collect();
    for client in &mut waiting {
        client.request("/waited");
    }
    // The open connection is served while new ones cannot be accepted.
    for _ in 0..100 {
        assert_eq!(first.get("/").status, 200);
    }
    limit_files(&program, 1000);
    for client in &mut waiting {
        assert_eq!(client.response().body, "Hello, you requested /waited\n");
    }
    drop((first, waiting));
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("cannot accept connections, retrying"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_program_out_of_files_still_stops() {
    let program = Program::start(&[]);
    let mut first = program.connect();
    assert_eq!(first.get("/").status, 200);
    leave_no_file(&program);
    program.signal(Signal::TERM);
    while !first.get("/").closes() {}
    drop(first);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.report()["abort"], serde_json::Value::Null);
}
