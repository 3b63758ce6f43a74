//! Code of the application that blocks, panics or is slow: it costs at most its own
//! connection, and a stop still ends.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crossbeam_channel::unbounded;
use farewell::Body;
use farewell::ConnectionOutcome;
use farewell::Event;
use farewell::Events;
use farewell::IntoResponse;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::SendError;
use farewell::Server;
use farewell::ShutdownHandle;
use http::HeaderValue;
use http::StatusCode;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;
use crate::support::get;
use crate::support::short_drain;

/// A reader that blocks until the gate is open.
struct Blocks(Arc<Gate>);

impl Read for Blocks {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.pass("reading");
        Ok(0)
    }
}

#[test]
fn a_body_that_blocks_is_cut_at_the_deadline() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), {
        let gate = Arc::clone(&gate);
        move |_: Request| Body::from_reader(Blocks(Arc::clone(&gate)))
    });
    let mut client = server.connect();
    client.request("/");
    gate.wait_started();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Cut), 1);
    assert_eq!(report.cut[0].route, "GET /");
    assert_eq!(report.threads_left, 1);
    drop(bar);
}

#[test]
fn a_follower_whose_handler_does_not_return_is_cut_at_the_deadline() {
    let (gate, bar) = Gate::new();
    let handle: Arc<OnceLock<ShutdownHandle>> = Arc::default();
    let server = Server::bind("127.0.0.1:0", short_drain()).unwrap();
    handle.set(server.shutdown_handle()).unwrap();
    let server = TestServer::spawn(server, {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            let body = handle.get().unwrap().follow(|_| "progress".to_owned());
            gate.pass("following");
            body
        }
    });
    let mut client = server.connect();
    client.request("/");
    gate.wait_started();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Cut), 1);
    drop(bar);
}

/// An iterator of one piece. Its drop panics.
struct PanicsInDrop(bool);

impl Iterator for PanicsInDrop {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        std::mem::replace(&mut self.0, false).then_some("x")
    }
}

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn a_drop_that_panics_costs_no_worker() {
    let server = TestServer::start(short_drain(), |request: Request| {
        let response = || Response::new(Body::from_chunks(PanicsInDrop(true)));
        match request.uri().path() {
            "/sent" => response(),
            // A 204 has no body, so the body is dropped without being sent.
            "/unsent" => {
                let mut response = response();
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            _ => "fine".into_response(),
        }
    });
    for _ in 0..3 {
        assert_eq!(server.connect().get("/sent").body, "x");
        assert_eq!(server.connect().get("/unsent").status, 204);
    }
    assert_eq!(server.connect().get("/").body, "fine");
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.total(), 7);
}

#[test]
fn a_stream_of_events_without_pauses_is_told_about_the_drain() {
    let mut config = config();
    config.last_call = crate::support::NEVER;
    config.drain_timeout = crate::support::NEVER;
    let server = TestServer::start(config, move |_: Request| {
        let (sender, events) = Events::new();
        // Without `draining`, this loop does not end.
        thread::spawn(move || {
            let event = Event::data("x".repeat(100_000));
            while sender.send(&event) != Err(SendError::Closed) && !sender.draining() {
                thread::yield_now();
            }
        });
        events
    });
    let mut client = server.connect();
    client.request("/");
    client.head();
    let reading = thread::spawn(move || while !client.chunk().unwrap().is_empty() {});
    server.stop.shutdown();
    let report = server.join();
    assert!(report.all_answered(), "{report}");
    reading.join().unwrap();
}

#[test]
fn a_slow_body_does_not_count_against_the_clients_write_timeout() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(300);
    let server = TestServer::start(config, |_: Request| {
        let slow = |_: &i32| thread::sleep(Duration::from_millis(450));
        Body::from_chunks((0..3).inspect(slow).map(|_| vec![b'x'; 1 << 20]))
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().body.len(), 3 << 20);
    drop(client);
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.connections.to_string(), "1 completed");
}

#[test]
fn a_slow_handler_does_not_count_against_the_clients_body_timeout() {
    let mut config = config();
    config.body_timeout = Duration::from_millis(100);
    config.rate_min = 1;
    let server = TestServer::start(config, |mut request: Request| {
        let mut first = [0; 1000];
        request.body_mut().read_exact(&mut first).unwrap();
        thread::sleep(Duration::from_millis(150));
        request.bytes().map(|rest| rest.len().to_string())
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send("x".repeat(200_000));
    assert_eq!(client.response().body, "199000");
}

#[test]
fn a_read_of_a_body_on_another_thread_fails_when_the_handler_returns() {
    let (ended, end) = unbounded();
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), {
        let gate = Arc::clone(&gate);
        move |request: Request| {
            let mut body = request.into_body();
            let ended = ended.clone();
            let gate_of_thread = Arc::clone(&gate);
            thread::spawn(move || {
                gate_of_thread.pass("reading");
                ended.send(body.read_all().unwrap_err().status()).unwrap();
            });
            gate.pass("returning");
            "answered"
        }
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send("x".repeat(100_000));
    gate.wait_started();
    gate.wait_started();
    drop(bar);
    assert_eq!(client.response().body, "answered");
    let status = end.recv_timeout(crate::support::TOO_LONG).unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn an_upload_whose_client_disconnects_while_it_waits_for_its_turn_is_closed() {
    let mut config = config();
    config.workers = 2;
    let server = TestServer::start(config, |mut request: Request| {
        request.bytes().map(|_| "uploaded")
    });
    let begin = || {
        let mut client = server.connect();
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        client
    };
    let mut first = begin();
    first.head();
    let waiting: Vec<Client> = (0..20).map(|_| begin()).collect();
    server.wait_in_progress(21);
    drop(waiting);
    server.wait_open(1);
    first.send("hello");
    assert_eq!(first.response().body, "uploaded");
}

#[test]
fn an_upload_that_waits_for_its_turn_for_too_long_is_answered_503() {
    let mut config = config();
    config.workers = 2;
    config.body_timeout = Duration::from_millis(50);
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config, {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            gate.pass("has the only permit");
            "read nothing"
        }
    });
    let upload = || {
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
        client.send("x".repeat(100_000));
        client
    };
    let mut first = upload();
    gate.wait_started();
    let response = upload().response();
    assert_eq!(response.status, 503);
    assert!(response.has("retry-after: 1"), "{response:?}");
    drop(bar);
    assert_eq!(first.response().status, 200);
}

/// Upgrades the connection, writes half of an answer, and then calls `then`.
fn half_an_answer(then: fn()) -> Response {
    Response::new(Body::upgrade(move |mut stream| {
        stream.write_all(b"half").unwrap();
        // Returns at an abort, or when the client sends a byte.
        let _ = stream.read(&mut [0]);
        then();
    }))
}

#[test]
fn half_of_an_upgraded_answer_is_not_taken_for_the_whole() {
    let server = TestServer::start(short_drain(), |_: Request| half_an_answer(|| ()));
    let mut cut = server.connect();
    cut.request("/");
    cut.wait_readable();
    server.stop.abort();
    cut.expect_reset();
    assert_eq!(server.join().connections.count(ConnectionOutcome::Cut), 1);

    let server = TestServer::start(short_drain(), |_: Request| {
        half_an_answer(|| panic!("on purpose"))
    });
    let mut panics = server.connect();
    panics.send(format!("{}x", get("/")));
    panics.expect_reset();
}

#[test]
fn the_delivery_of_what_was_upgraded_is_told() {
    let (tell, told) = unbounded();
    let server = TestServer::start(config(), move |_: Request| {
        let tell = tell.clone();
        let body = Body::upgrade(|mut stream| stream.write_all(b"whole").unwrap());
        body.after_delivery(move || tell.send(()).unwrap())
    });
    let mut client = server.connect();
    assert_eq!(client.get("/").body, "whole");
    assert!(
        told.try_recv().is_err(),
        "the client has not closed its side"
    );
    drop(client);
    told.recv_timeout(crate::support::TOO_LONG).unwrap();
}

#[test]
fn aborts_and_upgrades_at_the_same_time_come_to_an_end() {
    for _ in 0..5 {
        let server = TestServer::start(short_drain(), |_: Request| {
            let mut response = half_an_answer(|| ());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let protocol = HeaderValue::from_static("x");
            response.headers_mut().insert("upgrade", protocol);
            response
        });
        let address = server.address();
        let upgrading = thread::spawn(move || {
            let mut clients = Vec::new();
            while let Ok(mut client) = Client::try_connect(address) {
                let upgrade = "Connection: upgrade\r\nUpgrade: x\r\n";
                let sent = client.try_send(format!("GET / HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"));
                if sent.is_err() {
                    break;
                }
                clients.push(client);
            }
        });
        while server.stop.counts().upgraded < 10 {
            thread::yield_now();
        }
        server.stop.abort();
        server.join();
        upgrading.join().unwrap();
    }
}

#[test]
fn an_upgrade_that_is_cut_cannot_write_on() {
    let (ended, end) = unbounded();
    let server = TestServer::start(short_drain(), move |_: Request| {
        let ended = ended.clone();
        Body::upgrade(move |mut stream| {
            // The client reads all of it, so no write waits.
            while stream.write_all(b"more").is_ok() {
                thread::yield_now();
            }
            ended.send(()).unwrap();
        })
    });
    let mut client = server.connect();
    client.request("/");
    client.head();
    let reading = thread::spawn(move || client.expect_reset());
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::Cut), 1);
    end.recv_timeout(crate::support::TOO_LONG).unwrap();
    reading.join().unwrap();
}

#[test]
fn a_follower_whose_code_is_slow_gets_the_end_at_an_abort_too() {
    let mut config = config();
    config.workers = 4;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let handle = server.shutdown_handle();
    let server = TestServer::spawn(server, move |_: Request| {
        handle.follow(|progress| {
            thread::sleep(Duration::from_millis(2));
            match progress {
                farewell::Progress::Finished(_) => "the end".to_owned(),
                _ => "progress".to_owned(),
            }
        })
    });
    let mut followers: Vec<Client> = (0..30).map(|_| server.connect()).collect();
    for follower in &mut followers {
        follower.request("/");
        follower.head();
        assert_eq!(follower.chunk().unwrap(), b"progress");
    }
    server.stop.shutdown();
    server.stop.abort();
    for mut follower in followers {
        let mut last = Vec::new();
        loop {
            match follower.chunk().expect("a complete response") {
                chunk if chunk.is_empty() => break,
                chunk => last = chunk,
            }
        }
        assert_eq!(last, b"the end");
    }
    let report = server.join();
    assert_eq!(report.requests.to_string(), "30 answered");
}
