//! A stop serves every connection that the kernel has accepted: connections with a
//! worker, connections that wait for a worker, and connections in the backlog.

use std::net::TcpStream;

use farewell::Report;
use farewell::Server;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;

#[test]
fn more_requests_than_workers_are_all_answered() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 2;
    let server = TestServer::start(config, gated(&gate));
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.request("/slow");
    }
    gate.wait_started();
    gate.wait_started();
    server.wait_open(20);
    server.stop.shutdown();
    drop(bar);
    for client in &mut clients {
        let response = client.response();
        assert_eq!(response.body, "hello /slow");
        assert!(response.closes());
        client.expect_eof();
    }
    drop(clients);
    assert!(server.join().all_answered());
}

#[test]
fn connections_beyond_max_connections_are_served_from_the_backlog() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 2;
    config.max_connections = 2;
    config.last_call = TOO_LONG;
    let server = TestServer::start(config, gated(&gate));
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.request("/slow");
    }
    gate.wait_started();
    gate.wait_started();
    assert_eq!(server.stop.counts().open, 2);
    server.stop.shutdown();
    drop(bar);
    let answers = clients.into_iter().map(|mut client| client.response());
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.body == "hello /slow")
    );
    let report = server.join();
    assert_eq!(report.accepted, 10);
    assert!(report.all_answered());
}

/// Sends a request on each connection of a server that does not serve yet, stops it, has it
/// serve, and expects that each request is answered.
fn report_of_a_stop_before_the_start(server: Server, mut clients: Vec<Client>) -> Report {
    for client in &mut clients {
        client.request("/");
    }
    server.shutdown_handle().shutdown();
    let server = TestServer::spawn(server, |_: farewell::Request| "hello");
    for client in &mut clients {
        assert_eq!(client.response().body, "hello");
    }
    drop(clients);
    server.join()
}

#[test]
fn a_stop_before_the_start_serves_the_backlog() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let clients: Vec<_> = (0..5)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    let report = report_of_a_stop_before_the_start(server, clients);
    assert_eq!(report.accepted, 5);
    assert_eq!(report.answered_on_last_call, 5);
}

#[test]
fn nothing_is_lost_where_new_connections_cannot_be_refused_and_none_comes_late() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 1;
    config.refuse_new_connections = false;
    let server = TestServer::start(config, gated(&gate));
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.request("/slow");
    }
    gate.wait_started();
    server.stop.shutdown();
    drop(bar);
    for client in &mut clients {
        assert_eq!(client.response().body, "hello /slow");
    }
    drop(clients);
    let report = server.join();
    assert_eq!(report.accepted, 20);
    assert_eq!(report.refusing_after, None);
}

#[test]
fn a_backlog_that_is_given_up_is_in_the_report() {
    let mut config = config();
    config.refuse_new_connections = false;
    config.handshake_grace = std::time::Duration::ZERO;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let clients: Vec<_> = (0..5)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    server.shutdown_handle().shutdown();
    let server = TestServer::spawn(server, |_: farewell::Request| "hello");
    drop(clients);
    let report = server.join();
    assert_eq!(report.accepted, 1, "the grace of zero is for one accept");
    assert!(report.backlog_abandoned);
    assert!(!report.all_answered());
}

#[test]
fn an_empty_backlog_is_not_given_up() {
    let mut config = config();
    config.refuse_new_connections = false;
    config.handshake_grace = std::time::Duration::ZERO;
    let server = TestServer::start(config, |_: farewell::Request| "hello");
    server.stop.shutdown();
    let report = server.join();
    assert!(!report.backlog_abandoned);
    assert!(report.all_answered());
}

/// Beyond the 128 that the standard library asks for, and so many that the test needs
/// few files.
const BURST: usize = 200;

/// The limit of Linux for the length of an accept queue. Zero on other systems.
fn somaxconn() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    limit.map_or(0, |limit| limit.trim().parse().unwrap())
}

#[test]
fn a_burst_before_the_start_waits_in_the_backlog_and_is_served() {
    if somaxconn() < BURST {
        return;
    }
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let address = server.local_addr().socket_addr().unwrap();
    // In a queue that is full, the handshake of a client waits for room in the queue.
    let connect = |_| {
        let stream = TcpStream::connect_timeout(&address, TOO_LONG).unwrap();
        Client::over(stream).unwrap()
    };
    let clients: Vec<_> = (0..BURST).map(connect).collect();
    let report = report_of_a_stop_before_the_start(server, clients);
    assert_eq!(report.accepted, BURST as u64);
    assert!(report.all_answered(), "{report}");
}
