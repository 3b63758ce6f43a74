//! A connection with nothing in progress may still begin a request, for
//! `last_call`; then it is closed in good order.

use farewell::ConnectionOutcome;
use farewell::Phase;

use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

#[test]
fn idle_and_fresh_connections_may_begin_one_more_request() {
    let mut config = config();
    config.last_call = TOO_LONG;
    let server = TestServer::hello(config);
    let (mut used, mut fresh) = (server.connect(), server.connect());
    assert!(!used.get("/1").closes());
    server.wait_open(2);
    server.stop.shutdown();
    for client in [&mut used, &mut fresh] {
        let response = client.get("/2");
        assert_eq!(response.body, "hello /2");
        assert!(response.closes());
        client.expect_eof();
    }
    drop((used, fresh));
    let report = server.join();
    assert_eq!(report.answered_on_last_call, 2);
    assert_eq!(report.connections.to_string(), "2 completed");
}

#[test]
fn a_connection_without_a_request_is_closed_when_it_is_over() {
    let server = TestServer::hello(config());
    let (mut used, mut fresh) = (server.connect(), server.connect());
    used.get("/");
    server.wait_open(2);
    server.stop.shutdown();
    for client in [&mut used, &mut fresh] {
        client.expect_eof();
    }
    drop((used, fresh));
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::ClosedIdle), 2);
    assert!(report.duration >= std::time::Duration::from_millis(100));
    assert!(report.all_answered());
}

#[test]
fn what_crosses_the_close_is_told_in_the_report() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    server.wait_open(1);
    server.stop.shutdown();
    client.expect_eof();
    client.request("/too-late");
    client.half_close();
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::CrossedClose), 1);
}

#[test]
fn a_zero_last_call_closes_idle_connections_at_once() {
    let mut config = config();
    config.last_call = std::time::Duration::ZERO;
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.get("/");
    server.stop.shutdown();
    client.expect_eof();
    drop(client);
    assert_eq!(
        server
            .join()
            .connections
            .count(ConnectionOutcome::ClosedIdle),
        1
    );
}

#[test]
fn a_connection_whose_answer_says_close_gets_no_last_call() {
    let (gate, bar) = crate::support::Gate::new();
    let server = TestServer::start(config(), crate::support::gated(&gate));
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    server.stop.shutdown();
    server.stop.wait_for(Phase::Draining);
    drop(bar);
    assert!(client.response().closes());
    client.expect_eof();
}
