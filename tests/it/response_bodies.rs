//! Every kind of response body arrives complete, and occupies no worker while its client
//! is slow. If it fails, the client can tell that it is not complete.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::time::Duration;

use farewell::Body;
use farewell::ConnectionOutcome;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use http::StatusCode;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::client::Loss;
use crate::support::config;
use crate::support::get;
use crate::support::large_bodies::KINDS;
use crate::support::large_bodies::LARGE;
use crate::support::large_bodies::body;
use crate::support::large_bodies::file;
use crate::support::large_bodies::large;

fn server(workers: usize) -> TestServer {
    let mut config = config();
    config.workers = workers;
    TestServer::start(config, |request: Request| body(request.uri().path()))
}

#[test]
fn every_kind_of_body_arrives_complete_and_the_connection_persists() {
    let server = server(2);
    let mut client = server.connect();
    let expected = String::from_utf8(large()).unwrap();
    for kind in KINDS {
        let response = client.get(kind);
        assert!(response.body == expected, "{kind}");
        assert!(!response.closes(), "{kind}");
        let stated = response.has(&format!("content-length: {LARGE}"));
        assert_eq!(
            stated,
            matches!(kind, "/bytes" | "/file" | "/sized"),
            "{kind}"
        );
        assert_ne!(stated, response.has("transfer-encoding: chunked"), "{kind}");
    }
}

#[test]
fn a_slow_client_occupies_no_worker_whatever_the_kind_of_body() {
    let server = server(1);
    let mut slow: Vec<Client> = KINDS
        .iter()
        .map(|kind| {
            let mut client = server.connect();
            client.request(kind);
            client.wait_readable();
            client
        })
        .collect();
    // The only worker is free.
    assert_eq!(server.connect().get("/small").body, "small");
    let expected = String::from_utf8(large()).unwrap();
    for (client, kind) in slow.iter_mut().zip(KINDS) {
        assert!(client.response().body == expected, "{kind}");
    }
}

#[test]
fn http_1_0_gets_a_body_without_length_until_the_close() {
    let server = server(1);
    for kind in ["/chunks", "/from_writer"] {
        let mut client = server.connect();
        client.send(format!(
            "GET {kind} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ));
        let response = client.response();
        assert!(response.closes());
        assert!(!response.has("transfer-encoding: chunked"));
        assert!(response.body.as_bytes() == large(), "{kind}");
    }
}

#[test]
fn a_file_is_sent_from_its_position_on() {
    let server = TestServer::start(config(), |_: Request| {
        let mut file = file(b"hello, world");
        file.seek(SeekFrom::Start(7)).unwrap();
        Body::from_file(file).unwrap()
    });
    let response = server.connect().get("/");
    assert_eq!(response.body, "world");
    assert!(response.has("content-length: 5"));
}

#[test]
fn a_body_from_a_file_that_is_not_regular_is_an_error() {
    let error = Body::from_file(File::open("/dev/null").unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_written_body_arrives_as_it_is_flushed() {
    let (release, wait) = crossbeam_channel::bounded::<()>(0);
    let server = TestServer::start(config(), move |_: Request| {
        let wait = wait.clone();
        Body::from_writer(move |writer| {
            writer.write_all(b"first")?;
            writer.flush()?;
            wait.recv().unwrap();
            writer.write_all(b"second")
        })
    });
    let mut client = server.connect();
    client.request("/");
    client.head();
    assert_eq!(client.chunk().unwrap(), b"first");
    release.send(()).unwrap();
    assert_eq!(client.chunk().unwrap(), b"second");
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn head_204_and_304_have_no_body_whatever_the_handler_gives() {
    let server = TestServer::start(config(), |request: Request| {
        let path = request.uri().path();
        let mut response = Response::new(body(path));
        if let Some(status) = request.uri().query() {
            *response.status_mut() = StatusCode::from_bytes(status.as_bytes()).unwrap();
        }
        response
    });
    let mut client = server.connect();
    for kind in KINDS.iter().chain(&["/small"]) {
        client.send(format!("HEAD {kind} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = client.head_response();
        assert_eq!(response.status, 200);
        if *kind == "/file" {
            assert!(response.has(&format!("content-length: {LARGE}")));
        }
        for status in [204, 304] {
            let response = client.get(&format!("{kind}?{status}"));
            assert_eq!(response.status, status);
            assert!(!response.head.contains("content-length"), "{response:?}");
        }
    }
    assert_eq!(client.get("/small").body, "small");
}

#[test]
fn the_answer_to_a_head_may_state_a_length_without_a_body() {
    let server = TestServer::start(config(), |_: Request| {
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert("content-length", 12345.into());
        response
    });
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head_response().has("content-length: 12345"));
    assert!(client.get("/").has("content-length: 0"));
}

/// A body that fails, or is shorter than stated.
fn broken_body(path: &str) -> Body {
    match path {
        "/file" => {
            let file = file(&large());
            let handle = file.try_clone().unwrap();
            let body = Body::from_file(file).unwrap();
            handle.set_len(100).unwrap();
            body
        }
        "/sized" => Body::from_reader_sized(&b"too short"[..], 100),
        "/reader" => Body::from_reader((&b"begun"[..]).chain(Failing)),
        "/chunks" => Body::try_from_chunks([Ok("begun"), Err(io::Error::other("on purpose"))]),
        "/panic" => Body::from_chunks((0..2).map(|number| match number {
            0 => "begun",
            _ => panic!("on purpose"),
        })),
        "/from_writer" => Body::from_writer(|writer| {
            writer.write_all(b"begun")?;
            writer.flush()?;
            Err(io::Error::other("on purpose"))
        }),
        "/writer_panics" => Body::from_writer(|_| panic!("on purpose")),
        _ => {
            let (mut writer, body) = Body::writer();
            writer.write_all(b"begun").unwrap();
            drop(writer);
            body
        }
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("on purpose"))
    }
}

#[test]
fn a_body_that_fails_is_cut_so_that_the_client_can_tell() {
    let server = TestServer::start(config(), |request: Request| {
        broken_body(request.uri().path())
    });
    let kinds = [
        "/file",
        "/sized",
        "/reader",
        "/chunks",
        "/panic",
        "/from_writer",
        "/writer_panics",
        "/dropped",
    ];
    for kind in kinds {
        let mut client = server.connect();
        client.request(kind);
        assert_eq!(client.try_response(false), Err(Loss::Truncated), "{kind}");
        // In HTTP/1.0, without a length, only a reset shows that the body failed.
        let mut client = server.connect();
        client.send(format!("GET {kind} HTTP/1.0\r\n\r\n"));
        match kind {
            "/file" | "/sized" => assert_eq!(client.try_response(false), Err(Loss::Truncated)),
            _ => client.expect_reset(),
        }
    }
    server.stop.shutdown();
    let report = server.join();
    let broken = 2 * kinds.len() as u64;
    assert_eq!(report.requests.count(RequestOutcome::BodyFailed), broken);
    assert_eq!(
        report.connections.count(ConnectionOutcome::BodyFailed),
        broken
    );
    assert!(report.all_answered(), "the stop cut no request");
}

#[test]
fn a_client_that_reads_below_the_minimum_rate_is_closed() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(200);
    config.rate_min = 100 << 20;
    let server = TestServer::start(config, |_: Request| large());
    let mut client = server.connect();
    client.request("/");
    client.wait_readable();
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::ClientStalled), 1);
}

#[test]
fn a_response_cannot_be_split() {
    let evil = "a\r\nX-Evil: 1";
    assert!(http::HeaderValue::from_str(evil).is_err());
    assert!(http::HeaderName::from_bytes(evil.as_bytes()).is_err());
    // A field value of the client, sent back, stays on one line.
    let server = TestServer::start(config(), |request: Request| {
        let mut response = Response::new(Body::empty());
        let value = request.headers()["x-echo"].clone();
        response.headers_mut().insert("x-echo", value);
        response
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Echo: a%0d%0aX-Evil: 1\r\n\r\n");
    let response = client.response();
    assert!(response.has("x-echo: a%0d%0ax-evil: 1"), "{response:?}");
}

#[test]
fn a_streamed_answer_in_progress_when_the_server_stops_is_completed() {
    let server = server(2);
    let mut clients: Vec<Client> = KINDS
        .iter()
        .map(|kind| {
            let mut client = server.connect();
            client.send(get(kind));
            client.wait_readable();
            client
        })
        .collect();
    server.stop.shutdown();
    for (client, kind) in clients.iter_mut().zip(KINDS) {
        assert!(client.response().body.as_bytes() == large(), "{kind}");
    }
    drop(clients);
    assert!(server.join().all_answered());
}
