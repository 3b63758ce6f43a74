//! What the workers do at this moment.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use farewell::Activity;
use farewell::Body;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use farewell::Server;
use farewell::UserCode;
use http::Method;

use crate::support::Bar;
use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;
use crate::support::get;

/// Passes the gate in its drop.
struct PassesInDrop(Arc<Gate>);

impl Drop for PassesInDrop {
    fn drop(&mut self) {
        self.0.pass("drop");
    }
}

/// A server whose code waits at the gate: in a handler, in a piece of a body, in the drop
/// of a body.
fn gated_server() -> (TestServer, Arc<Gate>, Bar) {
    let (gate, bar) = Gate::new();
    let (of_piece, of_drop) = (Arc::clone(&gate), Arc::clone(&gate));
    let routes = Router::new()
        .get("/slow/{id}", gated(&gate))
        .get("/piece", move |_: Request| {
            let gate = Arc::clone(&of_piece);
            let pieces = (0..2).map(move |number| {
                if number == 1 {
                    gate.pass("piece");
                }
                "piece"
            });
            Response::new(Body::from_chunks(pieces))
        })
        .get("/drop", move |_: Request| {
            let passes = PassesInDrop(Arc::clone(&of_drop));
            let pieces = (0..2).map(move |_| {
                let _held = &passes;
                "piece"
            });
            Response::new(Body::from_chunks(pieces))
        })
        .build()
        .unwrap();
    (TestServer::start(config(), routes), gate, bar)
}

#[test]
fn a_running_handler_has_its_request_its_route_and_its_time() {
    let (server, gate, bar) = gated_server();
    let metrics = server.stop.metrics();
    let before = Instant::now();
    let mut client = server.connect();
    client.request("/slow/7?all");
    gate.wait_started();
    let started = Instant::now();
    let activity = metrics.activity();
    let (most, least) = (before.elapsed(), started.elapsed());
    assert_eq!(activity.workers, 4);
    let [call] = &activity.calls[..] else {
        panic!("{activity:?}");
    };
    assert!((1..=4).contains(&call.worker), "{call:?}");
    assert_eq!(call.code, UserCode::Handler);
    assert!(call.running_for <= most, "{call:?}");
    assert!(metrics.activity().calls[0].running_for >= least);
    let request = call.request.as_ref().unwrap();
    assert_eq!(request.method, Some(Method::GET));
    assert_eq!(request.target.as_deref(), Some("/slow/7?all"));
    assert_eq!(request.route.as_deref(), Some("/slow/{id}"));
    assert_eq!(request.peer, client.address());
    assert!(request.age >= call.running_for && request.age <= most);
    assert_eq!(
        request.to_string(),
        format!("GET /slow/7?all from {}", client.address())
    );
    drop(bar);
    client.response();
    server.wait_in_progress(0);
    while !metrics.activity().calls.is_empty() {
        thread::yield_now();
    }
}

#[test]
fn other_code_of_the_application_is_named_too() {
    let (server, gate, _bar) = gated_server();
    let metrics = server.stop.metrics();
    let mut clients = Vec::new();
    for (target, code) in [
        ("/piece", UserCode::BodyPiece),
        ("/drop", UserCode::Drop),
        ("/slow/1", UserCode::Handler),
    ] {
        let mut client = server.connect();
        client.request(target);
        clients.push(client);
        gate.wait_started();
        let activity = metrics.activity();
        assert_eq!(activity.calls.len(), clients.len(), "{activity:?}");
        let with_target = |wanted: &str| {
            let mut calls = activity.calls.iter();
            let call = calls.find(|call| {
                let request = call.request.as_ref().unwrap();
                request.target.as_deref() == Some(wanted)
            });
            call.unwrap().code
        };
        assert_eq!(with_target(target), code);
    }
}

#[test]
fn connections_that_wait_for_a_worker_are_counted_with_the_longest_wait() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), gated(&gate));
    let metrics = server.stop.metrics();
    let mut clients: Vec<_> = (0..7).map(|_| server.connect()).collect();
    server.wait_open(7);
    assert_eq!(metrics.activity().queued, 0);
    assert_eq!(metrics.activity().queued_for, None);
    for client in &mut clients[..4] {
        client.request("/slow");
        gate.wait_started();
    }
    let before = Instant::now();
    for client in &mut clients[4..] {
        client.send(get("/"));
    }
    server.wait_waiting(3);
    while metrics.activity().queued != 3 {
        thread::yield_now();
    }
    let waited = Instant::now();
    let activity = metrics.activity();
    assert_eq!(activity.calls.len(), 4);
    assert!(activity.queued_for.unwrap() <= before.elapsed());
    let least = waited.elapsed();
    assert!(metrics.activity().queued_for.unwrap() >= least);
    drop(bar);
    for client in &mut clients {
        client.response();
    }
    assert_eq!(metrics.activity().queued, 0);
}

#[test]
fn a_server_that_does_not_serve_has_no_workers() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let metrics = server.metrics();
    assert_eq!(metrics.activity(), Activity::default());
    let server = TestServer::spawn(server, |_: Request| "hello");
    server.connect().get("/");
    assert_eq!(metrics.activity().workers, 4);
    server.stop.shutdown();
    server.join();
    assert_eq!(metrics.activity(), Activity::default());
}
