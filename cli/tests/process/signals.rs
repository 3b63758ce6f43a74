//! Signals that stop the program, and signals that were ignored when it
//! started.

use std::process::Command;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::inherited::is_ignored;
use crate::program::Program;
use crate::program::command_of;

const STOPPING: [Signal; 3] = [Signal::HUP, Signal::INT, Signal::TERM];

const PROGRAM: &str = env!("CARGO_BIN_EXE_farewell");

/// Starts the program from a shell script in which `"$@"` is the program and
/// its options.
fn by_shell(script: &str) -> Command {
    command_of("/bin/sh", &["-c", script, "sh", PROGRAM])
}

/// Starts the program with these signals ignored.
fn ignoring(signals: &str) -> Program {
    let mut command = by_shell(&format!("trap '' {signals}; exec \"$@\""));
    command.env("RUST_LOG", "farewell=debug");
    Program::spawn(command)
}

/// The name of the signal in a shell.
fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::HUP => "HUP",
        Signal::INT => "INT",
        _ => "TERM",
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for ignored in STOPPING {
        let program = ignoring(name(ignored));
        assert!(is_ignored(&program.pid().to_string(), ignored));
        // If the program handled this signal, the next one would be the second
        // of the stop, or part of the same one.
        program.signal(ignored);
        let mut client = program.connect();
        assert_eq!(client.get("/readyz").status, 200);
        let stopped = client.get("/shutdown");
        assert_eq!(stopped.status, 200);
        drop(client);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.report()["trigger"]["by"], "request", "{ignored:?}");
    }
}

#[test]
fn signals_that_were_not_ignored_still_drain_and_cut() {
    for ignored in STOPPING {
        for signal in STOPPING.into_iter().filter(|&signal| signal != ignored) {
            let program = ignoring(name(ignored));
            let mut slow = program.connect();
            slow.request("/slow?delay=300ms");
            program.wait_logged("GET /slow");
            program.signal(ignored);
            program.signal(signal);
            assert_eq!(slow.response().status, 200, "{ignored:?}, {signal:?}");
            drop(slow);
            let ended = program.end();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert_eq!(ended.report()["trigger"]["by"], "signal");
            cuts(ignoring(name(ignored)), signal);
        }
    }
}

#[test]
fn each_signal_cuts_when_it_is_repeated() {
    for signal in STOPPING {
        cuts(Program::start_logging(&[]), signal);
    }
}

/// Expects the second such signal to cut the request.
fn cuts(mut program: Program, signal: Signal) {
    let mut slow = program.connect();
    slow.request("/slow?delay=60s");
    program.wait_logged("GET /slow");
    program.signal(signal);
    // The program ignores signals that follow the first one immediately.
    while program.runs() {
        program.signal(signal);
        std::thread::yield_now();
    }
    let ended = program.end();
    assert_eq!(ended.code, Some(130), "{signal:?}: {}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["trigger"]["by"], "signal");
    assert_eq!(report["abort"]["by"], "signal");
    slow.expect_end();
}

/// The program still serves, and a request stops it.
fn expect_stop_by_request(program: Program) {
    let mut client = program.connect();
    assert_eq!(client.get("/shutdown").status, 200);
    drop(client);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.report()["trigger"]["by"], "request");
}

#[test]
fn a_program_that_ignores_all_three_is_stopped_by_a_request() {
    let program = ignoring("HUP INT TERM");
    for signal in STOPPING {
        program.signal(signal);
    }
    expect_stop_by_request(program);
}

#[test]
fn sighup_does_not_stop_a_program_under_nohup() {
    let program = Program::spawn(by_shell("exec nohup \"$@\""));
    program.signal(Signal::HUP);
    assert_eq!(program.connect().get("/readyz").status, 200);
    expect_stop_by_request(program);
}

#[test]
fn ctrl_c_does_not_stop_a_background_job_of_a_script() {
    // The shell forwards SIGTERM, and ends after its background job.
    let script = r#"
        "$@" &
        job=$!
        trap 'kill -TERM "$job"' TERM
        echo "job $job" >&2
        while ! wait "$job"; do kill -0 "$job" || exit 1; done
    "#;
    let program = Program::spawn(by_shell(script));
    let line = program.wait_logged("job ");
    let id = line.strip_prefix("job ").unwrap();
    assert!(is_ignored(id, Signal::INT), "{id}");
    let id = id.parse().ok().and_then(Pid::from_raw).unwrap();
    rustix::process::kill_process(id, Signal::INT).unwrap();
    let mut client = program.connect();
    assert_eq!(client.get("/readyz").status, 200);
    program.signal(Signal::TERM);
    drop(client);
    let ended = program.end();
    assert_eq!(ended.report()["trigger"]["by"], "signal");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
