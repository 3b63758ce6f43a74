//! What is wrong or too much is answered with the right status, and closes.

use crate::support::TestServer;
use crate::support::config;

/// Sends literal bytes, and expects this status and then the end.
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
    assert_eq!(report.requests.to_string(), "1 refused");
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
fn what_is_too_large_is_refused() {
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

#[test]
fn a_refusal_to_a_head_has_no_body() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert_eq!(client.head_response().status, 501);
    client.expect_eof();
}

#[test]
fn there_are_no_tunnels() {
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
