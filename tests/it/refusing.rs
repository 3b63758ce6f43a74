//! From the trigger on, the kernel refuses new connections; the server never accepts
//! and then drops them.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::net::TcpStream;

use farewell::Ownership;
use farewell::Server;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;

#[cfg(target_os = "linux")]
#[test]
fn new_connections_are_refused_while_a_handler_runs() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    server.stop.shutdown();
    let deadline = std::time::Instant::now() + TOO_LONG;
    // Connections that are still accepted are served, until the kernel refuses.
    let refused = loop {
        match Client::try_connect(server.address()) {
            Ok(mut late) => assert_eq!(late.get("/late").body, "hello /late"),
            Err(error) => break error,
        }
        assert!(
            std::time::Instant::now() < deadline,
            "new connections are still accepted"
        );
    };
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(bar);
    assert_eq!(client.response().body, "hello /slow");
    drop(client);
    let report = server.join();
    assert!(report.refusing_after.is_some());
    assert!(report.all_answered());
}

#[test]
fn a_shared_listener_stays_open_for_the_next_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = listener.try_clone().unwrap();
    let server = Server::from_listener(ours, Ownership::Shared, config()).unwrap();
    let server = TestServer::spawn(server, |_: farewell::Request| "first");
    let address = server.address();
    assert_eq!(server.connect().get("/").body, "first");
    server.stop.shutdown();
    assert!(server.join().all_answered());

    // Between the two servers no connection is accepted, and none is refused.
    let mut between = Client::connect(address);
    between.request("/");
    let server = Server::from_listener(listener, Ownership::Sole, config()).unwrap();
    let server = TestServer::spawn(server, |_: farewell::Request| "second");
    assert_eq!(between.response().body, "second");
    drop(between);
    server.stop.shutdown();
    assert!(server.join().all_answered());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_server_without_connections_stops() {
    let server = TestServer::hello(config());
    let address = server.address();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.accepted, 0, "the acceptor's wake-up is not counted");
    assert!(TcpStream::connect(address).is_err());
}
