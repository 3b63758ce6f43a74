//! Answers that are sent before the client has sent its whole request: a client that
//! sends all of it before it reads still gets the answer.

use std::io::Write;
use std::thread;
use std::time::Duration;

use farewell::Body;
use farewell::Config;
use farewell::ConnectionOutcome;
use farewell::Phase;
use farewell::Request;
use http::Method;
use http::StatusCode;

use crate::support::Client;
use crate::support::Holds;
use crate::support::NEVER;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

/// A short wait for a silent client, and a long one for a client that sends.
fn short_linger() -> Config {
    let mut config = config();
    config.linger = Duration::from_millis(100);
    config.linger_max = TOO_LONG;
    config.rate_min = 1000;
    config.discard_bytes_max = 1000;
    config
}

/// Sends a body so slowly that it takes several times as long as `linger`, and then
/// reads the answer.
fn upload_slowly(client: &mut Client, path: &str, pieces: usize) -> u16 {
    let length = pieces * PIECE.len();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    for _ in 0..pieces {
        client.send(PIECE);
        // Simulates a slow network; this is not a wait for an event.
        thread::sleep(Duration::from_millis(5));
    }
    client.response().status
}

const PIECE: &[u8] = &[b'x'; 10_000];

#[test]
fn a_client_that_reads_late_gets_its_answer() {
    let server = TestServer::start(short_linger(), |request: Request| {
        match request.uri().path() {
            "/refuses" => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::OK,
        }
    });
    for (path, status) in [("/ignores", 200), ("/refuses", 405)] {
        assert_eq!(upload_slowly(&mut server.connect(), path, 100), status);
    }
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.connections.to_string(), "2 completed");
}

#[test]
fn a_body_that_is_too_large_gets_its_413() {
    let mut config = short_linger();
    config.body_bytes_max = 1000;
    let server = TestServer::hello(config);
    assert_eq!(upload_slowly(&mut server.connect(), "/", 100), 413);
}

#[test]
fn a_client_that_is_told_by_an_upgrade_is_read_on_too() {
    let server = TestServer::start(short_linger(), |mut request: Request| {
        request.bytes().unwrap();
        Body::upgrade(|mut stream| {
            stream.write_all(b"early").unwrap();
        })
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.wait_readable();
    for _ in 0..60 {
        client.send(PIECE);
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.response().body, "early");
}

#[test]
fn linger_bounds_the_wait_for_a_silent_client() {
    let server = TestServer::hello(short_linger());
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    client.send("x".repeat(100_000));
    assert_eq!(client.response().status, 200);
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(
        report
            .connections
            .count(ConnectionOutcome::DeliveryUnconfirmed),
        1
    );
}

#[test]
fn linger_max_bounds_the_wait_for_a_client_that_keeps_sending() {
    let mut config = short_linger();
    config.linger_max = Duration::from_millis(300);
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n");
    while client.try_send(PIECE).is_ok() {}
    server.wait_open(0);
}

#[test]
fn a_shorter_linger_max_bounds_the_silence_too() {
    let mut config = short_linger();
    config.linger = NEVER;
    config.linger_max = Duration::from_millis(100);
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
    server.wait_open(0);
}

#[test]
fn the_deadline_ends_the_wait_for_a_client_that_keeps_sending() {
    let mut config = short_linger();
    config.drain_timeout = Duration::from_millis(200);
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n");
    client.wait_readable();
    server.stop.shutdown();
    while client.try_send(PIECE).is_ok() {}
    assert!(server.stop.wait_for_timeout(Phase::Stopped, TOO_LONG));
    let report = server.join();
    assert!(report.all_answered(), "{report}");
}

/// Each upload waits for its turn before the next one arrives. The test ends the call
/// of the oldest upload, again and again. The order of arrival differs from the order
/// of the connections and of the shards.
#[test]
fn uploads_have_their_turns_in_the_order_of_arrival() {
    const CLIENTS: usize = 12;
    const ROUNDS: usize = 3;
    for shards in [1, 2, 4] {
        let mut config = config();
        config.shards = Some(shards);
        // One of the two workers may wait for an upload.
        config.workers = 2;
        config.body_buffer = 1;
        let holds = Holds::new();
        let server = TestServer::start(config, {
            let holds = holds.clone();
            move |mut request: Request| {
                if request.method() == Method::POST {
                    holds.hold(request.uri());
                }
                request.bytes().unwrap().len().to_string()
            }
        });
        // One client in each shard.
        let mut probes = server.connect_in_turn(shards);
        let mut clients = server.connect_in_turn(CLIENTS);
        let mut begin = |client: &mut Client, number: usize, before: usize| {
            server.wait_in_progress(before);
            client.send(format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"
            ));
            server.wait_in_progress(before + 1);
            // After this answer, the turn in which the request began is over.
            assert_eq!(probes[number % shards].get("/").body, "0");
        };
        let arrival = |nth: usize| nth * 5 % CLIENTS;
        for nth in 0..CLIENTS {
            begin(&mut clients[arrival(nth)], arrival(nth), nth);
        }
        for nth in 0..ROUNDS * CLIENTS {
            let number = arrival(nth);
            let upload = holds.next();
            assert_eq!(upload.target, format!("/{number}"), "{shards} shards");
            drop(upload);
            clients[number].send("x");
            assert_eq!(clients[number].response().body, "2");
            if nth < (ROUNDS - 1) * CLIENTS {
                begin(&mut clients[number], number, CLIENTS - 1);
            }
        }
    }
}
