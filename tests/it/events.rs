//! Server-sent events: a stream occupies no worker, is told about the drain, and ends
//! with the last call.

use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::Receiver;
use crossbeam_channel::unbounded;
use farewell::Config;
use farewell::ConnectionOutcome;
use farewell::Event;
use farewell::EventSender;
use farewell::Events;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::SendError;

use crate::support::Client;
use crate::support::NEVER;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

/// A server that answers every request with a stream, and the senders of these streams.
fn server(config: Config) -> (TestServer, Receiver<EventSender>) {
    let (senders, streams) = unbounded();
    let server = TestServer::start(config, move |_: Request| {
        let (sender, events) = Events::new();
        senders.send(sender).unwrap();
        events
    });
    (server, streams)
}

fn listen(server: &TestServer) -> Client {
    let mut client = server.connect();
    client.request("/");
    let head = client.head();
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    client
}

fn event(data: &str) -> Event {
    Event::data(data)
}

#[test]
fn events_arrive_as_they_are_sent() {
    let (server, streams) = server(config());
    let mut client = listen(&server);
    let sender = streams.recv_timeout(TOO_LONG).unwrap();
    for data in ["one", "two"] {
        sender.send(&event(data)).unwrap();
        let expected = format!("data: {data}\n\n");
        assert_eq!(client.chunk().unwrap(), expected.as_bytes());
    }
    drop(sender);
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn many_streams_occupy_no_worker() {
    let mut config = config();
    config.workers = 1;
    let (server, streams) = server(config);
    let mut clients: Vec<Client> = (0..200).map(|_| listen(&server)).collect();
    for sender in streams.iter().take(200) {
        sender.send(&event("x")).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.chunk().unwrap(), b"data: x\n\n");
        assert_eq!(client.chunk().unwrap(), b"");
    }
}

#[test]
fn a_client_that_disconnects_is_noticed_without_a_send() {
    let (server, streams) = server(config());
    let (closed, half_closed) = (listen(&server), listen(&server));
    let senders: Vec<EventSender> = streams.iter().take(2).collect();
    drop(closed);
    half_closed.half_close();
    server.wait_open(0);
    for sender in senders {
        assert!(sender.is_closed());
        assert_eq!(sender.send(&event("x")), Err(SendError::Closed));
    }
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::ClientDisconnected), 2);
}

#[test]
fn a_stream_whose_client_does_not_read_is_full_and_then_closed() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(100);
    let (server, streams) = server(config);
    let _client = listen(&server);
    let sender = streams.recv_timeout(TOO_LONG).unwrap();
    let large = event(&"x".repeat(60_000));
    let mut full = false;
    loop {
        match sender.send(&large) {
            Ok(()) => {}
            Err(SendError::Closed) => break,
            Err(_) => {
                full = true;
                std::thread::yield_now();
            }
        }
    }
    assert!(full);
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::ClientStalled), 1);
}

#[test]
fn a_stream_without_events_outlasts_every_timeout() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(20);
    config.idle_timeout = Duration::from_millis(20);
    let (server, streams) = server(config);
    let mut client = listen(&server);
    let sender = streams.recv_timeout(TOO_LONG).unwrap();
    assert!(!sender.wait_draining(Duration::from_millis(100)));
    sender.send(&event("still here")).unwrap();
    assert_eq!(client.chunk().unwrap(), b"data: still here\n\n");
}

#[test]
fn a_sender_is_told_about_the_drain_and_its_last_event_arrives() {
    let mut config = config();
    config.last_call = NEVER;
    let (server, streams) = server(config);
    let mut client = listen(&server);
    let sender = streams.recv_timeout(TOO_LONG).unwrap();
    assert!(!sender.draining());
    server.stop.shutdown();
    assert!(sender.wait_draining(TOO_LONG));
    sender.send(&event("goodbye")).unwrap();
    drop(sender);
    assert_eq!(client.chunk().unwrap(), b"data: goodbye\n\n");
    assert_eq!(client.chunk().unwrap(), b"");
    client.expect_eof();
    drop(client);
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 answered");
}

#[test]
fn a_stream_ends_in_good_order_with_the_last_call() {
    let (server, streams) = server(config());
    let mut client = listen(&server);
    let sender = streams.recv_timeout(TOO_LONG).unwrap();
    // Read before the stop, because this thread may not run for a while after it.
    let stopped = Instant::now();
    server.stop.shutdown();
    assert_eq!(client.chunk().unwrap(), b"");
    client.expect_eof();
    assert!(
        stopped.elapsed() >= Duration::from_millis(100),
        "the last call"
    );
    assert_eq!(sender.send(&event("x")), Err(SendError::Closed));
    drop(client);
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::Completed), 1);
    assert!(report.all_answered());
}

#[test]
fn at_an_abort_a_stream_ends_too() {
    let mut config = config();
    config.last_call = NEVER;
    let (server, streams) = server(config);
    let mut client = listen(&server);
    let _sender = streams.recv_timeout(TOO_LONG).unwrap();
    server.stop.abort();
    assert_eq!(client.chunk().unwrap(), b"");
    drop(client);
    server.join();
}
