//! Phases, the guard of a server, and the lame duck.

use std::time::Duration;

use farewell::Phase;
use farewell::Trigger;

use crate::support::Client;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

#[test]
fn a_lame_duck_serves_all_clients_and_reports_its_phase() {
    let mut config = config();
    config.lame_duck = Duration::from_secs(1);
    let server = TestServer::start(config, |request: farewell::Request| {
        request.phase().to_string()
    });
    let mut old = server.connect();
    assert_eq!(old.get("/").body, "running");
    server.stop.shutdown();
    assert_eq!(server.stop.phase(), Phase::LameDuck);
    for client in [&mut old, &mut server.connect()] {
        let response = client.get("/");
        assert_eq!(response.body, "lame duck");
        assert!(!response.closes(), "the connection stays open");
    }
    drop(old);
    let report = server.join();
    assert!(report.draining_after.unwrap() >= Duration::from_secs(1));
    assert!(report.all_answered());
}

#[test]
fn an_abort_ends_a_lame_duck() {
    let mut config = config();
    config.lame_duck = TOO_LONG;
    let server = TestServer::hello(config);
    server.stop.shutdown();
    server.stop.abort();
    assert!(server.join().duration < TOO_LONG);
}

#[test]
fn the_phases_can_be_waited_for() {
    let server = TestServer::hello(config());
    let stop = server.stop.clone();
    assert_eq!(stop.phase(), Phase::Running);
    assert_eq!(stop.deadline(), None);
    assert!(!stop.wait_for_timeout(Phase::Draining, Duration::ZERO));
    let waiter = std::thread::spawn({
        let stop = stop.clone();
        move || stop.wait_for(Phase::Stopped)
    });
    stop.shutdown_by(Trigger::Signal);
    assert!(stop.deadline().is_some());
    let report = server.join();
    waiter.join().unwrap();
    assert_eq!(stop.phase(), Phase::Stopped);
    assert_eq!(report.trigger, Trigger::Signal);
}

#[test]
fn dropping_the_guard_stops_the_server_and_waits() {
    let server = farewell::Server::bind("127.0.0.1:0", config()).unwrap();
    let stop = server.shutdown_handle();
    let guard = server.spawn(|_: farewell::Request| "hello").unwrap();
    let address = guard.local_addr();
    assert_eq!(Client::connect(&address).get("/").body, "hello");
    drop(guard);
    assert_eq!(stop.phase(), Phase::Stopped);
    assert!(Client::try_connect(address).is_err());
}

#[test]
fn every_thread_is_joined_and_the_handler_is_dropped() {
    let (gate, bar) = crate::support::Gate::new();
    let server = TestServer::start(config(), crate::support::gated(&gate));
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    assert!(std::sync::Arc::strong_count(&gate) > 1);
    drop(bar);
    client.response();
    drop(client);
    server.stop.shutdown();
    assert_eq!(server.join().threads_left, 0);
    // Each worker holds the handler: this is the last handle, so no worker is left.
    assert_eq!(std::sync::Arc::strong_count(&gate), 1);
}
