//! Every way to stop the program, and its exit code.

use rustix::process::Signal;

use crate::client::Client;
use crate::client::get;
use crate::program::Program;

const LONG: &str = "1h";

#[test]
fn a_signal_before_the_first_request_stops_at_once() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let program = Program::start(&[]);
        program.signal(signal);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{signal:?}: {}", ended.stderr);
        let report = ended.report();
        assert_eq!(report["trigger"]["by"], "signal");
        assert_eq!(report["connections"]["accepted"], 0);
    }
}

#[test]
fn a_stop_by_a_signal_waits_for_a_slow_response() {
    let program = Program::start_logging(&["--last-call", LONG]);
    let mut slow = program.connect();
    slow.request("/x?delay=300ms");
    program.wait_logged("GET /x");
    let mut other = program.connect();
    other.get("/");
    program.signal(Signal::TERM);
    program.wait_stopping(&mut other);
    let response = slow.response();
    assert_eq!(response.body, "Hello, you requested /x\n");
    drop((slow, other));
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn a_second_signal_cuts_and_exits_with_130() {
    let mut program = Program::start_logging(&["--drain-timeout", LONG, "--workers", "1"]);
    let mut slow = program.connect();
    slow.request("/slow?delay=60s");
    program.wait_logged("GET /slow");
    let mut queued = program.connect();
    queued.request("/queued");
    program.signal(Signal::INT);
    // The program ignores signals that follow the first one immediately.
    while program.runs() {
        program.signal(Signal::INT);
        std::thread::yield_now();
    }
    let ended = program.end();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["abort"]["by"], "signal");
    assert_eq!(report["cut"][0]["route"], "GET /slow?delay=60s");
    assert_eq!(report["threads_left"], 1);
    assert_eq!(queued.response().status, 503);
    slow.expect_end();
    ended.assert_balanced();
}

#[test]
fn two_signals_at_once_are_one_stop() {
    let program = Program::start_logging(&[]);
    let mut slow = program.connect();
    slow.request("/slow?delay=500ms");
    program.wait_logged("GET /slow");
    // Like `timeout`, which signals the process and then its group.
    program.signal(Signal::TERM);
    program.signal(Signal::TERM);
    assert_eq!(slow.response().status, 200);
    drop(slow);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn a_signal_after_shutdown_is_the_same_stop() {
    let program = Program::start_logging(&[]);
    let mut slow = program.connect();
    slow.request("/slow?delay=500ms");
    program.wait_logged("GET /slow");
    let mut stop = program.connect();
    assert_eq!(stop.get("/shutdown").status, 200);
    program.signal(Signal::TERM);
    assert_eq!(slow.response().status, 200);
    drop((slow, stop));
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.report()["trigger"]["by"], "request");
}

#[test]
fn the_deadline_cuts_requests_names_them_and_exits_with_3() {
    let program = Program::start_logging(&["--workers", "2", "--drain-timeout", "300ms"]);
    let mut stuck: Vec<Client> = (0..2).map(|_| program.connect()).collect();
    for (number, client) in stuck.iter_mut().enumerate() {
        client.request(&format!("/stuck/{number}?delay=60s"));
        program.wait_logged("GET /stuck");
    }
    // Both workers are busy, so the deadline answers this request.
    let mut waiting = program.connect();
    waiting.request("/");
    program.signal(Signal::TERM);
    assert_eq!(waiting.response().status, 503);
    for client in &mut stuck {
        client.expect_end();
    }
    drop((stuck, waiting));
    let ended = program.end();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["abort"], "deadline");
    assert_eq!(report["threads_left"], 2);
    let mut routes: Vec<_> = report["cut"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cut| cut["route"].as_str().unwrap())
        .collect();
    routes.sort_unstable();
    assert_eq!(routes, ["GET /stuck/0?delay=60s", "GET /stuck/1?delay=60s"]);
    ended.assert_balanced();
}

#[test]
fn a_hundred_shutdowns_at_once_are_each_answered() {
    let program = Program::start(&["--max-connections", "1000"]);
    let mut clients: Vec<Client> = (0..100).map(|_| program.connect()).collect();
    for client in &mut clients {
        client.request("/shutdown");
    }
    for client in &mut clients {
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.closes());
        client.expect_eof();
    }
    drop(clients);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.count("requests", "answered"), 100);
}

#[test]
fn a_lame_duck_serves_while_readyz_answers_503() {
    let program = Program::start(&["--lame-duck", "1s"]);
    let mut client = program.connect();
    assert_eq!(client.get("/readyz").status, 200);
    program.signal(Signal::TERM);
    program.wait_stopping(&mut client);
    let mut late = program.connect();
    assert_eq!(late.get("/late").status, 200);
    assert_eq!(late.get("/healthz").status, 200);
    drop((client, late));
    let ended = program.end();
    assert_eq!(ended.code, Some(0));
    assert!(ended.report()["draining_after_seconds"].as_f64().unwrap() >= 1.0);
}

#[test]
fn two_pipelined_requests_are_both_answered() {
    let program = Program::start_logging(&["--last-call", LONG]);
    let mut client = program.connect();
    client.send(get("/1?delay=300ms") + &get("/2"));
    program.wait_logged("GET /1");
    let mut stop = program.connect();
    stop.get("/shutdown");
    assert_eq!(client.response().body, "Hello, you requested /1\n");
    assert_eq!(client.response().body, "Hello, you requested /2\n");
    drop((client, stop));
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn the_log_names_a_phase_before_its_progress_and_no_time_in_an_abort() {
    let options = ["--drain-timeout", "3s", "--workers", "1"];
    let lingering = ["--linger", LONG, "--linger-max", LONG];
    let program = Program::start_logging(&[options, lingering].concat());
    let mut slow = program.connect();
    slow.request("/slow?delay=60s");
    program.wait_logged("GET /slow");
    let mut queued = program.connect();
    queued.request("/queued");
    program.signal(Signal::TERM);
    let first = program.wait_logged("draining: ");
    assert!(!first.contains("farewell::live"), "{first}");
    let progress = program.wait_logged("farewell::live] draining: ");
    assert!(progress.ends_with(" s left"), "{progress}");
    // The client of the 503 does not close its side, so the abort goes on.
    assert_eq!(queued.response().status, 503);
    let aborting = program.wait_logged("farewell::live] aborting: ");
    assert!(!aborting.contains(" s left"), "{aborting}");
    drop(queued);
    assert_eq!(program.end().code, Some(3));
}
