//! Layers change requests and responses, and every message is still framed right.

use std::io;
use std::io::Read;
use std::io::Write;
use std::mem;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use farewell::Body;
use farewell::ConnectionOutcome;
use farewell::Event;
use farewell::EventSender;
use farewell::Events;
use farewell::Handler;
use farewell::IntoResponse;
use farewell::Method;
use farewell::Rejection;
use farewell::Request;
use farewell::RequestBody;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::Router;
use farewell::Server;
use flate2::Compression;
use flate2::write::GzDecoder;
use flate2::write::GzEncoder;
use http::header;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TestServer;
use crate::support::client::Loss;
use crate::support::config;
use crate::support::large_bodies::KINDS;
use crate::support::large_bodies::LARGE;
use crate::support::large_bodies::body;
use crate::support::large_bodies::large;

fn upper(chunk: Option<bytes::Bytes>) -> io::Result<bytes::Bytes> {
    Ok(match chunk {
        Some(chunk) => chunk.to_ascii_uppercase().into(),
        None => "!".into(),
    })
}

/// A server with a layer around `handler`.
fn layered<R: IntoResponse>(
    handler: impl Handler,
    layer: impl Fn(Request, &dyn Handler) -> R + Send + Sync + 'static,
) -> TestServer {
    let routes = Router::new().any("/{*path}", handler).layer(layer);
    TestServer::start(config(), routes.build().unwrap())
}

fn large_and_upper() -> String {
    String::from_utf8(large().to_ascii_uppercase()).unwrap() + "!"
}

#[test]
fn every_kind_of_body_can_be_changed_and_the_connection_persists() {
    let server = layered(
        |request: Request| body(request.uri().path()),
        |request: Request, next: &dyn Handler| {
            next.handle(request).map(|body| body.map_chunks(upper))
        },
    );
    let mut client = server.connect();
    for kind in KINDS {
        let response = client.get(kind);
        assert!(response.body == large_and_upper(), "{kind}");
        let stated = response.has(&format!("content-length: {}", LARGE + 1));
        assert_eq!(stated, kind == "/bytes", "{kind}");
        assert_ne!(stated, response.has("transfer-encoding: chunked"), "{kind}");
        client.send(format!("HEAD {kind} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head_response();
        let stated = head.has(&format!("content-length: {}", LARGE + 1));
        assert_eq!(stated, kind == "/bytes", "{kind}");
    }
}

#[test]
fn a_slow_reader_of_a_changed_body_occupies_no_worker() {
    let mut config = config();
    config.workers = 1;
    let server = TestServer::start(config, |request: Request| {
        body(request.uri().path()).map_chunks(upper)
    });
    let mut slow: Vec<Client> = KINDS
        .iter()
        .map(|kind| {
            let mut client = server.connect();
            client.request(kind);
            client.wait_readable();
            client
        })
        .collect();
    assert_eq!(server.connect().get("/small").body, "SMALL!");
    for (client, kind) in slow.iter_mut().zip(KINDS) {
        assert!(client.response().body == large_and_upper(), "{kind}");
    }
}

#[test]
fn a_replaced_body_is_framed_by_its_own_length_whatever_the_fields_say() {
    let server = layered(
        |_: Request| {
            let mut response = "hello".into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_LENGTH, 5.into());
            response
        },
        |request: Request, next: &dyn Handler| {
            let path = request.uri().path().to_owned();
            let mut response = next.handle(request);
            *response.body_mut() = match &*path {
                "/longer" => Body::from("hello, world"),
                "/shorter" => Body::from("h"),
                "/empty" => Body::empty(),
                "/stream" => Body::from_chunks(["hello, ", "world"]),
                _ => Body::from_chunks(["hello, ", "world"]).with_length(12),
            };
            let headers = response.headers_mut();
            headers.append(header::TRANSFER_ENCODING, "gzip".parse().unwrap());
            response
        },
    );
    let mut client = server.connect();
    for (path, body, length) in [
        ("/longer", "hello, world", Some(12)),
        ("/shorter", "h", Some(1)),
        ("/empty", "", Some(0)),
        ("/stream", "hello, world", None),
        ("/sized", "hello, world", Some(12)),
    ] {
        let response = client.get(path);
        assert_eq!(response.body, body, "{path}");
        let lengths = response.head.matches("content-length").count();
        assert_eq!(lengths, usize::from(length.is_some()), "{path}");
        let framing = match length {
            Some(length) => format!("content-length: {length}"),
            None => "transfer-encoding: chunked".to_owned(),
        };
        assert!(response.has(&framing), "{path}: {}", response.head);
        assert!(!response.has("transfer-encoding: gzip"), "{path}");

        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = client.head_response();
        // The only case in which the field is believed: no body, and the length that a
        // GET would have.
        let framing = match path {
            "/empty" => "content-length: 5",
            _ => &framing,
        };
        assert!(head.has(framing), "{path}: {}", head.head);
    }
}

#[test]
fn a_stated_length_that_is_wrong_cuts_the_connection() {
    for length in [4, 6] {
        let server = TestServer::start(config(), move |_: Request| {
            Body::from_chunks(["he", "llo"]).with_length(length)
        });
        let mut client = server.connect();
        client.request("/");
        assert_eq!(client.try_response(false).unwrap_err(), Loss::Truncated);
        drop(client);
        server.stop.shutdown();
        let report = server.join();
        assert_eq!(report.requests.count(RequestOutcome::BodyFailed), 1);
    }
}

#[test]
fn a_change_that_fails_or_panics_in_the_middle_cuts_only_its_connection() {
    let server = layered(
        |_: Request| Body::from_chunks(["one", "two"]),
        |request: Request, next: &dyn Handler| {
            let path = request.uri().path().to_owned();
            next.handle(request).map(|body| {
                body.map_chunks(move |chunk| match (&*path, &chunk) {
                    ("/fails", Some(chunk)) if chunk == "two" => Err(io::Error::other("broken")),
                    ("/panics", Some(chunk)) if chunk == "two" => panic!("it panics"),
                    ("/fails_at_end", None) => Err(io::Error::other("broken")),
                    _ => Ok(chunk.unwrap_or_default()),
                })
            })
        },
    );
    for path in ["/fails", "/panics", "/fails_at_end"] {
        let mut client = server.connect();
        client.request(path);
        assert_eq!(
            client.try_response(false).unwrap_err(),
            Loss::Truncated,
            "{path}"
        );
    }
    assert_eq!(server.connect().get("/works").body, "onetwo");
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::BodyFailed), 3);
    assert_eq!(report.connections.count(ConnectionOutcome::BodyFailed), 3);
}

#[test]
fn a_change_of_a_body_in_memory_that_panics_is_a_500() {
    let server = TestServer::start(config(), |_: Request| {
        Body::from("hello").map_chunks(|_| panic!("it panics"))
    });
    assert_eq!(server.connect().get("/").status, 500);
}

/// A handler whose responses are events, and what sends them.
fn streaming() -> (impl Handler, Receiver<EventSender>) {
    let (senders, streams) = crossbeam_channel::unbounded();
    let handler = move |_: Request| {
        let (sender, events) = Events::new();
        senders.send(sender).unwrap();
        events
    };
    (handler, streams)
}

#[test]
fn a_layer_that_swaps_a_stream_closes_it() {
    let (handler, streams) = streaming();
    let server = layered(handler, |request: Request, next: &dyn Handler| {
        let mut response = next.handle(request);
        *response.body_mut() = "not today\n".into();
        response
    });
    let mut client = server.connect();
    assert_eq!(client.get("/x").body, "not today\n");
    assert!(streams.recv().unwrap().is_closed());
    // The connection is not one of events: it persists.
    assert_eq!(client.get("/x").body, "not today\n");
}

#[test]
fn changed_events_end_when_the_server_stops() {
    let (handler, streams) = streaming();
    let server = layered(handler, |request: Request, next: &dyn Handler| {
        next.handle(request).map(|body| body.map_chunks(upper))
    });
    let mut client = server.connect();
    client.request("/x");
    let sender = streams.recv().unwrap();
    client.head();
    sender.send(&Event::data("one")).unwrap();
    assert_eq!(client.chunk().unwrap(), b"DATA: ONE\n\n");
    server.stop.shutdown();
    assert!(sender.wait_draining(crate::support::TOO_LONG));
    sender.send(&Event::data("last")).unwrap();
    assert_eq!(client.chunk().unwrap(), b"DATA: LAST\n\n");
    assert_eq!(client.chunk().unwrap(), b"!");
    assert_eq!(client.chunk().unwrap(), b"");
    client.expect_eof();
    drop(client);
    let report = server.join();
    assert!(report.all_answered(), "{report}");
    assert!(sender.is_closed());
}

#[test]
fn a_compressed_event_arrives_before_the_next_is_sent() {
    let (handler, streams) = streaming();
    let server = layered(handler, |request: Request, next: &dyn Handler| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        next.handle(request).map(|body| {
            body.map_chunks(move |chunk| {
                match chunk {
                    Some(chunk) => gzip.write_all(&chunk).and_then(|()| gzip.flush())?,
                    None => gzip.try_finish()?,
                }
                Ok(mem::take(gzip.get_mut()).into())
            })
        })
    });
    let mut client = server.connect();
    client.request("/x");
    let sender = streams.recv().unwrap();
    client.head();
    let mut decoder = GzDecoder::new(Vec::new());
    for number in 0..3 {
        let event = Event::data(number.to_string());
        sender.send(&event).unwrap();
        decoder.write_all(&client.chunk().unwrap()).unwrap();
        decoder.flush().unwrap();
        assert!(decoder.get_ref().ends_with(event.to_string().as_bytes()));
    }
    drop(sender);
    decoder.write_all(&client.chunk().unwrap()).unwrap();
    assert_eq!(decoder.finish().unwrap().len(), 3 * "data: 0\n\n".len());
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn a_changed_follower_follows_to_the_end() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let stop = server.shutdown_handle();
    let server = TestServer::spawn(server, move |_: Request| {
        stop.shutdown();
        let body = stop.follow(|progress| match progress {
            farewell::Progress::Finished(_) => "finished".to_owned(),
            _ => "going on".to_owned(),
        });
        body.map_chunks(upper)
    });
    let mut client = server.connect();
    let response = client.get("/");
    assert!(response.body.starts_with("GOING ON"), "{}", response.body);
    assert!(response.body.ends_with("FINISHED!"), "{}", response.body);
    assert!(response.closes());
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn an_upgrade_passes_a_layer_that_changes_bodies() {
    let server = layered(
        |_: Request| {
            let echo = |mut stream: farewell::Upgraded| {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                stream.write_all(&byte).unwrap();
            };
            let mut response = Response::new(Body::upgrade(echo));
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::UPGRADE, "echo".parse().unwrap());
            response
        },
        |request: Request, next: &dyn Handler| {
            next.handle(request).map(|body| body.map_chunks(upper))
        },
    );
    let mut client = server.connect();
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert!(client.head().starts_with("http/1.1 101 "));
    client.send("x");
    assert_eq!(client.raw(1), b"x");
    client.expect_eof();
}

#[test]
fn a_changed_method_changes_no_framing() {
    let routes = Router::new()
        .get("/new", |request: Request| {
            format!(
                "{} {}",
                request.method(),
                request.headers()["x-new"].to_str().unwrap()
            )
        })
        .build()
        .unwrap();
    let server = TestServer::start(config(), move |mut request: Request| {
        *request.method_mut() = Method::GET;
        *request.uri_mut() = "/new".parse().unwrap();
        let headers = request.headers_mut();
        headers.insert("x-new", "1".parse().unwrap());
        // What the server frames by is not here any more.
        headers.insert("content-length", "1000".parse().unwrap());
        headers.insert("connection", "close".parse().unwrap());
        routes.handle(request)
    });
    let mut client = server.connect();
    client.send("HEAD /old HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head_response();
    assert!(head.has("content-length: 5"));
    client.send("POST /old HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.response().body, "GET 1");
    assert_eq!(client.get("/old").body, "GET 1");
}

/// Has every failure of its body look like the end, or like an error of its own.
struct Hiding {
    body: RequestBody,
    as_end: bool,
}

impl Read for Hiding {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.read(buffer) {
            Err(_) if self.as_end => Ok(0),
            Err(_) => Err(io::Error::other("hidden")),
            count => count,
        }
    }
}

fn hide(mut request: Request, next: &dyn Handler) -> Response {
    let as_end = request.uri().path() == "/end";
    request.map_body(|body| Hiding { body, as_end });
    next.handle(request)
}

/// Answers with the length of the body, its trailer, and its stated length.
fn measure(mut request: Request) -> Result<String, Rejection> {
    let length = request.body_mut().length();
    let read = request.bytes()?.len();
    let trailers = request.body_mut().trailers();
    let sum = trailers.map(|fields| fields["x-sum"].clone());
    Ok(format!("{read} {sum:?} {length:?}"))
}

#[test]
fn a_wrapped_body_arrives_with_its_trailers() {
    let server = layered(measure, hide);
    let mut client = server.connect();
    for size in [0, 5, 300_000] {
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        if size > 0 {
            client.send(format!("{size:x}\r\n{}\r\n", "x".repeat(size)));
        }
        client.send("0\r\nX-Sum: 1\r\n\r\n");
        assert_eq!(client.response().body, format!("{size} Some(\"1\") None"));
        client.send(format!(
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        ));
        client.send("x".repeat(size));
        assert_eq!(client.response().body, format!("{size} None None"));
    }
}

#[test]
fn a_failure_of_the_client_cannot_be_hidden_by_a_layer() {
    let mut config = config();
    config.body_bytes_max = 100_000;
    let routes = Router::new().any("/{*path}", measure).layer(hide);
    let server = TestServer::start(config, routes.build().unwrap());
    for path in ["/end", "/error"] {
        let post = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut client = server.connect();
        client.send(&post);
        let _reset = client.try_send(format!("{:x}\r\n{}\r\n", 90_000, "x".repeat(90_000)));
        let _reset = client.try_send(format!("{:x}\r\n{}\r\n", 90_000, "x".repeat(90_000)));
        assert_eq!(client.response().status, 413, "{path}");

        let mut client = server.connect();
        client.send(&post);
        client.send(format!(
            "{:x}\r\n{}\r\nbroken\r\n",
            90_000,
            "x".repeat(90_000)
        ));
        assert_eq!(client.response().status, 400, "{path}");

        let mut client = server.connect();
        client.send(&post);
        client.send(format!("{:x}\r\n{}", 90_000, "x".repeat(80_000)));
        client.half_close();
        assert_eq!(client.response().status, 400, "{path}");
    }
}

#[test]
fn a_wrapped_body_is_cut_by_a_stop() {
    for path in ["/end", "/error"] {
        let (gate, bar) = Gate::new();
        let (results, read) = crossbeam_channel::unbounded();
        let handler = {
            let gate = Arc::clone(&gate);
            move |mut request: Request| {
                gate.pass("reading");
                let result = request.bytes();
                results
                    .send(result.as_ref().map(|_| ()).map_err(Rejection::status))
                    .unwrap();
                result
            }
        };
        let server = layered(handler, hide);
        drop(bar);
        let mut client = server.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n"
        ));
        client.send("x".repeat(70_000));
        gate.wait_started();
        server.stop.abort();
        let report = server.join();
        assert_eq!(report.requests.count(RequestOutcome::Cut), 1, "{path}");
        assert_eq!(report.threads_left, 0, "{report}");
        assert_eq!(read.recv().unwrap().unwrap_err(), 503, "{path}");
    }
}

#[test]
fn a_reader_that_panics_is_a_500_and_the_worker_goes_on() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("the reader panics")
        }
    }
    let server = layered(measure, |mut request: Request, next: &dyn Handler| {
        if request.uri().path() == "/panics" {
            request.map_body(|_| Panics);
        }
        next.handle(request)
    });
    assert_eq!(server.connect().get("/panics").status, 500);
    assert_eq!(server.connect().get("/x").body, "0 None Some(0)");
}
