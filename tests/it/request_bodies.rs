//! A handler gets the body of its request: at once if it is small, as a stream if it is
//! large, in the right order, or an error that says what is wrong.

use std::io;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use farewell::BodyError;
use farewell::ConnectionOutcome;
use farewell::Rejection;
use farewell::Request;
use farewell::RequestOutcome;
use http::StatusCode;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;

const SHORT: Duration = Duration::from_millis(50);

/// A body that is large enough to be streamed. Its content shows a wrong order.
fn large() -> String {
    (0..40_000).map(|number| format!("{number:06}")).collect()
}

fn echo(mut request: Request) -> Result<String, Rejection> {
    request.text()
}

fn post(client: &mut Client, body: &str) {
    let length = body.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(body);
}

fn post_chunked(client: &mut Client, body: &str, chunk: usize) {
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.as_bytes().chunks(chunk) {
        client.send(format!("{:x};n=v\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
}

#[test]
fn a_chunked_body_arrives_whole() {
    let server = TestServer::start(config(), echo);
    let mut client = server.connect();
    post_chunked(&mut client, "hello", 2);
    assert_eq!(client.response().body, "hello");
    post_chunked(&mut client, "", 1);
    assert_eq!(client.response().body, "");
}

#[test]
fn a_large_body_is_streamed_and_the_connection_persists() {
    let server = TestServer::start(config(), echo);
    let mut client = server.connect();
    let body = large();
    for chunk in [1_000, 100_000] {
        post(&mut client, &body);
        assert_eq!(client.response().body, body);
        post_chunked(&mut client, &body, chunk);
        assert_eq!(client.response().body, body);
    }
}

#[test]
fn a_request_pipelined_behind_a_streamed_body_is_answered() {
    let server = TestServer::start(config(), echo);
    let mut client = server.connect();
    let body = large();
    let mut sender = client.try_clone();
    let sent = body.clone();
    let sending = thread::spawn(move || {
        post(&mut sender, &sent);
        post_chunked(&mut sender, &sent, 777);
        post(&mut sender, "end");
    });
    assert_eq!(client.response().body, body);
    assert_eq!(client.response().body, body);
    assert_eq!(client.response().body, "end");
    sending.join().unwrap();
}

#[test]
fn the_handler_of_a_large_body_begins_before_the_body_is_complete() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), move |mut request: Request| {
        gate.pass("begun");
        request.text()
    });
    let body = large();
    let mut client = server.connect();
    let length = body.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(&body[..100_000]);
    // The rest is sent after the handler has begun.
    drop(bar);
    client.send(&body[100_000..]);
    assert_eq!(client.response().body, body);
}

#[test]
fn any_size_of_read_gives_the_same_body() {
    for size in [1, 7, 4096, 1 << 20] {
        let server = TestServer::start(config(), move |mut request: Request| {
            let mut whole = Vec::new();
            let mut buffer = vec![0; size];
            loop {
                match request.body_mut().read(&mut buffer)? {
                    0 => return Ok::<_, Unread>(whole),
                    count => whole.extend_from_slice(&buffer[..count]),
                }
            }
        });
        let body = &large()[..100_000];
        let mut client = server.connect();
        post(&mut client, body);
        assert_eq!(client.response().body, body, "{size}");
        post_chunked(&mut client, body, 900);
        assert_eq!(client.response().body, body, "{size}");
    }
}

/// The error of a read that failed.
#[derive(Debug)]
struct Unread(io::Error);

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl farewell::IntoResponse for Unread {
    fn into_response(self) -> farewell::Response {
        let status = BodyError::of(&self.0).map(|error| error.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, format!("{:?}: {}", self.0.kind(), self.0)).into_response()
    }
}

fn read_all(mut request: Request) -> Result<String, Unread> {
    let mut text = String::new();
    request.body_mut().read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn trailers_are_available_after_the_body() {
    let server = TestServer::start(config(), |mut request: Request| {
        let before = request.body_mut().trailers().is_some();
        let body = request.text()?;
        let sum = request
            .body_mut()
            .trailers()
            .map(|fields| fields["x-sum"].clone());
        Ok::<_, Rejection>(format!("{before} {} {sum:?}", body.len()))
    });
    let mut client = server.connect();
    // A small body is read before the handler is called, so its trailers are available
    // from the start.
    for (size, before) in [(5, true), (100_000, false)] {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{size:x}\r\n{}\r\n", "x".repeat(size)));
        client.send("0\r\nX-Sum: 1\r\n\r\n");
        let expected = format!("{before} {size} Some(\"1\")");
        assert_eq!(client.response().body, expected);
    }
}

#[test]
fn a_body_beyond_the_limit_is_413_also_while_the_handler_reads() {
    let mut config = config();
    config.body_bytes_max = 100_000;
    let server = TestServer::start(config, read_all);
    let mut client = server.connect();
    try_post_chunked(&mut client, 200_000);
    let response = client.response();
    assert_eq!(response.status, 413);
    assert_eq!(response.body, "InvalidData: request body is too large");
    assert!(response.closes());

    let mut client = server.connect();
    try_post_chunked(&mut client, 100_000);
    assert_eq!(client.response().status, 200);
}

/// Posts a chunked body. Ignores errors, because the server may close meanwhile.
fn try_post_chunked(client: &mut Client, size: usize) {
    let _ = client.try_send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..size / 1000 {
        let _ = client.try_send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    }
    let _ = client.try_send("0\r\n\r\n");
}

#[test]
fn a_body_that_ends_early_or_stalls_is_an_error_of_the_read() {
    let mut config = config();
    config.body_timeout = SHORT;
    let server = TestServer::start(config, read_all);
    let begin = |client: &mut Client| {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
        client.send("x".repeat(100_000));
    };
    let mut client = server.connect();
    begin(&mut client);
    client.half_close();
    let response = client.response();
    assert_eq!(response.status, 400);
    assert!(response.body.starts_with("UnexpectedEof: "), "{response:?}");
    assert!(response.closes());

    let mut client = server.connect();
    begin(&mut client);
    let response = client.response();
    assert_eq!(response.status, 408);
    assert!(response.body.starts_with("TimedOut: "), "{response:?}");
    assert!(response.closes());
}

#[test]
fn a_malformed_chunk_in_the_middle_is_an_error_of_the_read() {
    let server = TestServer::start(config(), read_all);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("186a0\r\n{}\r\n", "x".repeat(100_000)));
    client.send("hello\r\n");
    let response = client.response();
    assert_eq!(response.status, 400);
    assert!(response.body.contains("hexadecimal"), "{response:?}");
    client.expect_eof();
}

#[test]
fn a_client_that_sends_below_the_minimum_rate_gets_408() {
    let mut config = config();
    config.body_timeout = Duration::from_millis(200);
    config.rate_min = 1_000_000;
    config.linger = SHORT;
    let server = TestServer::start(config, echo);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n");
    let mut trickling = client.try_clone();
    let trickle = thread::spawn(move || {
        while trickling.try_send("x").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(client.response().status, 408);
    drop(client);
    trickle.join().unwrap();
}

#[test]
fn a_large_body_that_the_handler_does_not_read_closes_the_connection() {
    let mut config = config();
    config.discard_bytes_max = 10;
    let server = TestServer::start(config, |_: Request| "read nothing");
    let mut client = server.connect();
    post(&mut client, &"x".repeat(200_000));
    assert!(client.response().closes());
    client.expect_eof();
}

#[test]
fn a_body_that_has_arrived_but_was_not_read_is_discarded_and_the_connection_persists() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), {
        let gate = gate.clone();
        move |_: Request| {
            gate.pass("unread");
            "read nothing"
        }
    });
    let mut client = server.connect();
    post(&mut client, &"x".repeat(120_000));
    gate.wait_started();
    drop(bar);
    assert!(!client.response().closes());
}

#[test]
fn a_body_given_to_a_thread_ends_with_its_request() {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let server = TestServer::start(config(), move |request: Request| {
        sender.send(request.into_body()).unwrap();
        "answered"
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send("x".repeat(70_000));
    assert!(client.response().closes());
    let mut body = receiver.recv().unwrap();
    assert_eq!(body.read_all().unwrap_err().status(), 503);
}

/// A handler that passes the gate, and then reads its body.
fn reading_after(gate: &Arc<Gate>) -> impl Fn(Request) -> Result<String, Rejection> + use<> {
    let gate = Arc::clone(gate);
    move |mut request| {
        gate.pass("reading");
        request.text()
    }
}

#[test]
fn an_abort_wakes_a_handler_that_reads() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), reading_after(&gate));
    drop(bar);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send("x".repeat(70_000));
    gate.wait_started();
    server.stop.abort();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Cut), 1);
    assert_eq!(report.connections.count(ConnectionOutcome::Cut), 1);
    assert_eq!(report.threads_left, 0, "{report}");
}

#[test]
fn an_upload_in_progress_when_the_server_stops_is_answered() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), reading_after(&gate));
    drop(bar);
    let body = large();
    let mut client = server.connect();
    let length = body.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(&body[..100_000]);
    gate.wait_started();
    server.stop.shutdown();
    client.send(&body[100_000..]);
    let response = client.response();
    assert_eq!(response.body, body);
    assert!(response.closes());
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn slow_uploads_cannot_take_all_workers() {
    let server = TestServer::start(config(), |mut request: Request| {
        request.bytes().map(|body| body.len().to_string())
    });
    let begin = |_| {
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
        client.send("x".repeat(100_000));
        client
    };
    let mut slow: Vec<Client> = (0..20).map(begin).collect();
    server.wait_in_progress(20);
    // Two of the four workers are free.
    for _ in 0..10 {
        assert_eq!(server.connect().get("/").status, 200);
    }
    // A client that waits for its turn disconnects; the others still get theirs.
    drop(slow.remove(10));
    for client in &mut slow {
        client.send("x".repeat(100_000));
    }
    for client in &mut slow {
        assert_eq!(client.response().body, "200000");
    }
}

#[test]
fn uploads_of_many_clients_at_once_all_arrive() {
    let mut config = config();
    config.workers = 2;
    let server = TestServer::start(config, |mut request: Request| {
        request.bytes().map(|body| body.len().to_string())
    });
    let uploading = || {
        let mut client = server.connect();
        for _ in 0..20 {
            post(&mut client, &"x".repeat(200_000));
            assert_eq!(client.response().body, "200000");
        }
    };
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(uploading);
        }
    });
}
