//! Requests that are malformed or too large get the right status, and the connection
//! closes.

use std::time::Duration;

use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;

/// Sends literal bytes, and expects this status and then EOF.
fn refused(bytes: &str, status: u16) {
    let mut config = config();
    config.head_bytes_max = 1024;
    config.target_bytes_max = 100;
    config.headers_max = 10;
    config.body_bytes_max = 1000;
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send(bytes);
    let response = client.response();
    assert_eq!(response.status, status, "{bytes:?} gave {response:?}");
    assert!(response.closes(), "{response:?}");
    client.expect_eof();
    drop(client);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 rejected");
}

#[test]
fn a_head_that_is_not_http_is_400() {
    refused("hello\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400);
}

#[test]
fn a_body_whose_end_is_not_certain_is_refused() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\nhello");
    refused(
        &post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        400,
    );
    refused(&post("Content-Length: 5\r\nContent-Length: 6\r\n"), 400);
    refused(&post("Content-Length: +5\r\n"), 400);
    refused(&post("Transfer-Encoding: chunked, gzip\r\n"), 400);
    refused(&post("Transfer-Encoding: gzip, chunked\r\n"), 501);
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let long = "x".repeat(2000);
    refused(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
    refused(
        &format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"),
        431,
    );
    refused(
        &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(10)),
        431,
    );
    refused(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n",
        413,
    );
    refused(
        &format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            u64::MAX
        ),
        413,
    );
}

/// Sends the bytes at once, and then byte by byte. Each time it expects this status and
/// no body.
fn refused_without_body(server: &TestServer, bytes: &str, status: u16) {
    for piece in [bytes.len(), 1] {
        let mut client = server.connect();
        let mut sender = client.try_clone();
        for piece in bytes.as_bytes().chunks(piece) {
            // The server may refuse it before it is complete.
            if sender.try_send(piece).is_err() {
                break;
            }
        }
        let response = client.head_response();
        assert_eq!(response.status, status, "{bytes:?}: {response:?}");
        assert!(response.closes(), "{bytes:?} gave {response:?}");
        client.expect_eof();
    }
}

#[test]
fn a_refusal_to_a_head_has_no_body() {
    let mut config = config();
    config.head_bytes_max = 1024;
    config.target_bytes_max = 100;
    config.headers_max = 10;
    config.body_bytes_max = 1000;
    let server = TestServer::hello(config);
    let long = "x".repeat(2000);
    let head = |fields: &str| format!("HEAD / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let target = |target: &str| format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let chunked = |body: &str| head("Transfer-Encoding: chunked\r\n") + body;
    for (bytes, status) in [
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\r\nHEAD / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400),
        (head("Host: b\r\n"), 400),
        ("HEAD / HTTP/1.1\r\nHost: [zz]\r\n\r\n".to_owned(), 400),
        (head("A : b\r\n"), 400),
        (head("A: b\0\r\n"), 400),
        ("HEAD / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), 400),
        (target("/a b"), 400),
        (target("/\""), 400),
        (target("*"), 400),
        (target("ftp://a/x"), 400),
        (target("https://a/x"), 421),
        (target(&format!("/{long}")), 414),
        (target(&format!("/{}", "x".repeat(200))), 414),
        (head(&format!("A: {long}\r\n")), 431),
        (head(&"A: b\r\n".repeat(10)), 431),
        ("HEAD / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("HEAD / HTTP/01.01\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("HEAD /\r\n\r\n".to_owned(), 400),
        (head("Transfer-Encoding: gzip\r\n"), 501),
        (head("Content-Length: x\r\n"), 400),
        (head("Content-Length: 1001\r\n"), 413),
        (head("Expect: miracles\r\n"), 417),
        (chunked("5;=b\r\nhello\r\n0\r\n\r\n"), 400),
        (chunked("fffff\r\n"), 413),
    ] {
        refused_without_body(&server, &bytes, status);
    }
}

#[test]
fn a_head_that_is_late_or_one_too_many_gets_no_body_either() {
    let mut late = config();
    late.head_timeout = Duration::from_millis(50);
    let server = TestServer::hello(late);
    for begun in ["HEAD / HTTP/1.1\r\nHos", "HEAD ", "HEAD", "H"] {
        let mut client = server.connect();
        client.send(begun);
        assert_eq!(client.head_response().status, 408);
        client.expect_eof();
    }

    let mut few = config();
    few.connections_per_peer = Some(1);
    let server = TestServer::hello(few);
    let mut first = server.connect();
    first.get("/");
    for begun in ["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /", "HEA", "H"] {
        let mut client = server.connect();
        client.send(begun);
        assert_eq!(client.head_response().status, 429);
        client.expect_eof();
    }
}

#[test]
fn a_head_that_is_answered_503_gets_no_body_either() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 1;
    config.drain_timeout = Duration::from_millis(200);
    let server = TestServer::start(config, gated(&gate));
    let mut stuck = server.connect();
    stuck.request("/slow");
    gate.wait_started();
    let mut begun = ["HEAD /a HTTP/1.1\r\nHos", "HEAD /", "HE"].map(|begun| {
        let mut client = server.connect();
        client.send(begun);
        client
    });
    let mut whole = server.connect();
    whole.send("HEAD /whole HTTP/1.1\r\nHost: a\r\n\r\n");
    server.wait_open(5);
    server.stop.shutdown();
    for client in begun.iter_mut().chain([&mut whole]) {
        assert_eq!(client.head_response().status, 503);
        client.expect_eof();
    }
    stuck.expect_end();
    drop((begun, whole));
    let report = server.join();
    assert_eq!(report.requests.to_string(), "4 answered 503, 1 cut");
    drop(bar);
}

/// The beginning of a method that may become HEAD gets a refusal without a body, which is
/// correct for every method.
#[test]
fn a_refusal_to_the_beginning_of_a_head_has_no_body() {
    let mut config = config();
    config.head_timeout = Duration::from_millis(50);
    let server = TestServer::hello(config);
    for (begun, body) in [
        ("HE", ""),
        ("HEADER ", "request head was not complete in time\n"),
        ("head ", "request head was not complete in time\n"),
        ("G", "request head was not complete in time\n"),
    ] {
        let mut client = server.connect();
        client.send(begun);
        let response = client.response();
        assert_eq!(response.body, body, "{begun}");
        client.expect_eof();
    }
}

#[test]
fn refusals_say_what_is_wrong_with_the_request_line() {
    let server = TestServer::hello(config());
    for (line, status, says) in [
        (
            "GET / HTTP/1.10",
            400,
            "request line does not end with HTTP/1.1 or HTTP/1.0\n",
        ),
        (
            "GET / HTTP/01.01",
            400,
            "request line does not end with HTTP/1.1 or HTTP/1.0\n",
        ),
        (
            "GET / HTTP/1.2",
            505,
            "HTTP version not supported: use HTTP/1.1 or HTTP/1.0\n",
        ),
        (
            "GET ftp://a/x HTTP/1.1",
            400,
            "request target is neither a path nor an http URI\n",
        ),
        (
            "GET https://a/x HTTP/1.1",
            421,
            "https request target on a connection without TLS\n",
        ),
    ] {
        let mut client = server.connect();
        client.send(format!("{line}\r\nHost: a\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, &*response.body), (status, says), "{line}");
    }
}

#[test]
fn connect_is_501() {
    refused("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501);
}

#[test]
fn another_version_is_505() {
    refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

#[test]
fn a_refusal_arrives_though_the_client_goes_on_sending() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
    client.send("x".repeat(300_000));
    assert_eq!(client.response().status, 413);
    client.expect_eof();
}
