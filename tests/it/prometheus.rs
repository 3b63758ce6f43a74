//! `promtool` finds nothing wrong with the numbers. Skipped where it is not installed.

use farewell::Request;
use farewell::Router;
use farewell::Server;

use crate::support::TestServer;
use crate::support::config;
use crate::support::prometheus::promtool;

/// A server with routes, one of which has the numbers.
fn with_metrics() -> TestServer {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let routes = Router::new()
        .get("/metrics", server.metrics().handler())
        .get("/users/{id}", |_: Request| "user")
        .build()
        .unwrap();
    TestServer::spawn(server, routes)
}

#[test]
fn promtool_finds_nothing_wrong_with_the_numbers() {
    let server = with_metrics();
    let mut client = server.connect();
    client.get("/users/1");
    client.get("/nowhere");
    let before = client.get("/metrics").body;
    if !promtool(&["check", "metrics"], &before) {
        return;
    }
    server.stop.shutdown();
    let in_a_stop = server.stop.metrics().encode();
    assert!(in_a_stop.contains("farewell_stop_seconds_left "));
    promtool(&["check", "metrics"], &in_a_stop);
}
