//! Downloads in a stop: what is left of them is counted, and what is cut is named with
//! how far it came.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use farewell::Body;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Router;
use farewell::Server;
use farewell::StopAccess;
use farewell::StopRoutes;
use serde_json::Value;

use crate::support::Client;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::get;
use crate::support::large_bodies::LARGE;
use crate::support::large_bodies::body;

/// A file of this length, without a block on the disk.
fn sparse(length: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(length).unwrap();
    file
}

/// Begins a download of a server at this address.
fn begin(server: &TestServer, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(TOO_LONG)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Reads to the end of the connection. Returns the number of bytes after the head.
fn read_body(stream: TcpStream) -> u64 {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "no whole head");
    }
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
}

/// Waits until the bytes left are those of responses that cannot go on: their clients do
/// not read, and the kernel takes no more.
fn wait_held(server: &TestServer, at_least: u64) -> u64 {
    let began = Instant::now();
    loop {
        let before = server.stop.unsent().bytes;
        thread::sleep(Duration::from_millis(50));
        // On a busy machine a worker may be in the middle of a write for longer. What it
        // writes is not in the report if the stop cuts the connection meanwhile.
        let is_written = server.stop.metrics().activity().calls.is_empty();
        if before >= at_least && is_written && server.stop.unsent().bytes == before {
            return before;
        }
        assert!(began.elapsed() < TOO_LONG, "{before} of {at_least}");
    }
}

#[test]
fn a_cut_download_is_named_with_exactly_what_its_client_can_read() {
    const TOTAL: u64 = 1 << 30;
    let mut config = config();
    config.drain_timeout = Duration::from_millis(300);
    let server = TestServer::start(config, |_: Request| Body::from_file(sparse(TOTAL)).unwrap());
    let mut client = begin(&server, &get("/big.iso"));
    let mut first = [0; 100_000];
    client.read_exact(&mut first).unwrap();
    let left = wait_held(&server, TOTAL / 2);
    assert_eq!(server.stop.counts().response_bytes_left, left);
    let address = client.local_addr().unwrap();
    let stop = server.stop.clone();
    stop.shutdown();
    let report = server.join();
    assert_eq!(stop.unsent().bytes, 0);

    let [cut] = &report.cut[..] else {
        panic!("{report}");
    };
    // All that the kernel took arrives, because the server closes and does not reset.
    let rest = std::io::copy(&mut client, &mut std::io::sink()).unwrap();
    let head = first.windows(4).position(|window| window == b"\r\n\r\n");
    let received = first.len() as u64 + rest - (head.unwrap() as u64 + 4);
    assert_eq!(cut.response_bytes_sent, received);
    assert_eq!(cut.response_bytes_total, Some(TOTAL));
    // Between the two, the kernel may have taken some more.
    assert!(left + received >= TOTAL, "{left} + {received}");
    let text = report.to_string();
    let line = format!("\n  GET /big.iso for {address}: cut after ");
    assert!(text.contains(&line), "{text}");
    assert!(text.contains("iB of 1.0 GiB in "), "{text}");
}

#[test]
fn a_cut_without_a_response_is_named_by_its_time() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(100);
    let (gate, bar) = crate::support::Gate::new();
    let server = TestServer::start(config, crate::support::gated(&gate));
    let mut client = server.connect();
    client.request("/slow");
    gate.wait_started();
    server.stop.shutdown();
    client.expect_end();
    let report = server.join();
    assert_eq!(report.cut[0].response_bytes_sent, 0);
    assert_eq!(report.cut[0].response_bytes_total, None);
    let text = report.to_string();
    assert!(text.contains(": cut after 0."), "{text}");
    assert!(text.contains(" s, its handler still running"), "{text}");
    drop(bar);
}

#[test]
fn what_is_left_is_the_sum_of_all_kinds_with_a_length_and_becomes_zero() {
    let server = TestServer::start(config(), |request: Request| body(request.uri().path()));
    let with_length = ["/bytes", "/file", "/sized"];
    let mut slow: Vec<TcpStream> = Vec::new();
    for kind in with_length {
        for request in [
            format!("GET {kind} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            format!("GET {kind} HTTP/1.0\r\n\r\n"),
        ] {
            slow.push(begin(&server, &request));
        }
    }
    // Neither a body of unknown length counts nor a response without a body.
    slow.push(begin(&server, "GET /chunks HTTP/1.0\r\n\r\n"));
    let mut head = server.connect();
    head.send("HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.head_response().status, 200);
    server.wait_in_progress(slow.len());
    let left = wait_held(&server, 1);
    let total = 6 * LARGE as u64;
    assert!(left < total, "{left}");

    server.stop.shutdown();
    for stream in slow {
        assert_eq!(read_body(stream), LARGE as u64);
    }
    drop(head);
    let stop = server.stop.clone();
    assert!(server.join().all_answered());
    assert_eq!(stop.counts().response_bytes_left, 0);
}

#[test]
fn bodies_that_fail_stall_or_lose_their_client_leave_nothing_behind() {
    const TOTAL: u64 = 64 << 20;
    let file = sparse(TOTAL);
    let mut config = config();
    config.write_timeout = Duration::from_millis(300);
    let shared = file.try_clone().unwrap();
    let server = TestServer::start(config, move |request: Request| match request.uri().path() {
        "/shrinks" => Body::from_file(shared.try_clone().unwrap()).unwrap(),
        "/short" => Body::from_reader_sized(sparse(TOTAL / 2), TOTAL),
        _ => Body::from_file(sparse(TOTAL)).unwrap(),
    });
    let stop = &server.stop;
    let over = |server: &TestServer| {
        server.wait_in_progress(0);
        server.stop.unsent().bytes
    };

    let shrinks = begin(&server, &get("/shrinks"));
    wait_held(&server, 1);
    file.set_len(TOTAL / 2).unwrap();
    let sent = read_body(shrinks);
    assert!(sent <= TOTAL / 2, "{sent}");
    assert_eq!(over(&server), 0);

    let short = begin(&server, &get("/short"));
    wait_held(&server, 1);
    assert_eq!(read_body(short), TOTAL / 2);
    assert_eq!(over(&server), 0);

    let disconnects = begin(&server, &get("/disconnects"));
    wait_held(&server, 1);
    drop(disconnects);
    assert_eq!(over(&server), 0);

    let stalls = begin(&server, &get("/stalls"));
    assert!(stop.wait_for_counts(TOO_LONG, |counts| counts.in_progress == 1));
    assert_eq!(over(&server), 0);
    drop(stalls);

    stop.shutdown();
    let report = server.join();
    let ended = |outcome| report.requests.count(outcome);
    assert_eq!(ended(RequestOutcome::BodyFailed), 2, "{report}");
    assert_eq!(ended(RequestOutcome::ClientDisconnected), 1, "{report}");
    assert_eq!(ended(RequestOutcome::ClientStalled), 1, "{report}");
}

#[test]
fn a_client_that_follows_the_stop_sees_what_is_left_once_a_second() {
    /// More than any machine sends before the deadline.
    const TOTAL: u64 = 1 << 40;
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    let routes = Router::new()
        .get("/big.iso", |_: Request| {
            Body::from_file(sparse(TOTAL)).unwrap()
        })
        .nest("/", stop.router());
    let server = TestServer::spawn(server, routes.build().unwrap());
    let mut download = begin(&server, &get("/big.iso"));
    wait_held(&server, TOTAL / 2);
    // The client goes on to read, and no faster than the server can be sure of.
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while download.read(&mut buffer).is_ok_and(|count| count > 0) {
            thread::sleep(Duration::from_millis(5));
        }
    });

    let (mut follower, mut reading_json) = (server.connect(), server.connect());
    server.wait_open(3);
    let began = Instant::now();
    follower.request("/shutdown?wait");
    follower.head();
    reading_json
        .send("GET /shutdown?wait HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    reading_json.head();
    let mut lines = Vec::new();
    while began.elapsed() < Duration::from_secs(4) {
        lines.push(next_line(&mut follower));
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    // Some are for connections and requests that have begun or ended.
    assert!(lines.len() <= seconds + 6, "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last.contains("iB to send (about "), "{lines:?}");
    let too_late = ", probably not before the deadline)\n";
    assert!(last.ends_with(too_late), "{lines:?}");

    let json: Value = loop {
        let json: Value = serde_json::from_str(&next_line(&mut reading_json)).unwrap();
        if !json["likely_seconds"].is_null() {
            break json;
        }
        assert!(json["before_deadline"].is_null(), "{json}");
    };
    assert_eq!(json["before_deadline"], false);
    assert!(json["likely_seconds"].as_f64().unwrap() > 60.0, "{json}");
    assert!(json["response_bytes_left"].as_u64().unwrap() > TOTAL / 2);

    let unsent = server.stop.unsent();
    assert!(unsent.is_likely_cut(), "{unsent:?}");
    server.stop.abort();
    follower.expect_end();
    reading_json.expect_end();
    drop((follower, reading_json));
    reader.join().unwrap();
    let report = server.join();
    assert_eq!(report.cut.len(), 1, "{report}");
}

fn next_line(follower: &mut Client) -> String {
    String::from_utf8(follower.chunk().unwrap()).unwrap()
}
