//! A stop is bounded: at the deadline, or at an abort, the server cuts what is left,
//! and the report names it.

use std::time::Duration;

use farewell::Abort;
use farewell::ConnectionOutcome;
use farewell::Phase;
use farewell::RequestOutcome;
use farewell::Trigger;

use crate::support::Gate;
use crate::support::NEVER;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;

const SOON: Duration = Duration::from_millis(200);

#[test]
fn stuck_handlers_are_named_and_the_queue_is_answered_503() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 2;
    config.drain_timeout = SOON;
    let server = TestServer::start(config, gated(&gate));
    let mut stuck: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for (n, client) in stuck.iter_mut().enumerate() {
        client.request(&format!("/slow/{n}"));
        gate.wait_started();
    }
    let mut queued: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut queued {
        client.request("/queued");
    }
    server.wait_open(7);
    server.stop.shutdown();
    for client in &mut queued {
        let response = client.response();
        assert_eq!(response.status, 503);
        assert!(
            response.closes() && response.has("retry-after: 1"),
            "{response:?}"
        );
        client.expect_eof();
    }
    for client in &mut stuck {
        client.expect_end();
    }
    drop(queued);
    let report = server.join();
    assert_eq!(report.abort, Some(Abort::Deadline));
    assert!(!report.all_answered());
    assert_eq!(report.requests.to_string(), "5 answered 503, 2 cut");
    assert_eq!(report.threads_left, 2);
    let mut routes: Vec<_> = report.cut.iter().map(|cut| cut.route.as_str()).collect();
    routes.sort_unstable();
    assert_eq!(routes, ["GET /slow/0", "GET /slow/1"]);
    for cut in &report.cut {
        assert!(cut.handler_running && cut.age >= SOON, "{cut:?}");
    }
    let text = report.to_string();
    assert!(text.contains("GET /slow/1 for 127.0.0.1:"), "{text}");
    drop(bar);
}

#[test]
fn the_report_escapes_the_targets_of_requests() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.drain_timeout = SOON;
    let server = TestServer::start(config, gated(&gate));
    let mut client = server.connect();
    client.request("/slow\u{9b}2J\u{202e}\u{2028}\u{feff}\\?\u{fc}");
    gate.wait_started();
    server.stop.shutdown();
    client.expect_end();
    let report = server.join();
    let route = r"GET /slow\xc2\x9b2J\xe2\x80\xae\xe2\x80\xa8\xef\xbb\xbf\\?\xc3\xbc";
    assert_eq!(report.cut[0].route, route);
    let text = report.to_string();
    assert!(text.contains(route) && text.is_ascii(), "{text}");
    drop(bar);
}

#[test]
fn a_client_that_never_reads_is_cut_and_named() {
    let mut config = config();
    config.drain_timeout = SOON;
    let large = bytes::Bytes::from(vec![b'x'; 64 << 20]);
    let server = TestServer::start(config, move |_: farewell::Request| large.clone());
    let mut client = server.connect();
    client.request("/large");
    client.wait_readable();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 cut");
    assert_eq!(report.cut[0].route, "GET /large");
    assert_eq!(report.cut[0].peer, client.address());
    assert!(!report.cut[0].handler_running);
    client.expect_end();
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_request_is_answered_503() {
    let mut config = config();
    config.drain_timeout = SOON;
    let server = TestServer::hello(config);
    let (mut head, mut body) = (server.connect(), server.connect());
    head.send("GET / HTT");
    body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    server.wait_in_progress(2);
    server.stop.shutdown();
    for client in [&mut head, &mut body] {
        assert_eq!(client.response().status, 503);
        client.expect_eof();
    }
    drop((head, body));
    assert_eq!(server.join().requests.to_string(), "2 answered 503");
}

#[test]
fn idle_connections_are_closed_and_not_cut() {
    let mut config = config();
    config.drain_timeout = SOON;
    config.last_call = NEVER;
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.get("/");
    server.stop.shutdown();
    client.expect_eof();
    drop(client);
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::ClosedIdle), 1);
    assert!(report.all_answered());
}

#[test]
fn an_abort_cuts_at_once() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 1;
    config.last_call = NEVER;
    let server = TestServer::start(config, gated(&gate));
    let (mut stuck, mut queued, idle) = (server.connect(), server.connect(), server.connect());
    stuck.request("/slow");
    gate.wait_started();
    queued.request("/queued");
    server.wait_open(3);
    server.stop.shutdown_by(Trigger::Signal);
    assert!(server.stop.abort_by(Trigger::Signal));
    assert!(
        !server.stop.abort_by(Trigger::Call),
        "a second abort changes nothing"
    );
    let report = server.join();
    assert_eq!(report.abort, Some(Abort::Requested(Trigger::Signal)));
    assert_eq!(report.requests.to_string(), "1 answered 503, 1 cut");
    assert_eq!(queued.response().status, 503);
    stuck.expect_end();
    drop((idle, bar));
}

#[test]
fn an_abort_without_a_shutdown_stops_too() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.get("/");
    server.stop.abort();
    let report = server.join();
    assert_eq!(report.trigger, Trigger::Call);
    assert_eq!(report.requests.count(RequestOutcome::Answered), 1);
    assert!(report.all_answered());
}

#[test]
fn a_zero_drain_timeout_cuts_at_once() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.drain_timeout = Duration::ZERO;
    let server = TestServer::start(config, gated(&gate));
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    server.stop.shutdown();
    assert_eq!(server.join().requests.to_string(), "1 cut");
    drop(bar);
}

#[test]
fn a_drain_waits_until_the_last_client_has_closed() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.request("/");
    client.response();
    let mut last = server.connect();
    last.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    last.response();
    server.stop.shutdown();
    drop(client);
    assert!(
        server
            .stop
            .wait_for_counts(TOO_LONG, |counts| counts.open == 1)
    );
    drop(last);
    assert_eq!(server.join().connections.to_string(), "2 completed");
}

#[test]
fn the_deadline_ends_every_wait_for_a_client() {
    let mut config = config();
    // Only the deadline ends these waits in time.
    config.linger = NEVER;
    config.linger_max = NEVER;
    config.last_call = NEVER;
    config.drain_timeout = Duration::from_millis(200);
    let server = TestServer::hello(config);
    let silent = server.connect();
    let mut idle = server.connect();
    assert_eq!(idle.get("/").status, 200);
    let mut answered = server.connect();
    answered.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(answered.response().status, 200);
    let mut refused = server.connect();
    refused.send("NONSENSE\r\n\r\n");
    assert_eq!(refused.response().status, 400);
    let mut sending = server.connect();
    sending.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n");
    sending.wait_readable();
    let sends = std::thread::spawn(move || while sending.try_send([b'x'; 1000]).is_ok() {});

    server.wait_open(5);
    server.stop.shutdown();
    assert!(server.stop.wait_for_timeout(Phase::Stopped, TOO_LONG));
    let report = server.join();
    assert!(report.all_answered(), "{report}");
    assert_eq!(report.abort, Some(Abort::Deadline));
    assert!(
        report.summary().contains(", ended by the drain deadline: "),
        "{report}"
    );
    assert_eq!(
        report.connections.to_string(),
        "2 closed idle, 3 delivery unconfirmed"
    );
    sends.join().unwrap();
    drop((silent, idle, answered, refused));
}
