//! Uploads of web pages, on the wire.

use std::io;

use farewell::MultipartLimits;
use farewell::Rejection;
use farewell::Request;
use farewell::Router;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::client::Response;
use crate::support::config;

/// Answers with the name and the length of each part.
fn server() -> TestServer {
    let read = |mut request: Request| -> Result<String, Rejection> {
        let mut limits = MultipartLimits::default();
        limits.part_bytes_max = 1 << 20;
        let mut form = request.multipart(limits)?;
        let mut found = String::new();
        while let Some(mut part) = form.next_part()? {
            let length = io::copy(&mut part, &mut io::sink())?;
            found += &format!("{} {:?} {length};", part.name(), part.file_name());
        }
        Ok(found + request.param("rest").unwrap_or_default())
    };
    let boxed = |mut request: Request| -> Result<String, Box<dyn std::error::Error>> {
        let mut form = request.multipart(MultipartLimits::default())?;
        let part = form.next_part()?.ok_or("no part")?;
        Ok(part.text()?)
    };
    let routes = Router::new()
        .post("/read/{rest}", read)
        .post("/boxed", boxed)
        .build()
        .unwrap();
    TestServer::start(config(), routes)
}

const TYPE: &str = "Content-Type: multipart/form-data; boundary=\"x y\"\r\n";
const PART: &str = "--x y\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";

fn post(client: &mut Client, path: &str, fields: &str, body: &str) -> Response {
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.response()
}

#[test]
fn a_large_part_is_streamed_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.connect();
    let large = "\r\n--x".repeat(100_000);
    let body = format!("{PART}{large}\r\n--x y--\r\n");
    for _ in 0..2 {
        let response = post(&mut client, "/read/end", TYPE, &body);
        assert_eq!(response.status, 200);
        assert_eq!(response.body, format!("a None {};end", large.len()));
    }
    client.send(format!(
        "POST /read/end HTTP/1.1\r\nHost: a\r\n{TYPE}Transfer-Encoding: chunked\r\n\r\n"
    ));
    for chunk in body.as_bytes().chunks(40_000) {
        client.send(format!("{:x}\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert!(client.response().body.ends_with(";end"));
    assert!(!post(&mut client, "/boxed", TYPE, &format!("{PART}1\r\n--x y--")).closes());
}

#[test]
fn each_refusal_has_its_status_and_its_reason() {
    let server = server();
    let unsupported = "expected Content-Type: multipart/form-data, with a boundary\n";
    let whole = format!("{PART}1\r\n--x y--\r\n");
    let unfinished = format!("{PART}1\r\n");
    let large = format!("{PART}{}\r\n--x y--\r\n", "1".repeat((1 << 20) + 1));
    let many = format!("{PART}1\r\n").repeat(65);
    let head = format!("--x y\r\nx: {}", "y".repeat(10_000));
    let invalid = TYPE.replace("x y", "x{y");
    for (fields, body, status, line) in [
        ("", &whole, 415, unsupported),
        ("Content-Type: text/plain\r\n", &whole, 415, unsupported),
        (
            "Content-Type: multipart/form-data\r\n",
            &whole,
            415,
            unsupported,
        ),
        (
            &invalid,
            &whole,
            400,
            "multipart body is malformed: its boundary is not valid\n",
        ),
        (
            &TYPE.repeat(2),
            &whole,
            400,
            "header field content-type is not valid: it is repeated\n",
        ),
        (
            TYPE,
            &unfinished,
            400,
            "multipart body ended before its closing boundary\n",
        ),
        (
            TYPE,
            &large,
            413,
            "part 1 of the multipart body is larger than 1048576 bytes\n",
        ),
        (TYPE, &many, 413, "multipart body has more than 64 parts\n"),
        (
            TYPE,
            &head,
            413,
            "the head of a part is larger than 8192 bytes\n",
        ),
    ] {
        let mut client = server.connect();
        let response = post(&mut client, "/read/end", fields, body);
        assert_eq!(response.status, status, "{fields} {response:?}");
        assert_eq!(response.body, line);
    }
}

#[test]
fn a_body_that_breaks_off_or_is_too_large_is_refused_as_any_body() {
    let server = server();
    let mut client = server.connect();
    client.send(format!(
        "POST /read/end HTTP/1.1\r\nHost: a\r\n{TYPE}Transfer-Encoding: chunked\r\n\r\n\
         5\r\n--x y\r\nzz\r\n"
    ));
    assert_eq!(client.response().status, 400);

    let mut client = server.connect();
    client.send(format!(
        "POST /read/end HTTP/1.1\r\nHost: a\r\n{TYPE}Transfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n",
        3 << 20
    ));
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_refusal_in_a_box_stays_a_refusal() {
    let server = server();
    let mut client = server.connect();
    let long = format!("{PART}{}\r\n--x y--", "1".repeat(70_000));
    let response = post(&mut client, "/boxed", TYPE, &long);
    assert_eq!(response.status, 413);
    assert_eq!(response.body, "field \"a\" is larger than 65536 bytes\n");
    let mut client = server.connect();
    assert_eq!(post(&mut client, "/boxed", TYPE, "--x y--").status, 500);
}
