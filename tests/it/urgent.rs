//! Urgent routes are answered while every worker runs a handler, and no other request is
//! answered out of its order, lost, or run on the thread of the reserve.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use farewell::Body;
use farewell::Config;
use farewell::IntoResponse;
use farewell::Phase;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use farewell::Server;
use farewell::StopAccess;
use farewell::StopRoutes;
use farewell::header;

use crate::support::Client;
use crate::support::Held;
use crate::support::Holds;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::get;

/// The name of the thread that answers urgent requests while no worker is free.
const RESERVE: &str = "farewell-reserve";

/// The threads that have run code of the application.
type Threads = Arc<Mutex<HashSet<String>>>;

fn note_thread(threads: &Threads) {
    let name = thread::current().name().unwrap().to_owned();
    threads.lock().unwrap().insert(name);
}

fn sized(shards: usize, workers: usize) -> Config {
    let mut config = config();
    config.shards = Some(shards);
    config.workers = workers;
    // A client that is slow to send its request still sends it in time.
    config.last_call = TOO_LONG;
    config
}

/// A server whose workers are all in a call that waits, and those calls.
struct Hung {
    server: TestServer,
    holds: Holds,
    /// The threads that have run handlers that are not urgent.
    threads: Threads,
    clients: Vec<Client>,
    calls: Vec<Held>,
}

impl Hung {
    fn start(config: Config) -> Self {
        Self::with(config, |server| server, |routes| routes)
    }

    fn with(
        config: Config,
        prepare: impl FnOnce(Server) -> Server,
        add: impl FnOnce(Router) -> Router,
    ) -> Self {
        let workers = config.workers;
        let server = prepare(Server::bind("127.0.0.1:0", config).unwrap());
        let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
        let (holds, threads) = (Holds::new(), Threads::default());
        let slow = {
            let (holds, threads) = (holds.clone(), Arc::clone(&threads));
            move |mut request: Request| {
                note_thread(&threads);
                holds.hold(request.uri());
                let uri = request.uri().to_string();
                request.text().map(|text| format!("hello {uri} {text}"))
            }
        };
        let routes = Router::new().any("/slow", slow).nest("/", stop.router());
        let server = TestServer::spawn(server, add(routes).build().unwrap());
        let mut clients = server.connect_in_turn(workers);
        let ask = |client: &mut Client| {
            client.request("/slow");
            holds.next()
        };
        let calls = clients.iter_mut().map(ask).collect();
        Self {
            server,
            holds,
            threads,
            clients,
            calls,
        }
    }

    /// Releases every call, also those that begin later, and checks the answers to the first.
    fn release(&mut self) {
        self.calls.clear();
        for client in &mut self.clients {
            assert_eq!(client.response().body, "hello /slow ");
        }
    }

    /// Ends the server. All clients have to be dropped, except those of `self`.
    fn end(self) {
        self.server.stop.shutdown();
        drop(self.clients);
        let report = self.server.join();
        assert!(report.all_answered(), "{report}");
        assert_eq!(report.threads_left, 0, "{report}");
        let threads = self.threads.lock().unwrap();
        assert!(!threads.contains(RESERVE), "{threads:?}");
    }
}

/// Shards and workers.
const SIZES: [(usize, usize); 4] = [(1, 1), (1, 3), (2, 2), (4, 5)];

#[test]
fn probes_are_answered_while_every_worker_is_in_a_call() {
    for (shards, workers) in SIZES {
        let mut hung = Hung::start(sized(shards, workers));
        // Some in each shard, so that the reserve has to look into all of them.
        let mut clients = hung.server.connect_in_turn(2 * shards);
        for client in &mut clients {
            assert_eq!(client.get("/healthz").status, 200);
            assert_eq!(client.get("/readyz").body, "ready\n");
            assert_eq!(client.get("/healthz").status, 200);
        }
        for client in &mut clients {
            client.request("/healthz");
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
        drop(clients);
        hung.release();
        hung.end();
    }
}

#[test]
fn urgent_requests_go_before_forty_that_wait_and_those_keep_their_order() {
    let mut hung = Hung::start(sized(1, 2));
    let mut waiting = hung.server.connect_in_turn(38);
    let mut probe = hung.server.connect();
    for (number, client) in waiting.iter_mut().enumerate() {
        client.request(&format!("/slow?{number}"));
        if number % 10 == 0 {
            assert_eq!(probe.get("/healthz").status, 200);
        }
    }
    // Each is read, and none has a handler.
    hung.server.wait_in_progress(40);
    assert_eq!(probe.get("/healthz").status, 200);
    for number in 0..38 {
        // One call ends, and the next one begins.
        hung.calls.remove(0);
        hung.calls.push(hung.holds.next());
        let target = &hung.calls[1].target;
        assert_eq!(*target, format!("/slow?{number}"));
    }
    assert_eq!(probe.get("/healthz").status, 200);
    hung.release();
    for (number, client) in waiting.iter_mut().enumerate() {
        let expected = format!("hello /slow?{number} ");
        assert_eq!(client.response().body, expected);
    }
    drop((waiting, probe));
    hung.end();
}

#[test]
fn a_request_to_stop_is_answered_while_every_worker_is_in_a_call() {
    for (shards, workers) in SIZES {
        for method in ["GET", "POST"] {
            let mut hung = Hung::start(sized(shards, workers));
            let mut waiting = hung.server.connect();
            waiting.request("/slow?waiting");
            let mut stop = hung.server.connect();
            stop.send(format!(
                "{method} /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n"
            ));
            let confirmation = stop.response();
            assert!(confirmation.body.starts_with("shutting down: "));
            stop.expect_eof();
            assert!(hung.server.stop.wait_for_timeout(Phase::Draining, TOO_LONG));
            drop(stop);
            hung.release();
            drop(hung.holds.next());
            assert_eq!(waiting.response().body, "hello /slow?waiting ");
            waiting.expect_eof();
            drop(waiting);
            hung.end();
        }
    }
}

#[test]
fn a_client_follows_the_stop_while_every_worker_is_in_a_call() {
    let mut hung = Hung::start(sized(2, 2));
    let mut follower = hung.server.connect();
    follower.request("/shutdown?wait");
    follower.head();
    let first = String::from_utf8(follower.chunk().unwrap()).unwrap();
    assert!(first.contains("2 in progress"), "{first}");
    hung.release();
    for client in &mut hung.clients {
        client.expect_eof();
    }
    hung.clients.clear();
    let mut last = String::new();
    loop {
        let chunk = follower.chunk().unwrap();
        if chunk.is_empty() {
            break;
        }
        last = String::from_utf8(chunk).unwrap();
    }
    assert!(last.starts_with("stopped in "), "{last}");
    drop(follower);
    hung.end();
}

#[test]
fn a_stop_at_once_is_confirmed_while_every_worker_is_in_a_call() {
    let mut hung = Hung::start(sized(2, 3));
    let mut waiting = hung.server.connect();
    waiting.request("/slow?waiting");
    hung.server.wait_in_progress(4);
    let mut now = hung.server.connect();
    let confirmation = now.get("/shutdown?now");
    assert!(confirmation.body.starts_with("shutting down now: 4 other"));
    now.expect_eof();
    drop(now);
    for client in &mut hung.clients {
        client.expect_end();
    }
    assert_eq!(waiting.response().status, 503);
    drop((waiting, hung.clients, hung.calls));
    let report = hung.server.join();
    assert_eq!(
        report.requests.to_string(),
        "1 answered, 1 answered 503, 3 cut"
    );
    assert!(report.cut.iter().all(|cut| cut.route == "GET /slow"));
    assert!(report.cut.iter().all(|cut| cut.handler_running));
}

#[test]
fn requests_that_are_held_at_the_deadline_get_a_503() {
    for (shards, workers) in [(1, 1), (2, 3)] {
        let mut config = sized(shards, workers);
        config.drain_timeout = Duration::from_millis(200);
        config.body_buffer = 1;
        let mut hung = Hung::start(config);
        let mut held = hung.server.connect_in_turn(3 * shards);
        for (number, client) in held.iter_mut().enumerate() {
            match number % 3 {
                0 => client.request("/slow?get"),
                1 => client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
                _ => client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"),
            }
        }
        hung.server.wait_in_progress(workers + held.len());
        hung.server.stop.shutdown();
        for client in &mut held {
            let response = client.response();
            assert_eq!(response.status, 503, "{response:?}");
            assert!(response.has("retry-after: 1") && response.closes());
        }
        for client in &mut hung.clients {
            client.expect_end();
        }
        let count = held.len();
        drop((held, hung.clients));
        let report = hung.server.join();
        let expected = format!("{count} answered 503, {workers} cut");
        assert_eq!(report.requests.to_string(), expected);
        let expected = format!("{count} completed, {workers} cut");
        assert_eq!(report.connections.to_string(), expected);
    }
}

#[test]
fn a_drain_waits_for_the_requests_that_are_held() {
    let mut hung = Hung::start(sized(2, 2));
    let mut held = hung.server.connect_in_turn(4);
    for client in &mut held {
        client.request("/slow?held");
    }
    hung.server.wait_in_progress(6);
    hung.server.stop.shutdown();
    assert!(hung.server.stop.wait_for_timeout(Phase::Draining, TOO_LONG));
    hung.release();
    for _ in 0..4 {
        drop(hung.holds.next());
    }
    for client in &mut held {
        let response = client.response();
        assert_eq!(response.body, "hello /slow?held ");
        assert!(response.closes());
        client.expect_eof();
    }
    drop(held);
    hung.end();
}

#[test]
fn a_client_that_leaves_while_it_is_held_delays_no_other() {
    let mut hung = Hung::start(sized(1, 2));
    let mut leaving = hung.server.connect_in_turn(3);
    for client in &mut leaving {
        client.request("/slow?left");
    }
    let mut staying = hung.server.connect();
    staying.request("/slow?stayed");
    hung.server.wait_in_progress(6);
    drop(leaving);
    let mut probe = hung.server.connect();
    assert_eq!(probe.get("/healthz").status, 200);
    hung.release();
    let mut targets = [(); 4].map(|()| hung.holds.next().target.clone());
    targets.sort_unstable();
    assert_eq!(targets[2..], ["/slow?left", "/slow?stayed"]);
    assert_eq!(staying.response().body, "hello /slow?stayed ");
    drop((staying, probe));
    hung.server.stop.shutdown();
    drop(hung.clients);
    let report = hung.server.join();
    assert_eq!(report.begun, 7, "{report}");
    assert_eq!(report.connections.total(), 7, "{report}");
}

#[test]
fn uploads_that_are_held_go_on_where_they_were() {
    // Two workers: at most one upload waits for its client at a time.
    let mut config = sized(2, 2);
    config.body_buffer = 1;
    let mut hung = Hung::start(config);
    let mut halves = hung.server.connect_in_turn(4);
    for client in &mut halves {
        client.send("POST /slow?half HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    }
    let mut asking = hung.server.connect();
    asking.send(
        "POST /slow?ask HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    hung.server.wait_in_progress(7);
    let mut probe = hung.server.connect();
    // An urgent request with a body, of which a part arrives late.
    probe.send("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    probe.send("x");
    assert_eq!(probe.response().status, 200);
    hung.release();
    for client in &mut halves {
        client.send("x");
    }
    // Before its 100, so that it keeps no other upload waiting.
    asking.send("yz");
    for _ in 0..5 {
        drop(hung.holds.next());
    }
    for client in &mut halves {
        assert_eq!(client.response().body, "hello /slow?half xx");
    }
    assert!(asking.head().starts_with("http/1.1 100 continue"));
    assert_eq!(asking.response().body, "hello /slow?ask yz");
    drop((halves, asking, probe));
    hung.end();
}

#[test]
fn pipelined_requests_are_answered_up_to_the_first_that_is_not_urgent() {
    let mut hung = Hung::start(sized(2, 2));
    let mut client = hung.server.connect();
    let paths = [
        "/healthz",
        "/readyz",
        "/slow?first",
        "/healthz",
        "/slow?last",
    ];
    client.send(paths.map(get).concat());
    assert_eq!(client.response().body, "ok\n");
    assert_eq!(client.response().body, "ready\n");
    hung.release();
    assert_eq!(hung.holds.next().target, "/slow?first");
    assert_eq!(client.response().body, "hello /slow?first ");
    assert_eq!(client.response().body, "ok\n");
    assert_eq!(hung.holds.next().target, "/slow?last");
    assert_eq!(client.response().body, "hello /slow?last ");
    drop(client);
    hung.end();
}

#[test]
fn old_half_closed_and_slow_clients_get_their_urgent_answer() {
    let mut hung = Hung::start(sized(2, 2));
    let mut old = hung.server.connect();
    old.send("GET /healthz HTTP/1.0\r\n\r\n");
    let response = old.response();
    assert_eq!((response.status, response.closes()), (200, true));
    old.expect_eof();
    let mut half_closed = hung.server.connect();
    half_closed.request("/healthz");
    half_closed.half_close();
    assert_eq!(half_closed.response().status, 200);
    half_closed.expect_eof();
    let mut slow = hung.server.connect();
    for part in ["GET /heal", "thz HTTP/1.1\r\nHo", "st: a\r\n\r\n"] {
        slow.send(part);
        // The part is read before the next one is sent.
        assert_eq!(hung.server.connect().get("/healthz").status, 200);
    }
    assert_eq!(slow.response().status, 200);
    let mut malformed = hung.server.connect();
    malformed.send("GET /healthz HTTP/3.1\r\n\r\n");
    assert_eq!(malformed.response().status, 505);
    drop((old, half_closed, slow, malformed));
    hung.release();
    hung.server.stop.shutdown();
    drop(hung.clients);
    assert!(hung.server.join().balances());
}

const PIECE: usize = 64 * 1024;
const PIECES: usize = 256;

/// A body that the kernel's buffers do not hold. Its pieces note the threads that made
/// them.
fn noted_pieces(threads: &Threads) -> Body {
    let threads = Arc::clone(threads);
    let piece = move |_| {
        note_thread(&threads);
        vec![b'x'; PIECE]
    };
    Body::from_chunks((0..PIECES).map(piece))
}

#[test]
fn the_pieces_of_other_bodies_and_the_code_of_other_requests_wait_for_a_worker() {
    let threads = Threads::default();
    let (in_pieces, in_render) = (Arc::clone(&threads), Arc::clone(&threads));
    let render = move |rejection: &Rejection| {
        note_thread(&in_render);
        format!("rendered {}\n", rejection.status().as_u16())
    };
    let mut hung = Hung::with(
        sized(1, 2),
        |server| server.render_rejections(render),
        |routes| routes.get("/pieces", move |_: Request| noted_pieces(&in_pieces)),
    );
    // A worker answers until the kernel has no room, and then has another call.
    let mut reader = hung.server.connect();
    reader.request("/pieces");
    drop(hung.calls.remove(0));
    assert_eq!(hung.clients.remove(0).response().status, 200);
    reader.wait_readable();
    let mut again = hung.server.connect();
    again.request("/slow");
    hung.calls.push(hung.holds.next());
    hung.clients.push(again);

    // The client makes room, so that the next piece is wanted. It reads no more than has
    // been sent.
    let head = reader.head();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(reader.chunk().unwrap().len(), PIECE);
    let mut malformed = hung.server.connect();
    malformed.send("GET / HTTP/1.1\r\n\r\n");
    let mut probe = hung.server.connect();
    for _ in 0..3 {
        assert_eq!(probe.get("/healthz").status, 200);
    }
    hung.release();
    for _ in 1..PIECES {
        assert_eq!(reader.chunk().unwrap().len(), PIECE);
    }
    assert!(reader.chunk().unwrap().is_empty());
    assert_eq!(malformed.response().body, "rendered 400\n");
    let threads = threads.lock().unwrap();
    assert!(
        !threads.is_empty() && !threads.contains(RESERVE),
        "{threads:?}"
    );
    drop((reader, malformed, probe));
    hung.server.stop.shutdown();
    drop(hung.clients);
    let report = hung.server.join();
    assert_eq!(report.threads_left, 0, "{report}");
}

#[test]
fn urgent_code_that_panics_or_blocks_after_its_answer_costs_no_other_urgent_answer() {
    let (block, blocked) = crossbeam_channel::unbounded::<()>();
    let mut hung = Hung::with(
        sized(2, 2),
        |server| server,
        |routes| {
            let urgent = Router::new()
                .get("/panics", |_: Request| -> &'static str {
                    panic!("on purpose")
                })
                .get("/blocks-after", move |_: Request| {
                    let blocked = blocked.clone();
                    let wait = move || assert!(blocked.recv().is_err());
                    Response::new(Body::from("answered").after_delivery(wait))
                })
                .get("/where", |_: Request| {
                    thread::current().name().unwrap().to_owned()
                })
                .urgent();
            routes.merge(urgent)
        },
    );
    let mut panics = hung.server.connect();
    assert_eq!(panics.get("/panics").status, 500);
    panics.expect_eof();
    let mut clients = hung.server.connect_in_turn(3);
    for client in &mut clients {
        client.send(get("/blocks-after"));
        assert_eq!(client.response().body, "answered");
        client.half_close();
        client.expect_eof();
    }
    let mut probe = hung.server.connect();
    assert_eq!(probe.get("/where").body, RESERVE);
    drop((block, panics, clients, probe));
    hung.release();
    hung.server.stop.shutdown();
    drop(hung.clients);
    let report = hung.server.join();
    assert_eq!(report.threads_left, 0, "{report}");
}

#[test]
fn while_a_worker_is_free_it_answers_urgent_requests_itself() {
    let server = Server::bind("127.0.0.1:0", sized(1, 1)).unwrap();
    let name = |_: Request| thread::current().name().unwrap().to_owned();
    let routes = Router::new().get("/", name).urgent().build().unwrap();
    let server = TestServer::spawn(server, routes);
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/").body, "farewell-1");
    }
    server.stop.shutdown();
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
#[cfg(unix)]
fn a_unix_socket_has_its_urgent_routes_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let server = Server::bind_unix(&path, sized(2, 2)).unwrap();
    let holds = Holds::new();
    let slow = {
        let holds = holds.clone();
        move |request: Request| {
            holds.hold(request.uri());
            "done".into_response()
        }
    };
    let routes = Router::new()
        .get("/healthz", |_: Request| {
            ([(header::CACHE_CONTROL, "no-store")], "healthy")
        })
        .urgent()
        .get("/slow", slow)
        .build()
        .unwrap();
    let server = TestServer::spawn(server, routes);
    let connect = || Client::try_connect_unix(&path).unwrap();
    let mut slow = [connect(), connect(), connect()];
    let mut calls = Vec::new();
    for (number, client) in slow.iter_mut().enumerate() {
        client.request("/slow");
        if number < 2 {
            calls.push(holds.next());
        }
    }
    for _ in 0..2 {
        assert_eq!(connect().get("/healthz").body, "healthy");
    }
    drop(calls);
    drop(holds.next());
    for client in &mut slow {
        assert_eq!(client.response().body, "done");
    }
    server.stop.shutdown();
    drop(slow);
    assert!(server.join().all_answered());
}
