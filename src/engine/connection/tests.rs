//! The state machine on a real socket, without a worker, a poll or a run queue.

mod held;

use std::io::Read;
use std::io::Write;
use std::mem;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::engine::buffer::Buffer;
use crate::engine::date::DateClock;
use crate::engine::monitor_waker::MonitorWaker;
use crate::engine::peers::Peers;
use crate::engine::places::Places;
use crate::engine::shard::Job;
use crate::engine::slow_calls::Expected;
use crate::engine::slow_calls::SlowCalls;
use crate::handler::Handler;
use crate::journal::Journal;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::phase::Trigger;
use crate::message::response::IntoResponse;
use crate::route_table::RouteTable;
use crate::router::Router;

/// A client's socket, the connection, and what the connection uses in its turn.
struct Bench {
    services: Arc<Services>,
    buffer: Buffer,
    client: TcpStream,
    connection: Box<Connection>,
    serves: Serves,
    /// The keys of the handler's calls, and the indices of their routes.
    calls: Vec<(CallKey, Option<usize>)>,
}

/// A request as the handler would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observed {
    method: String,
    target: String,
    body: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self::with_routes(None)
    }

    fn with_routes(routes: Option<RouteTable>) -> Self {
        let config = Config::default();
        let life = Arc::new(Lifecycle::new(&config));
        let accounting = Arc::new(Accounting::new(Arc::clone(&life)));
        let journal = Journal::unread();
        let (waiting, monitor_waker) = (accounting.waiting_gauge(), Arc::new(MonitorWaker::new()));
        let job = Job::new(waiting, monitor_waker, Arc::clone(&journal)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        let admitted = Admitted {
            stream: Stream::of(socket).unwrap(),
            peer: peer.into(),
            local: address.into(),
            guard: accounting.connection_accepted(),
            place: Places::new(1).take(),
            share: Peers::new(None).add(peer.into()),
        };
        let shard = Arc::clone(job.shard());
        let connection = Box::new(Connection::new(admitted, shard, Instant::now()));
        Self {
            services: Services::new(config, journal, life, accounting, false, routes),
            buffer: Buffer::new(16 * 1024),
            client,
            connection,
            serves: Serves::Everything,
            calls: Vec::new(),
        }
    }

    /// Advances the connection until it would wait or is to be closed. Answers its
    /// requests.
    fn advance(&mut self, seen: &mut Vec<Observed>) -> Next {
        let mut answer: Option<Answer> = None;
        loop {
            let mut cx = Context {
                services: &self.services,
                buffer: &mut self.buffer,
                date: &mut DateClock::default(),
                now: Instant::now(),
                phase: self.services.life.phase(),
                serves: self.serves,
                budget: &mut 64,
                deferred: &mut Vec::new(),
                body_tasks: &mut Vec::new(),
            };
            let next = match answer.take() {
                Some(answer) => self.connection.resume(answer, &mut cx),
                None => self.connection.advance(&mut cx),
            };
            let Next::Call(Call::Handle(mut request)) = next else {
                return next;
            };
            let exchange = self.connection.common.exchange.as_ref().unwrap();
            self.calls
                .push((self.connection.call_key(), exchange.route));
            seen.push(Observed {
                method: request.method().to_string(),
                target: request.uri().to_string(),
                body: request.bytes().unwrap().to_vec(),
            });
            let response = "ok".into_response();
            answer = Some(Answer::of_handler(response, None));
        }
    }

    /// Advances the connection until its end, and closes it.
    fn finish(mut self, seen: &mut Vec<Observed>) -> ConnectionOutcome {
        loop {
            if let Next::Close(outcome) = self.advance(seen) {
                self.connection
                    .close(outcome, &self.services, &mut Vec::new());
                assert!(self.services.accounting.report().balances());
                return outcome;
            }
            std::thread::yield_now();
        }
    }
}

prop_compose! {
    fn a_request()(
        method in "GET|POST|PUT|X-ODD",
        target in "/[a-z0-9]{0,12}(\\?[a-z=&]{0,6})?",
        fields in prop::collection::vec("X-[A-Za-z]{1,8}: [ -~]{0,20}", 0..4),
        body in prop::collection::vec(any::<u8>(), 0..300),
        stated in any::<bool>(),
        blank in "(\r\n){0,2}",
    ) -> (Vec<u8>, Observed) {
        let mut bytes = format!("{blank}{method} {target} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        for field in fields {
            bytes.extend_from_slice(field.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        if stated || !body.is_empty() {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        (bytes, Observed { method, target, body })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_a_request_stream_leads_to_the_same_exchanges(
        requests in prop::collection::vec(a_request(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let stream: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();

        let mut bench = Bench::new();
        let mut seen = Vec::new();
        for piece in cuts.windows(2) {
            bench.client.write_all(&stream[piece[0]..piece[1]]).unwrap();
            bench.advance(&mut seen);
        }
        bench.client.shutdown(Shutdown::Write).unwrap();
        let mut client = bench.client.try_clone().unwrap();
        let outcome = bench.finish(&mut seen);

        let expected: Vec<Observed> = requests.into_iter().map(|(_, seen)| seen).collect();
        prop_assert_eq!(&seen, &expected);
        prop_assert_eq!(outcome, ConnectionOutcome::Completed);
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        prop_assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), expected.len());
    }
}

/// The keys and the routes of the calls for these requests.
fn calls(routes: Option<RouteTable>, requests: &[&str]) -> Vec<(CallKey, Option<usize>)> {
    let mut bench = Bench::with_routes(routes);
    for request in requests {
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n");
        bench.client.write_all(head.as_bytes()).unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < requests.len() {
        bench.advance(&mut seen);
    }
    bench.client.shutdown(Shutdown::Write).unwrap();
    let calls = mem::take(&mut bench.calls);
    bench.finish(&mut seen);
    calls
}

#[test]
fn slow_calls_are_predicted_by_route_if_there_are_routes() {
    let handler = |_: Request| "";
    let routes = Router::new()
        .get("/users/{id}", handler)
        .delete("/users/{id}", handler)
        .get("/pets/{id}", handler)
        .build()
        .unwrap();
    let requests = [
        "GET /users/1",
        "GET /users/2?a",
        "DELETE /users/1",
        "GET /pets/1",
        "GET /x",
        "GET /y",
    ];
    let [first, second, deleted, pet, x, y] = calls(routes.route_table(), &requests)[..] else {
        panic!("six calls")
    };
    assert_eq!(first, second);
    assert_ne!(first.0, deleted.0, "another method");
    assert_ne!(first.0, pet.0, "another route");
    assert_eq!(x, y, "no route");
    let indices = [first, deleted, pet, x].map(|(_, index)| index);
    assert_eq!(indices, [Some(0), Some(0), Some(1), None]);

    // A call that waits for one user says what to expect of the next.
    let slow_calls = SlowCalls::new();
    let time = Duration::from_millis(5);
    slow_calls.took(first.0, time, Some(time));
    assert_eq!(slow_calls.expected(second.0), Expected::Waits);
    assert_eq!(slow_calls.expected(pet.0), Expected::Unknown);

    let [first, second, ..] = calls(None, &requests)[..] else {
        panic!("six calls")
    };
    assert_ne!(first.0, second.0, "without routes it is by path");
    assert_eq!(first.1, None);
}

#[test]
fn a_head_that_is_cut_counts_as_far_as_it_arrived() {
    let mut bench = Bench::new();
    bench.client.write_all(b"GET / HT").unwrap();
    while bench.connection.common.exchange.is_none() {
        bench.advance(&mut Vec::new());
    }
    let Bench {
        connection,
        services,
        ..
    } = bench;
    connection.close_now(&services, &mut Vec::new());
    let totals = services.accounting.totals();
    assert_eq!(totals.requests.to_string(), "1 cut");
    assert_eq!(totals.received_bytes, 8);
}

#[test]
fn the_first_request_of_a_turn_counts_its_wait_and_a_further_one_does_not_wait() {
    let mut bench = Bench::new();
    let found = Instant::now();
    let (waited, much_later) = (Duration::from_millis(3), Duration::from_secs(9));
    bench.connection.note_ready(found);
    bench.connection.leaves_queue(found + waited);
    bench.connection.leaves_queue(found + much_later);
    let queued = bench.services.accounting.totals().queued;
    assert_eq!((queued.count(), queued.sum()), (2, waited));
    bench.client.shutdown(Shutdown::Both).unwrap();
    bench.finish(&mut Vec::new());
}

#[test]
fn an_idle_connection_holds_no_buffer() {
    let mut bench = Bench::new();
    let mut seen = Vec::new();
    bench
        .client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    while seen.is_empty() {
        bench.advance(&mut seen);
    }
    assert!(bench.connection.is_idle());
    assert!(bench.connection.common.unused_input.is_empty());
    drop(bench.client.shutdown(Shutdown::Both));
    bench.finish(&mut seen);
}

/// Sends a stream byte by byte. Returns the requests, the outcome and the answers.
fn byte_by_byte(stream: &[u8]) -> (Vec<Observed>, ConnectionOutcome, String) {
    let mut bench = Bench::new();
    let mut seen = Vec::new();
    for byte in stream {
        bench.client.write_all(&[*byte]).unwrap();
        bench.advance(&mut seen);
    }
    bench.client.shutdown(Shutdown::Write).unwrap();
    let mut client = bench.client.try_clone().unwrap();
    let outcome = bench.finish(&mut seen);
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    (seen, outcome, answers)
}

#[test]
fn between_requests_there_may_be_empty_lines_and_nothing_else() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let stream = format!("{request}\r\n\r\n{request}\r\n\r");
    let (seen, outcome, _) = byte_by_byte(stream.as_bytes());
    assert_eq!(
        (seen.len(), outcome),
        (2, ConnectionOutcome::Completed),
        "half an empty line is no request"
    );
    for invalid in ["\n", "\r", "\r\r\n", "\r\n\n"] {
        let stream = format!("{request}{invalid}{request}");
        let (seen, _, answers) = byte_by_byte(stream.as_bytes());
        assert_eq!(seen.len(), 1, "{invalid:?}");
        assert!(answers.contains("HTTP/1.1 400 "), "{invalid:?}: {answers}");
    }
}

#[test]
fn half_an_empty_line_does_not_delay_a_drain() {
    let mut bench = Bench::new();
    bench
        .client
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r")
        .unwrap();
    bench.services.life.shutdown(Trigger::Call);
    let mut client = bench.client.try_clone().unwrap();
    let mut seen = Vec::new();
    while seen.is_empty() {
        bench.advance(&mut seen);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.finish(&mut seen), ConnectionOutcome::Completed);
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert!(answers.contains("connection: close"), "{answers}");
}

#[test]
fn an_error_in_a_line_without_end_is_answered_however_it_was_split() {
    let large = "x".repeat(Config::default().head_bytes_max);
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\nA: \0{large}");
    let mut bench = Bench::new();
    let mut seen = Vec::new();
    for piece in [&stream.as_bytes()[..26], &stream.as_bytes()[26..]] {
        bench.client.write_all(piece).unwrap();
        bench.advance(&mut seen);
    }
    bench.client.shutdown(Shutdown::Write).unwrap();
    let mut client = bench.client.try_clone().unwrap();
    bench.finish(&mut seen);
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("HTTP/1.1 400 "), "{answers}");
}

#[test]
fn a_client_that_keeps_sending_leaves_the_other_connections_their_turn() {
    let mut bench = Bench::new();
    bench
        .client
        .write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100))
        .unwrap();
    let mut deferred = Vec::new();
    let mut cx = Context {
        services: &bench.services,
        buffer: &mut bench.buffer,
        date: &mut DateClock::default(),
        now: Instant::now(),
        phase: Phase::Running,
        serves: Serves::Everything,
        budget: &mut 6,
        deferred: &mut deferred,
        body_tasks: &mut Vec::new(),
    };
    let mut next = bench.connection.advance(&mut cx);
    let mut calls = 0;
    while let Next::Call(_) = next {
        calls += 1;
        let answer = Answer::of_handler("ok".into_response(), None);
        next = bench.connection.resume(answer, &mut cx);
    }
    let Next::Suspend(suspend) = next else {
        panic!("the connection is not suspended");
    };
    assert_eq!(suspend.wait, Wait::Turn);
    assert!(calls < 10, "{calls} calls in six steps");
    bench.client.shutdown(Shutdown::Write).unwrap();
    let mut seen = Vec::new();
    bench.finish(&mut seen);
    assert_eq!(calls + seen.len(), 100);
}

#[test]
fn a_draining_server_answers_a_pipelined_request_too() {
    let mut bench = Bench::new();
    let pair = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    bench.client.write_all(pair).unwrap();
    bench.services.life.shutdown(Trigger::Call);
    let mut client = bench.client.try_clone().unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        bench.advance(&mut seen);
    }
    client.shutdown(Shutdown::Write).unwrap();
    bench.finish(&mut seen);
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    let (first, second) = answers.split_at(answers.rfind("HTTP/1.1").unwrap());
    assert!(!first.contains("connection: close"), "{answers}");
    assert!(second.contains("connection: close"), "{answers}");
}
