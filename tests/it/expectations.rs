//! `Expect: 100-continue`: the server sends `100 Continue` when the handler first reads,
//! and not before.

use farewell::Request;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::config;

fn begin(client: &mut Client, path: &str, length: usize) {
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
}

fn server() -> TestServer {
    TestServer::start(config(), |mut request: Request| {
        match request.uri().path() {
            "/unread" => "read nothing".to_owned(),
            _ => request.text().unwrap_or_else(|error| error.to_string()),
        }
    })
}

#[test]
fn a_100_is_sent_when_the_handler_reads() {
    let server = server();
    let mut client = server.connect();
    for body in ["hello".to_owned(), "x".repeat(100_000)] {
        begin(&mut client, "/", body.len());
        assert_eq!(client.head(), "http/1.1 100 continue\r\n\r\n");
        client.send(&body);
        assert_eq!(client.response().body, body);
    }
}

#[test]
fn a_100_is_sent_for_a_chunked_body_too() {
    let server = server();
    let mut client = server.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    assert_eq!(client.head(), "http/1.1 100 continue\r\n\r\n");
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().body, "hello");
}

#[test]
fn no_100_is_sent_if_the_handler_does_not_read() {
    let server = server();
    let mut client = server.connect();
    begin(&mut client, "/unread", 100);
    let response = client.response();
    assert_eq!(response.status, 200);
    assert!(response.closes(), "the client may still send: {response:?}");
    client.expect_eof();
}

#[test]
fn no_100_is_sent_to_a_client_that_does_not_wait() {
    let server = server();
    let mut client = server.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(client.response().body, "hello");
}

#[test]
fn no_100_is_sent_for_a_body_that_is_too_large() {
    let server = server();
    let mut client = server.connect();
    begin(&mut client, "/", 1 << 40);
    assert_eq!(client.response().status, 413);
    client.expect_eof();
}

#[test]
fn other_expectations_are_417() {
    let server = server();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n");
    assert_eq!(client.response().status, 417);
    client.expect_eof();
}

#[test]
fn no_100_is_sent_without_a_body_or_in_http_1_0() {
    let server = server();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response().body, "hello");
}
