//! A stop and an abort at each point of a hand-off: another worker got the job before
//! the call, or took it during the call, or the job is on the run queue because no worker
//! is free.

use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::thread;
use std::time::Duration;

use crossbeam_channel::unbounded;
use farewell::Abort;
use farewell::Body;
use farewell::Config;
use farewell::ConnectionOutcome;
use farewell::Report;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Trigger;
use farewell::Unreturned;
use farewell::UserCode;

use crate::support::Client;
use crate::support::Held;
use crate::support::Holds;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

/// Where the job of the first shard is at the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The call was expected to wait, so the job was handed off before it. Another worker
    /// has it.
    HandedOff,
    /// The call was not expected to wait, so the job was taken from it. Another worker
    /// has it.
    Retaken,
    /// As `HandedOff`, but no worker is free for the job.
    QueuedBefore,
    /// As `Retaken`, but no worker is free for the job.
    QueuedDuring,
}

impl Point {
    const ALL: [Self; 4] = [
        Self::HandedOff,
        Self::Retaken,
        Self::QueuedBefore,
        Self::QueuedDuring,
    ];

    fn has_free_worker(self) -> bool {
        matches!(self, Self::HandedOff | Self::Retaken)
    }

    fn expects_a_wait(self) -> bool {
        matches!(self, Self::HandedOff | Self::QueuedBefore)
    }
}

/// A server with a call in progress, and other connections in all shards.
struct Scene {
    server: TestServer,
    call: Held,
    slow: Client,
    /// Clients without a request.
    idle: Vec<Client>,
    /// Clients whose requests wait for a worker. Empty if a worker is free.
    asking: Vec<Client>,
}

fn scene(point: Point, shards: usize, mut config: Config) -> Scene {
    config.shards = Some(shards);
    config.workers = if point.has_free_worker() { 2 } else { 1 };
    let holds = Holds::new();
    let server = TestServer::start(config, {
        let holds = holds.clone();
        move |request: Request| {
            if request.uri().query() == Some("hold") {
                holds.hold(request.uri());
            }
            format!("hello {}", request.uri())
        }
    });
    let mut slow = server.connect_in_turn(1).remove(0);
    let mut idle = server.connect_in_turn(shards);
    let mut asking = match point.has_free_worker() {
        true => Vec::new(),
        false => server.connect_in_turn(shards),
    };
    if !point.expects_a_wait() {
        // The route does not include the query, so it is known to be quick.
        for _ in 0..50 {
            slow.get("/route");
        }
    }
    slow.request("/route?hold");
    let call = holds.next();
    if point.has_free_worker() {
        // Another worker serves this shard and all others.
        for client in &mut idle {
            assert_eq!(client.get("/quick").body, "hello /quick");
        }
    }
    for client in &mut asking {
        client.request("/queued");
    }
    // Now these jobs are on the run queue.
    server.wait_waiting(asking.len());
    Scene {
        server,
        call,
        slow,
        idle,
        asking,
    }
}

#[test]
fn a_stop_in_a_call_waits_for_it_and_answers_waiting_requests() {
    for shards in [1, 4] {
        for point in Point::ALL {
            let Scene {
                server,
                call,
                mut slow,
                mut idle,
                mut asking,
            } = scene(point, shards, config());
            server.stop.shutdown();
            drop(call);
            for client in &mut asking {
                let response = client.response();
                assert_eq!(response.body, "hello /queued", "{point:?}");
                client.expect_eof();
            }
            let response = slow.response();
            assert!(response.closes(), "{point:?}");
            assert_eq!(response.body, "hello /route?hold");
            slow.expect_eof();
            for client in &mut idle {
                client.expect_eof();
            }
            drop((slow, idle, asking));
            let report = server.join();
            assert!(report.all_answered(), "{point:?}: {report}");
            assert_eq!(report.threads_left, 0);
        }
    }
}

/// After `stop`, the call is cut and named, waiting requests get 503, and idle
/// connections are closed.
fn expect_cut(config: Config, stop: impl Fn(&TestServer), abort: Abort) {
    for shards in [1, 4] {
        for point in Point::ALL {
            let Scene {
                server,
                call,
                mut slow,
                mut idle,
                mut asking,
            } = scene(point, shards, config.clone());
            stop(&server);
            for client in &mut asking {
                let response = client.response();
                assert_eq!(response.status, 503, "{point:?}");
                assert!(response.has("retry-after: 1"), "{response:?}");
                client.expect_eof();
            }
            for client in &mut idle {
                client.expect_eof();
            }
            slow.expect_end();
            let unavailable = asking.len() as u64;
            drop((idle, asking));
            let report = server.join();
            expect_one_cut(&report, &slow, abort);
            let requests = &report.requests;
            assert_eq!(requests.count(RequestOutcome::Unavailable), unavailable);
            drop(call);
        }
    }
}

fn expect_one_cut(report: &Report, slow: &Client, abort: Abort) {
    assert_eq!(report.abort, Some(abort), "{report}");
    assert_eq!(report.requests.count(RequestOutcome::Cut), 1, "{report}");
    let cut = &report.cut[0];
    assert_eq!(cut.route, "GET /route?hold");
    assert_eq!(
        (cut.peer, cut.handler_running),
        (slow.address().into(), true)
    );
    assert_eq!(report.connections.count(ConnectionOutcome::Cut), 1);
    let is_named = |code: &Unreturned| code.code == UserCode::Handler;
    assert!(report.unreturned.iter().any(is_named), "{report}");
}

#[test]
fn an_abort_in_a_call_cuts_it_and_answers_waiting_requests_with_503() {
    let stop = |server: &TestServer| {
        server.stop.shutdown();
        server.stop.abort();
    };
    expect_cut(config(), stop, Abort::Requested(Trigger::Call));
}

#[test]
fn an_abort_without_a_shutdown_in_a_call_cuts_it_and_answers_waiting_requests_with_503() {
    let stop = |server: &TestServer| server.stop.abort();
    expect_cut(config(), stop, Abort::Requested(Trigger::Call));
}

#[test]
fn the_deadline_in_a_call_cuts_it_and_answers_waiting_requests_with_503() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(200);
    let stop = |server: &TestServer| server.stop.shutdown();
    expect_cut(config, stop, Abort::Deadline);
}

#[test]
fn a_call_that_returns_after_its_connection_was_cut_changes_nothing() {
    for point in Point::ALL {
        let Scene {
            server,
            call,
            mut slow,
            idle,
            asking,
        } = scene(point, 1, config());
        server.stop.abort();
        slow.expect_end();
        // The call returns while the stop goes on.
        drop(call);
        drop((idle, asking));
        let report = server.join();
        assert_eq!(report.requests.count(RequestOutcome::Cut), 1, "{report}");
        assert_eq!(report.connections.count(ConnectionOutcome::Cut), 1);
    }
}

/// A server whose handler gives its body to a thread, waits until the thread has read the
/// first part, and then waits in `holds`. The receiver gets the status with which the
/// thread's next read fails.
fn give_body_to_a_thread(holds: &Holds) -> (TestServer, crossbeam_channel::Receiver<u16>) {
    let (ended, end) = unbounded();
    let holds = holds.clone();
    let server = TestServer::start(config(), move |request: Request| {
        let (mut body, ended) = (request.into_body(), ended.clone());
        let (has_read, read) = unbounded();
        thread::spawn(move || {
            body.read_exact(&mut vec![0; SENT_FIRST]).unwrap();
            has_read.send(()).unwrap();
            let error = body.read_all().unwrap_err();
            ended.send(error.status().as_u16()).unwrap();
        });
        read.recv().unwrap();
        holds.hold("in the handler");
        "answered"
    });
    (server, end)
}

const SENT_FIRST: usize = 100_000;

fn begin_upload(server: &TestServer) -> Client {
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client.send("x".repeat(SENT_FIRST));
    client
}

#[test]
fn a_thread_that_waits_for_a_body_gets_an_error_when_its_handler_returns() {
    let holds = Holds::new();
    let (server, end) = give_body_to_a_thread(&holds);
    let mut client = begin_upload(&server);
    drop(holds.next());
    assert_eq!(end.recv_timeout(TOO_LONG), Ok(503));
    let response = client.response();
    assert_eq!(response.body, "answered");
    assert!(response.closes(), "its body was not read");
}

#[test]
fn a_thread_that_waits_for_a_body_gets_an_error_at_an_abort() {
    let holds = Holds::new();
    let (server, end) = give_body_to_a_thread(&holds);
    let mut client = begin_upload(&server);
    let call = holds.next();
    server.stop.abort();
    assert_eq!(end.recv_timeout(TOO_LONG), Ok(503));
    client.expect_end();
    drop(call);
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 cut");
}

#[test]
fn a_connection_is_cut_although_its_handler_keeps_the_body_that_it_waited_for() {
    let holds = Holds::new();
    let server = TestServer::start(config(), {
        let holds = holds.clone();
        move |mut request: Request| {
            let mut piece = vec![0; SENT_FIRST];
            request.body_mut().read_exact(&mut piece).unwrap();
            holds.hold("with the first part");
            request.body_mut().read_exact(&mut piece[..1]).unwrap();
            holds.hold("with one byte more");
            "answered"
        }
    });
    let mut client = begin_upload(&server);
    // The handler goes on before the byte is sent, so its read waits.
    drop(holds.next());
    client.send("x");
    let call = holds.next();
    server.stop.abort();
    // The connection ends before the handler returns, which still has the body.
    client.expect_end();
    drop(call);
    assert_eq!(server.join().requests.to_string(), "1 cut");
}

#[test]
fn a_thread_that_waits_for_a_body_reads_on_while_the_server_drains() {
    let holds = Holds::new();
    let (server, end) = give_body_to_a_thread(&holds);
    let mut client = begin_upload(&server);
    let call = holds.next();
    server.stop.shutdown();
    client.send("x".repeat(SENT_FIRST / 2));
    drop(call);
    assert_eq!(end.recv_timeout(TOO_LONG), Ok(503));
    assert_eq!(client.response().body, "answered");
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn a_write_of_an_upgraded_connection_that_waits_for_room_ends_at_an_abort() {
    let (ended, end) = unbounded();
    let server = TestServer::start(config(), move |_: Request| {
        let ended = ended.clone();
        Body::upgrade(move |mut stream| {
            // The client reads only one byte, so this waits for ever.
            let written = stream.write_all(&vec![b'x'; 64 << 20]);
            ended.send(written.is_err()).unwrap();
        })
    });
    let mut client = server.connect();
    client.request("/");
    client.head();
    client.raw(1);
    server.stop.abort();
    assert_eq!(end.recv_timeout(TOO_LONG), Ok(true));
    client.expect_end();
    let report = server.join();
    assert_eq!(report.connections.to_string(), "1 cut");
}

const FILE_BYTES: usize = 32 << 20;

/// A server that answers every request with a large file.
fn serve_a_file(mut config: Config) -> TestServer {
    config.workers = 1;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'x'; FILE_BYTES]).unwrap();
    TestServer::start(config, move |_: Request| {
        let mut file = file.try_clone().unwrap();
        file.rewind().unwrap();
        Body::from_file(file).unwrap()
    })
}

#[test]
fn a_file_that_is_being_sent_when_the_server_stops_arrives_complete() {
    let server = serve_a_file(config());
    let mut client = server.connect();
    client.request("/");
    client.wait_readable();
    server.stop.shutdown();
    assert_eq!(client.response().body.len(), FILE_BYTES);
    client.expect_eof();
    drop(client);
    let report = server.join();
    assert!(report.all_answered(), "{report}");
    assert_eq!(report.requests.to_string(), "1 answered");
}

#[test]
fn a_file_that_is_being_sent_at_the_deadline_is_cut_and_named() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(200);
    let server = serve_a_file(config);
    let mut client = server.connect();
    client.request("/file");
    client.wait_readable();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 cut");
    assert_eq!(report.cut[0].route, "GET /file");
    assert!(!report.cut[0].handler_running);
    assert!(client.try_response(false).is_err(), "it is not complete");
}
