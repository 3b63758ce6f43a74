//! Requests that have begun before the stop are answered in full.

use std::time::Duration;

use farewell::Trigger;

use crate::support::Gate;
use crate::support::NEVER;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;
use crate::support::get;

#[test]
fn a_handler_that_runs_finishes() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    assert!(server.stop.shutdown_by(Trigger::Call));
    assert!(
        !server.stop.shutdown_by(Trigger::Signal),
        "a second trigger changes nothing"
    );
    drop(bar);
    let response = client.response();
    assert_eq!(response.body, "hello /slow");
    assert!(response.closes());
    client.expect_eof();
    drop(client);
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 answered");
    assert_eq!(report.answered_on_last_call, 0);
}

#[test]
fn both_of_a_pipelined_pair_are_answered_and_the_last_says_close() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.last_call = NEVER;
    let server = TestServer::start(config, gated(&gate));
    let mut client = server.connect();
    client.send(get("/slow/1") + &get("/slow/2"));
    gate.wait_started();
    server.stop.shutdown();
    drop(bar);
    let (first, second) = (client.response(), client.response());
    assert_eq!(
        (first.body.as_str(), first.closes()),
        ("hello /slow/1", false)
    );
    assert_eq!(
        (second.body.as_str(), second.closes()),
        ("hello /slow/2", true)
    );
    client.expect_eof();
}

#[test]
fn a_second_request_in_the_kernels_buffer_is_answered_too() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.last_call = NEVER;
    let server = TestServer::start(config, gated(&gate));
    let mut client = server.connect();
    client.request("/slow/1");
    gate.wait_started();
    client.request("/slow/2");
    server.stop.shutdown();
    drop(bar);
    assert_eq!(client.response().body, "hello /slow/1");
    assert_eq!(client.response().body, "hello /slow/2");
    client.expect_eof();
}

#[test]
fn requests_pipelined_before_the_stop_are_answered_after_the_last_call_too() {
    let mut config = config();
    config.last_call = Duration::ZERO;
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config, gated(&gate));
    let mut client = server.connect();
    client.send(get("/slow") + &get("/2") + &get("/3"));
    gate.wait_started();
    server.stop.shutdown();
    drop(bar);
    assert!(!client.response().closes());
    assert_eq!(client.response().body, "hello /2");
    let last = client.response();
    assert_eq!(last.body, "hello /3");
    assert!(last.closes());
    client.expect_eof();
}

#[test]
fn a_very_long_pipeline_ends_with_the_stop() {
    let mut config = config();
    config.last_call = Duration::ZERO;
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config, gated(&gate));
    let mut client = server.connect();
    // More than the server reads at a time. All of it is sent before the stop.
    let all = 5_000;
    client.request("/slow");
    client.send(get("/more").repeat(all));
    gate.wait_started();
    server.stop.shutdown();
    drop(bar);
    let mut answered = 0;
    while !client.response().closes() {
        answered += 1;
    }
    assert!((1..all).contains(&answered), "{answered}");
    client.expect_eof();
    client.half_close();
    let report = server.join();
    assert_eq!(report.connections.to_string(), "1 crossed the close");
}

#[test]
fn the_rest_of_a_head_and_of_a_body_is_waited_for() {
    let server = TestServer::hello(config());
    let (mut head, mut body) = (server.connect(), server.connect());
    head.send("GET /head HTT");
    body.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    server.wait_in_progress(2);
    server.stop.shutdown();
    // Longer than the last call, which concerns only connections without a request.
    assert!(
        !server
            .stop
            .wait_for_counts(Duration::from_millis(200), |c| c.in_progress < 2)
    );
    head.send("P/1.1\r\nHost: a\r\n\r\n");
    body.send("cd");
    assert_eq!(head.response().body, "hello /head");
    assert_eq!(body.response().body, "hello /body");
    drop((head, body));
    assert!(server.join().all_answered());
}

#[test]
fn a_large_response_under_way_arrives_whole() {
    const SIZE: usize = 32 << 20;
    let server = TestServer::start(config(), |_: farewell::Request| "x".repeat(SIZE));
    let mut client = server.connect();
    client.request("/");
    server.wait_in_progress(1);
    server.stop.shutdown();
    let response = client.response();
    assert_eq!(response.body.len(), SIZE);
    client.expect_eof();
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn a_handler_sees_the_drain_and_its_deadline() {
    let (gate, bar) = Gate::new();
    let at_gate = std::sync::Arc::clone(&gate);
    let server = TestServer::start(config(), move |request: farewell::Request| {
        let before = request.deadline();
        at_gate.pass("");
        format!(
            "{} {} {}",
            before.is_some(),
            request.phase(),
            request.deadline().is_some()
        )
    });
    let mut client = server.connect();
    client.request("/");
    gate.wait_started();
    server.stop.shutdown();
    drop(bar);
    assert_eq!(client.response().body, "false draining true");
}
