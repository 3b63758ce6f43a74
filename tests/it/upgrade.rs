//! Upgraded connections: the application gets the raw stream on a thread of its own. The
//! server counts the connection, tells the application about the drain, and waits for it.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::unbounded;
use farewell::Body;
use farewell::Config;
use farewell::ConnectionOutcome;
use farewell::Phase;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::Upgraded;
use http::HeaderValue;
use http::StatusCode;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";

fn switching(f: impl FnOnce(Upgraded) + Send + 'static) -> Response {
    let mut response = Response::new(Body::upgrade(f));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let protocol = HeaderValue::from_static("shout");
    response.headers_mut().insert("upgrade", protocol);
    response
}

/// Sends everything back in upper case. At the drain it sends `STOPPING`, and goes on.
fn shout(mut stream: Upgraded) -> io::Result<()> {
    stream.wake_on_drain(true);
    let mut buffer = [0; 1000];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => stream.write_all(&buffer[..count].to_ascii_uppercase())?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(stream.phase() >= Phase::Draining);
                stream.write_all(b"STOPPING")?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn server(config: Config) -> TestServer {
    TestServer::start(config, |_: Request| {
        switching(|stream| shout(stream).unwrap())
    })
}

fn upgraded(server: &TestServer, behind: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("{UPGRADE}{behind}"));
    let head = client.head();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    assert!(head.contains("upgrade: shout\r\n"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    client
}

#[test]
fn bytes_sent_behind_the_request_are_read_first() {
    let server = server(config());
    let mut client = upgraded(&server, "hello");
    assert_eq!(client.raw(5), b"HELLO");
    client.send("again");
    assert_eq!(client.raw(5), b"AGAIN");
    assert_eq!(server.stop.counts().upgraded, 1);
    client.half_close();
    client.expect_eof();
    drop(client);
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.connections.to_string(), "1 upgraded");
    assert_eq!(report.requests.to_string(), "1 answered");
}

#[test]
fn an_upgraded_connection_occupies_no_worker() {
    let mut config = config();
    config.workers = 1;
    let server = server(config);
    let mut clients: Vec<Client> = (0..10).map(|_| upgraded(&server, "")).collect();
    for client in &mut clients {
        client.send("x");
        assert_eq!(client.raw(1), b"X");
    }
}

#[test]
fn a_drain_wakes_an_upgraded_connection_and_waits_for_it() {
    let server = server(config());
    let mut client = upgraded(&server, "");
    server.stop.shutdown();
    assert_eq!(client.raw(8), b"STOPPING");
    client.send("last words");
    assert_eq!(client.raw(10), b"LAST WORDS");
    drop(client);
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::Upgraded), 1);
    assert!(report.all_answered());
}

#[test]
fn an_upgraded_connection_is_cut_and_named_at_the_deadline() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(50);
    config.linger = Duration::from_millis(50);
    let server = server(config);
    let mut client = server.connect();
    client.send(UPGRADE.replace("GET /", "GET /\u{202e}\u{85}"));
    client.head();
    server.stop.shutdown();
    assert_eq!(client.raw(8), b"STOPPING");
    client.expect_end();
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::Cut), 1);
    assert_eq!(report.cut[0].route, r"GET /\xe2\x80\xae\xc2\x85", "escaped");
    assert_eq!(report.cut[0].peer, client.address());
    assert!(!report.all_answered());
    assert_eq!(report.threads_left, 0, "the cut ended the read");
}

#[test]
fn a_function_that_does_not_return_is_left_behind_and_counted() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(50);
    config.linger = Duration::from_millis(50);
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config, {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            let gate = Arc::clone(&gate);
            switching(move |_| gate.pass("stuck"))
        }
    });
    let _client = upgraded(&server, "");
    gate.wait_started();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.threads_left, 1);
    drop(bar);
}

#[test]
fn with_a_successful_status_the_written_bytes_are_the_body() {
    let server = TestServer::start(config(), |_: Request| {
        Response::new(Body::upgrade(|mut stream: Upgraded| {
            stream.write_all(b"raw bytes").unwrap();
            stream.close().unwrap();
        }))
    });
    let mut client = server.connect();
    let response = client.get("/");
    assert_eq!(response.body, "raw bytes");
    assert!(response.closes());
    drop(client);
    server.stop.shutdown();
    assert!(server.join().all_answered());
}

#[test]
fn close_fails_if_the_client_does_not_confirm() {
    let mut config = config();
    config.linger = Duration::from_millis(50);
    let (sender, closed) = unbounded();
    let server = TestServer::start(config, move |_: Request| {
        let sender = sender.clone();
        Response::new(Body::upgrade(move |stream: Upgraded| {
            sender.send(stream.close()).unwrap();
        }))
    });
    let mut client = server.connect();
    client.get("/");
    let error = closed.recv_timeout(TOO_LONG).unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_shared_handle_writes_while_another_reads() {
    let server = TestServer::start(config(), |_: Request| {
        switching(|mut stream| {
            let mut writer = stream.share();
            let (bytes, read) = unbounded();
            let writing = thread::spawn(move || {
                for byte in read {
                    writer.write_all(&[byte]).unwrap();
                }
            });
            let mut byte = [0];
            while stream.read(&mut byte).unwrap() == 1 {
                bytes.send(byte[0]).unwrap();
            }
            drop(bytes);
            writing.join().unwrap();
        })
    });
    let mut client = upgraded(&server, "");
    client.send("hello");
    assert_eq!(client.raw(5), b"hello");
}

#[test]
fn a_write_waits_for_a_slow_reader() {
    const MANY: usize = 20 << 20;
    let server = TestServer::start(config(), |_: Request| {
        switching(|mut stream| stream.write_all(&vec![b'x'; MANY]).unwrap())
    });
    let mut client = upgraded(&server, "");
    client.wait_readable();
    assert!(client.raw(MANY) == vec![b'x'; MANY]);
    client.expect_eof();
}

#[test]
fn the_stream_can_become_a_stream_of_std() {
    let server = TestServer::start(config(), |_: Request| {
        switching(|stream| {
            let (mut stream, behind) = stream.into_std().unwrap();
            // The timeout of the listener is not inherited.
            assert_eq!(stream.read_timeout().unwrap(), None);
            assert_eq!(behind, "hel");
            let mut rest = [0; 2];
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(&rest).unwrap();
        })
    });
    let mut client = upgraded(&server, "hel");
    client.send("lo");
    assert_eq!(client.raw(2), b"lo");
    client.expect_end();
    drop(client);
    server.stop.shutdown();
    assert!(server.join().all_answered());
}

#[test]
fn a_stream_of_std_wakes_no_thread_of_the_server() {
    let (sender, streams) = unbounded();
    let server = TestServer::start(config(), move |_: Request| {
        let sender = sender.clone();
        switching(move |stream| sender.send(stream.into_std().unwrap().0).unwrap())
    });
    let mut client = upgraded(&server, "");
    let mut stream = streams.recv_timeout(TOO_LONG).unwrap();
    server.wait_open(0);
    // Its slot is vacant: an event of the stream would wake the slot's next connection.
    let mut next = server.connect();
    assert_eq!(next.get("/").status, 500);
    for _ in 0..100 {
        client.send("x");
        stream.read_exact(&mut [0]).unwrap();
    }
    stream.write_all(b"bye").unwrap();
    drop(stream);
    assert_eq!(client.raw(3), b"bye");
    client.expect_eof();
}

#[test]
fn a_stream_with_other_handles_cannot_become_a_stream_of_std() {
    let server = TestServer::start(config(), |_: Request| {
        switching(|stream| {
            let mut other = stream.share();
            other.set_read_timeout(Some(Duration::from_millis(10)));
            let refused = stream.into_std().unwrap_err();
            let text = refused.to_string();
            assert!(text.contains("another handle"), "{text}");
            let mut stream = refused.into_inner();
            // Both handles still work.
            let late = other.read(&mut [0]).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::TimedOut);
            stream.write_all(b"one").unwrap();
            drop(other);
            let (mut stream, _) = stream.into_std().unwrap();
            stream.write_all(b"two").unwrap();
        })
    });
    let mut client = upgraded(&server, "");
    assert_eq!(client.raw(6), b"onetwo");
}

#[test]
fn a_stream_of_std_counts_against_max_connections_until_its_drop() {
    let mut config = config();
    config.max_connections = 1;
    let (sender, streams) = unbounded();
    let server = TestServer::start(config, move |request: Request| {
        let sender = sender.clone();
        match request.headers().contains_key("upgrade") {
            true => switching(move |stream| sender.send(stream.into_std().unwrap().0).unwrap()),
            false => Response::new("text".into()),
        }
    });
    let client = upgraded(&server, "");
    let stream = streams.recv_timeout(TOO_LONG).unwrap();
    server.wait_open(0);
    let mut waiting = server.connect();
    waiting.request("/");
    let accepted = |timeout| {
        server
            .stop
            .wait_for_counts(timeout, |counts| counts.open == 1)
    };
    assert!(!accepted(Duration::from_millis(50)), "there was no place");
    drop(stream);
    assert!(accepted(TOO_LONG));
    assert_eq!(waiting.response().body, "text");
    drop(client);
}

#[test]
fn a_stream_of_std_does_not_delay_a_stop() {
    let mut config = config();
    config.max_connections = 1;
    let (sender, streams) = unbounded();
    let server = TestServer::start(config, move |_: Request| {
        let sender = sender.clone();
        switching(move |stream| sender.send(stream.into_std().unwrap().0).unwrap())
    });
    let client = upgraded(&server, "");
    let stream = streams.recv_timeout(TOO_LONG).unwrap();
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert!(report.all_answered(), "{report}");
    assert_eq!(report.abort, None, "{report}");
    drop((client, stream));
}

#[test]
fn an_upgrade_that_has_returned_is_not_cut() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(200);
    let (sender, returned) = unbounded();
    let server = TestServer::start(config, move |_: Request| {
        let sender = sender.clone();
        switching(move |stream| {
            drop(stream);
            sender.send(()).unwrap();
        })
    });
    let mut client = upgraded(&server, "");
    returned.recv_timeout(TOO_LONG).unwrap();
    // The client goes on sending after the deadline.
    let sending = thread::spawn(move || while client.try_send([b'x'; 4096]).is_ok() {});
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.connections.to_string(), "1 upgraded", "{report}");
    assert!(report.all_answered(), "{report}");
    sending.join().unwrap();
}

#[test]
fn a_read_can_have_a_timeout() {
    let server = TestServer::start(config(), |_: Request| {
        switching(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_millis(10)));
            let error = stream.read(&mut [0]).unwrap_err();
            write!(stream, "{:?}", error.kind()).unwrap();
        })
    });
    let mut client = upgraded(&server, "");
    assert_eq!(client.raw(8), b"TimedOut");
}

#[test]
fn a_panic_closes_the_connection_and_stops_nothing_else() {
    let server = TestServer::start(config(), |_: Request| switching(|_| panic!("on purpose")));
    let mut client = upgraded(&server, "");
    client.expect_end();
    drop(client);
    server.wait_open(0);
    upgraded(&server, "").expect_end();
    server.stop.shutdown();
    assert_eq!(server.join().connections.to_string(), "2 upgraded");
}

#[test]
fn a_101_to_a_request_without_an_upgrade_is_a_500() {
    let server = server(config());
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: shout\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.response().status, 500, "{request}");
    }
}

#[test]
fn an_upgrade_that_makes_no_sense_is_a_500() {
    let wrong = |change: fn(&mut Response)| {
        let server = TestServer::start(config(), move |_: Request| {
            let mut response = switching(|_| panic!("not called"));
            change(&mut response);
            response
        });
        let mut client = server.connect();
        client.send(UPGRADE);
        client.response().status
    };
    assert_eq!(
        wrong(|response| drop(response.headers_mut().remove("upgrade"))),
        500
    );
    assert_eq!(wrong(|response| *response.body_mut() = "text".into()), 500);
    assert_eq!(
        wrong(|response| *response.status_mut() = StatusCode::PROCESSING),
        500
    );
    // A status that cannot have a stream gets an empty body.
    assert_eq!(
        wrong(|response| *response.status_mut() = StatusCode::NOT_FOUND),
        404
    );
    assert_eq!(
        wrong(|response| *response.status_mut() = StatusCode::NO_CONTENT),
        204
    );
}

#[test]
fn requests_pipelined_behind_a_refused_upgrade_are_answered() {
    let server = server(config());
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    assert_eq!(client.response().status, 500);
    assert_eq!(client.response().status, 500);
    drop(client);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Answered), 2);
}
