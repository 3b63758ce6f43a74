//! Code of the application that never returns, wherever the server calls it. The client
//! gets its answer if there is one, the stop ends in time, and the report names the
//! code that was left behind.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::io;
use std::io::Read;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use farewell::Abort;
use farewell::Body;
use farewell::Handler;
use farewell::IntoResponse;
use farewell::Phase;
use farewell::Report;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::RouteTable;
use farewell::Server;
use farewell::ShutdownHandle;
use farewell::UserCode;
use http::HeaderValue;
use http::StatusCode;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::short_drain;

/// A value whose drop blocks until the test is over. It serves as a reader, an iterator
/// and an error.
struct Blocks(Arc<Gate>);

impl Drop for Blocks {
    fn drop(&mut self) {
        self.0.pass("dropping");
    }
}

impl Read for Blocks {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Iterator for Blocks {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        None
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocks")
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("on purpose")
    }
}

impl Error for Blocks {}

/// Memory of the application.
struct Owner(
    Vec<u8>,
    #[expect(dead_code, reason = "only its drop is used")] Blocks,
);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn owned(bytes: usize, blocks: Blocks) -> Bytes {
    Bytes::from_owner(Owner(vec![b'x'; bytes], blocks))
}

fn with_status(status: StatusCode, body: Body) -> Response {
    (status, body).into_response()
}

/// Stops a server. The stop has to end although code of the application does not.
fn stopped(server: TestServer) -> Report {
    server.stop.shutdown();
    let ended = server.stop.wait_for_timeout(Phase::Stopped, TOO_LONG);
    assert!(ended, "the stop does not end");
    server.join()
}

/// Checks that exactly one thread was left behind, in this code.
fn assert_left(report: &Report, code: UserCode, what: &str) {
    assert_eq!(report.threads_left, 1, "{what}: {report}");
    let [left] = &report.unreturned[..] else {
        panic!("{what}: {report}");
    };
    assert_eq!(left.code, code, "{what}: {report}");
}

/// The request of the code that was left behind.
fn route(report: &Report) -> &str {
    &report.unreturned[0].request.as_ref().unwrap().route
}

/// Makes a handler's response from a value whose drop blocks.
type Make = fn(Blocks) -> Response;

#[test]
fn a_drop_that_blocks_after_the_answer_delays_neither_the_client_nor_the_stop() {
    let make: [(&str, u16, Make); 11] = [
        ("a reader", 200, |blocks| {
            Body::from_reader(blocks).into_response()
        }),
        ("a reader with a length", 200, |blocks| {
            Body::from_reader_sized(blocks, 0).into_response()
        }),
        ("an iterator", 200, |blocks| {
            Body::from_chunks(blocks).into_response()
        }),
        ("a reader without a place", 204, |blocks| {
            with_status(StatusCode::NO_CONTENT, Body::from_reader(blocks))
        }),
        ("a response that is none", 500, |blocks| {
            with_status(StatusCode::PROCESSING, Body::from_reader(blocks))
        }),
        ("an upgrade without a place", 404, |blocks| {
            let body = Body::upgrade(move |_| drop(blocks));
            with_status(StatusCode::NOT_FOUND, body)
        }),
        ("a writer without a place", 204, |blocks| {
            let body = Body::from_writer(move |_| {
                drop(blocks);
                Ok(())
            });
            with_status(StatusCode::NO_CONTENT, body)
        }),
        ("large memory", 200, |blocks| {
            owned(100_000, blocks).into_response()
        }),
        ("large memory without a place", 304, |blocks| {
            with_status(StatusCode::NOT_MODIFIED, owned(100_000, blocks).into())
        }),
        ("memory of a chunk", 200, |blocks| {
            Body::from_chunks([owned(100_000, blocks)]).into_response()
        }),
        ("a little memory of a chunk", 200, |blocks| {
            Body::from_chunks([owned(10, blocks)]).into_response()
        }),
    ];
    for (what, status, make) in make {
        let (gate, bar) = Gate::new();
        let server = TestServer::start(short_drain(), {
            let gate = Arc::clone(&gate);
            move |request: Request| match request.uri().path() {
                "/" => make(Blocks(Arc::clone(&gate))),
                _ => "another".into_response(),
            }
        });
        let mut client = server.connect();
        assert_eq!(client.get("/").status, status, "{what}");
        gate.wait_started();
        // Neither this connection nor another one waits for the drop.
        assert_eq!(client.get("/other").body, "another", "{what}");
        assert_eq!(server.connect().get("/other").body, "another", "{what}");
        drop(client);
        let report = stopped(server);
        assert_left(&report, UserCode::Drop, what);
        assert_eq!(route(&report), "GET /", "{what}");
        assert!(report.all_answered(), "{what}: {report}");
        drop(bar);
    }
}

#[test]
fn a_body_whose_client_disconnects_may_block_in_its_drop() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            let blocks = Blocks(Arc::clone(&gate));
            Body::from_chunks((0..).map(move |_| {
                let _captured = &blocks;
                vec![b'x'; 100_000]
            }))
        }
    });
    let mut client = server.connect();
    client.request("/");
    client.wait_readable();
    drop(client);
    gate.wait_started();
    server.wait_open(0);
    assert_left(&stopped(server), UserCode::Drop, "the client left");
    drop(bar);
}

#[test]
fn a_body_that_an_abort_cuts_may_block_in_its_drop() {
    const CLIENTS: usize = 40;
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            let blocks = Blocks(Arc::clone(&gate));
            Body::from_chunks((0..).map(move |_| {
                let _captured = &blocks;
                vec![b'x'; 100_000]
            }))
        }
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = server.connect();
            client.request("/");
            client.wait_readable();
            client
        })
        .collect();
    let report = stopped(server);
    let cut = report.requests.count(RequestOutcome::Cut);
    let stalled = report.requests.count(RequestOutcome::ClientStalled);
    assert_eq!(cut + stalled, CLIENTS as u64, "{report}");
    // The number of threads is bounded. Drops that got no thread are named too.
    assert!((2..CLIENTS).contains(&report.threads_left), "{report}");
    assert_eq!(report.unreturned.len(), CLIENTS, "{report}");
    drop((clients, bar));
}

#[test]
fn code_that_blocks_before_the_answer_is_cut_at_the_deadline() {
    let make: [(&str, UserCode, Make); 6] = [
        ("an extension", UserCode::Handler, |blocks| {
            let mut response = "text".into_response();
            response.extensions_mut().insert(Arc::new(blocks));
            response
        }),
        ("a little memory", UserCode::Handler, |blocks| {
            owned(10, blocks).into_response()
        }),
        ("the memory of a field", UserCode::Handler, |blocks| {
            let mut response = "text".into_response();
            let value = HeaderValue::from_maybe_shared(owned(10, blocks)).unwrap();
            response.headers_mut().insert("x-field", value);
            response
        }),
        ("what a panic carries", UserCode::Handler, |blocks| {
            panic::panic_any(blocks)
        }),
        ("an error of a body", UserCode::BodyPiece, |blocks| {
            Body::try_from_chunks([Err::<Bytes, _>(io::Error::other(blocks))]).into_response()
        }),
        ("a reader that waits", UserCode::BodyPiece, |blocks| {
            Body::from_chunks(std::iter::from_fn(move || {
                blocks.0.pass("the next piece");
                None::<Bytes>
            }))
            .into_response()
        }),
    ];
    for (what, code, make) in make {
        let (gate, bar) = Gate::new();
        let server = TestServer::start(short_drain(), {
            let gate = Arc::clone(&gate);
            move |_: Request| make(Blocks(Arc::clone(&gate)))
        });
        let mut client = server.connect();
        client.request("/");
        gate.wait_started();
        let report = stopped(server);
        assert_left(&report, code, what);
        assert_eq!(route(&report), "GET /", "{what}");
        assert_eq!(
            report.requests.count(RequestOutcome::Cut),
            1,
            "{what}: {report}"
        );
        drop(bar);
    }
}

#[test]
fn a_call_after_the_delivery_that_blocks_is_left_behind() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            let gate = Arc::clone(&gate);
            Body::from("text").after_delivery(move || gate.pass("told"))
        }
    });
    assert_eq!(server.connect().get("/").body, "text");
    gate.wait_started();
    server.wait_open(0);
    let report = stopped(server);
    assert_left(&report, UserCode::AfterDelivery, "after the delivery");
    assert!(report.all_answered(), "{report}");
    drop(bar);
}

#[test]
fn a_writer_and_an_upgrade_that_do_not_return_are_left_behind() {
    type MakeBody = fn(Arc<Gate>) -> Body;
    let make: [(UserCode, MakeBody); 2] = [
        (UserCode::BodyWriter, |gate| {
            Body::from_writer(move |_| {
                gate.pass("writing");
                Ok(())
            })
        }),
        (UserCode::Upgrade, |gate| {
            Body::upgrade(move |_| gate.pass("upgraded"))
        }),
    ];
    for (code, make) in make {
        let (gate, bar) = Gate::new();
        let server = TestServer::start(short_drain(), {
            let gate = Arc::clone(&gate);
            move |_: Request| make(Arc::clone(&gate))
        });
        let mut client = server.connect();
        client.request("/");
        gate.wait_started();
        assert_left(&stopped(server), code, &code.to_string());
        drop(bar);
    }
}

#[test]
fn a_handler_whose_drop_blocks_is_left_behind() {
    let (gate, bar) = Gate::new();
    let blocks = Blocks(Arc::clone(&gate));
    let server = TestServer::start(short_drain(), move |_: Request| {
        let _captured = &blocks;
        "text"
    });
    assert_eq!(server.connect().get("/").body, "text");
    let report = stopped(server);
    assert_left(&report, UserCode::Drop, "the handler");
    assert!(report.all_answered(), "{report}");
    drop(bar);
}

#[test]
fn a_handler_is_dropped_when_its_server_has_stopped() {
    let captured = Arc::new(());
    let server = TestServer::start(short_drain(), {
        let captured = Arc::clone(&captured);
        move |_: Request| {
            let _captured = &captured;
            "text"
        }
    });
    assert_eq!(server.connect().get("/").body, "text");
    assert_eq!(stopped(server).threads_left, 0);
    assert_eq!(Arc::strong_count(&captured), 1);
}

#[test]
fn a_request_body_that_outlives_its_server_does_not_keep_the_handler() {
    let (sender, bodies) = crossbeam_channel::unbounded();
    let captured = Arc::new(());
    let server = TestServer::start(short_drain(), {
        let captured = Arc::clone(&captured);
        move |request: Request| {
            let _captured = &captured;
            sender.send(request.into_body()).unwrap();
        }
    });
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send("x".repeat(100_000));
    let body = bodies.recv_timeout(TOO_LONG).unwrap();
    assert_eq!(client.response().status, 200);
    drop(client);
    stopped(server);
    assert_eq!(Arc::strong_count(&captured), 1);
    drop(body);
}

#[test]
fn an_abort_ends_the_wait_for_a_drop() {
    let mut config = short_drain();
    config.drain_timeout = crate::support::NEVER;
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config, {
        let gate = Arc::clone(&gate);
        move |_: Request| Body::from_reader(Blocks(Arc::clone(&gate)))
    });
    assert_eq!(server.connect().get("/").status, 200);
    gate.wait_started();
    server.wait_open(0);
    server.stop.shutdown();
    server.stop.wait_for(Phase::Draining);
    server.stop.abort();
    let ended = server.stop.wait_for_timeout(Phase::Stopped, TOO_LONG);
    assert!(ended, "the stop does not end");
    assert_left(&server.join(), UserCode::Drop, "aborted");
    drop(bar);
}

#[test]
fn a_thread_local_of_the_application_may_block_in_its_drop() {
    thread_local! {
        static LOCAL: RefCell<Option<Blocks>> = const { RefCell::new(None) };
    }
    let (gate, bar) = Gate::new();
    let mut config = short_drain();
    config.workers = 1;
    let server = TestServer::start(config, {
        let gate = Arc::clone(&gate);
        move |_: Request| {
            LOCAL.with(|local| *local.borrow_mut() = Some(Blocks(Arc::clone(&gate))));
            "text"
        }
    });
    assert_eq!(server.connect().get("/").body, "text");
    let report = stopped(server);
    assert_eq!(report.threads_left, 1, "{report}");
    assert!(report.all_answered(), "{report}");
    drop(bar);
}

/// Two requests in one write.
const TWO: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /other HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_request_behind_a_drop_that_blocks_is_answered() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), {
        let gate = Arc::clone(&gate);
        move |request: Request| match request.uri().path() {
            "/" => Body::from_reader(Blocks(Arc::clone(&gate))).into_response(),
            _ => "another".into_response(),
        }
    });
    let mut client = server.connect();
    client.send(TWO);
    assert_eq!(client.response().status, 200);
    gate.wait_started();
    assert_eq!(client.response().body, "another");
    drop(client);
    let report = stopped(server);
    assert_left(&report, UserCode::Drop, "pipelined");
    assert!(report.all_answered(), "{report}");
    drop(bar);
}

#[test]
fn the_text_of_the_report_says_what_did_not_return() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), {
        let gate = Arc::clone(&gate);
        move |request: Request| {
            let gate = Arc::clone(&gate);
            match request.uri().path() {
                "/handler" => gate.pass("handling"),
                _ => {
                    let next = std::iter::from_fn(move || {
                        gate.pass("the next piece");
                        None::<Bytes>
                    });
                    return Body::from_chunks(next).into_response();
                }
            }
            "text".into_response()
        }
    });
    let mut clients: Vec<_> = ["/handler", "/piece"]
        .map(|path| {
            let mut client = server.connect();
            client.request(path);
            gate.wait_started();
            client
        })
        .into();
    let report = stopped(server);
    let text = report.to_string();
    // Each piece of code is named once.
    assert_eq!(text.matches("GET /handler").count(), 1, "{text}");
    assert!(
        text.contains("the next piece of the body of GET /piece"),
        "{text}"
    );
    assert_eq!(report.threads_left, 2, "{text}");
    clients.clear();
    drop(bar);
}

/// A handler whose route table waits at the gate.
struct GatedRoutes(Arc<Gate>);

impl Handler for GatedRoutes {
    fn handle(&self, _: Request) -> Response {
        "hello".into_response()
    }

    fn route_table(&self) -> Option<RouteTable> {
        self.0.pass("route table");
        None
    }
}

#[test]
fn a_route_table_that_does_not_return_is_left_behind() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(short_drain(), GatedRoutes(Arc::clone(&gate)));
    let address = server.address();
    let mut client = server.connect();
    client.request("/");
    gate.wait_started();
    let report = stopped(server);
    assert_left(&report, UserCode::RouteTable, "the route table");
    assert_eq!(report.accepted, 0);
    assert_eq!(report.abort, Some(Abort::Deadline));
    assert!(
        report.backlog_abandoned && !report.all_answered(),
        "{report}"
    );
    client.expect_end();
    let refused = Client::try_connect(address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    drop(bar);
}

#[test]
fn an_abort_does_not_wait_for_a_route_table() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), GatedRoutes(Arc::clone(&gate)));
    gate.wait_started();
    server.stop.abort();
    let report = server.join();
    assert_left(&report, UserCode::RouteTable, "the route table");
    assert!(!report.backlog_abandoned, "{report}");
    drop(bar);
}

#[test]
fn a_route_table_that_returns_during_a_stop_costs_no_request() {
    let (gate, bar) = Gate::new();
    let server = TestServer::start(config(), GatedRoutes(Arc::clone(&gate)));
    let mut client = server.connect();
    client.request("/");
    gate.wait_started();
    server.stop.shutdown();
    drop(bar);
    assert_eq!(client.response().body, "hello");
    drop(client);
    let report = server.join();
    assert!(report.all_answered(), "{report}");
    assert_eq!((report.accepted, report.threads_left), (1, 0));
}

/// A handler whose route table returns when a stop has begun.
struct LateRoutes(ShutdownHandle);

impl Handler for LateRoutes {
    fn handle(&self, _: Request) -> Response {
        "hello".into_response()
    }

    fn route_table(&self) -> Option<RouteTable> {
        self.0.shutdown();
        None
    }
}

/// The deadline passes before the thread of the call has gone on.
#[test]
fn a_stop_without_time_waits_for_a_route_table_that_returns() {
    for _ in 0..20 {
        let mut config = config();
        config.drain_timeout = Duration::ZERO;
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let routes = LateRoutes(server.shutdown_handle());
        let report = TestServer::spawn(server, routes).join();
        assert!(
            report.all_answered() && report.threads_left == 0,
            "{report}"
        );
    }
}
