//! What happens if a worker panics: its job is not lost, and the other connections of
//! its shard are served. The engine has no acceptor, no monitor and one shard.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;

use super::*;
use crate::config::Config;
use crate::engine::connection::Admitted;
use crate::engine::deferred::Subject;
use crate::engine::services::Services;
use crate::engine::shard::Suspend;
use crate::engine::shard::Wait;
use crate::engine::slow_calls::CallKey;
use crate::handler::Handler;
use crate::journal::Journal;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::phase::Lifecycle;
use crate::message::request::Request;
use crate::net::acceptor_waker::AcceptorWaker;
use crate::net::stream::Stream;
use crate::route_table::RouteTable;
use crate::router::Router;

/// Turns a hang into a failure. No test that passes waits so long.
const TOO_LONG: Duration = Duration::from_secs(60);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// An engine whose only job is on the run queue, and where to connect to it.
struct TestEngine {
    engine: Arc<Engine>,
    listener: TcpListener,
}

impl TestEngine {
    fn new() -> Self {
        Self::with_routes(None)
    }

    fn with_routes(routes: Option<RouteTable>) -> Self {
        let config = Config {
            // There are at most as many shards as workers.
            workers: 1,
            ..Config::default()
        };
        let life = Arc::new(Lifecycle::new(&config));
        let accounting = Arc::new(Accounting::new(Arc::clone(&life)));
        let services = Services::new(config, Journal::unread(), life, accounting, false, routes);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let acceptor_waker = AcceptorWaker::tcp(listener.local_addr().unwrap()).unwrap();
        let handler = Box::new(|_: Request| "hello");
        let engine = Arc::new(Engine::new(services, handler, None, acceptor_waker).unwrap());
        assert_eq!(engine.shards.len(), 1);
        Self { engine, listener }
    }

    /// A client that has sent these bytes, and its connection.
    fn connect(&self, bytes: &[u8]) -> (TcpStream, Box<Connection>) {
        let address = self.listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(TOO_LONG)).unwrap();
        client.write_all(bytes).unwrap();
        let (socket, peer) = self.listener.accept().unwrap();
        let services = &self.engine.services;
        let admitted = Admitted {
            stream: Stream::of(socket).unwrap(),
            peer: peer.into(),
            local: address.into(),
            guard: services.accounting.connection_accepted(),
            place: services.places.take(),
            share: services.peers.add(peer.into()),
        };
        let shard = Arc::clone(&self.engine.shards[0]);
        let connection = Connection::new(admitted, shard, Instant::now());
        (client, Box::new(connection))
    }

    /// Has a connection wait for its turn.
    fn put_off(&self, connection: Box<Connection>) {
        let suspended = connection.suspend(Suspend {
            wait: Wait::Turn,
            until: None,
            seen: self.engine.services.life.phase(),
        });
        assert!(matches!(suspended, Suspended::Yes), "{suspended:?}");
    }

    /// Advances a connection until its handler is to be called, and drops that call.
    /// The connection's next turn is then a bug, and panics.
    fn drop_call(&self, connection: &mut Connection) {
        loop {
            let mut cx = Context {
                services: &self.engine.services,
                buffer: &mut Buffer::new(BUFFER_MIN),
                date: &mut DateClock::default(),
                now: Instant::now(),
                phase: self.engine.services.life.phase(),
                serves: Serves::Everything,
                budget: &mut 64,
                deferred: &mut Vec::new(),
                body_tasks: &mut Vec::new(),
            };
            if let Next::Call(_) = connection.advance(&mut cx) {
                return;
            }
            thread::yield_now();
        }
    }

    fn start_worker(&self) -> thread::JoinHandle<()> {
        let engine = Arc::clone(&self.engine);
        thread::spawn(move || work(&engine, 0, &Arc::default()))
    }

    /// Whether the job is on the run queue; it stays there.
    fn job_waits(&self) -> bool {
        let mut jobs = 0;
        self.engine.run_queue.for_each(|_| jobs += 1);
        jobs == 1
    }

    fn subject(&self) -> Subject {
        Subject {
            request_line: None,
            peer: self.listener.local_addr().unwrap().into(),
            call_key: CallKey::default(),
            route: None,
            since: Instant::now(),
        }
    }
}

/// Reads one answer of the handler.
fn expect_answer(client: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"hello") {
        assert_eq!(client.read(&mut byte).unwrap(), 1, "{answer:?}");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{answer:?}");
}

#[test]
fn a_connection_whose_turn_panics_is_cut_and_the_others_of_its_shard_are_served() {
    let bench = TestEngine::new();
    let (mut lost, mut bug) = bench.connect(GET);
    bench.drop_call(&mut bug);
    let (mut client, connection) = bench.connect(GET);
    // Both are in the worker's first batch, in this order.
    bench.put_off(bug);
    bench.put_off(connection);
    let worker = bench.start_worker();

    expect_answer(&mut client);
    let mut rest = Vec::new();
    lost.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
    // The shard is still polled: this request arrives as an event.
    client.write_all(GET).unwrap();
    expect_answer(&mut client);
    drop(client);

    let services = &bench.engine.services;
    let end = Some(Instant::now() + TOO_LONG);
    let none_is_open = || services.accounting.open() == 0;
    assert!(services.life.wait_for_counts(end, none_is_open));
    bench.engine.close();
    worker.join().unwrap();
    let report = services.accounting.report();
    assert!(report.balances(), "{report:?}");
    assert_eq!(report.connections.to_string(), "1 completed, 1 cut");
    assert_eq!(report.requests.to_string(), "2 answered, 1 cut");
    assert_eq!(report.connections.count(ConnectionOutcome::Cut), 1);
    assert_eq!(services.places.taken(), 0);
}

#[test]
fn a_worker_that_panics_sends_its_job_to_the_run_queue() {
    let bench = TestEngine::new();
    let slot = Arc::default();
    let mut runner = Runner::new(&bench.engine, &slot);
    runner.job = bench.engine.run_queue.try_receive();
    assert!(runner.job.is_some() && !bench.job_waits());
    drop(runner);
    assert!(bench.job_waits());
}

#[test]
fn a_worker_that_panics_in_a_call_sends_the_job_of_its_slot_to_the_run_queue() {
    let bench = TestEngine::new();
    let (key, code) = (CallKey::default(), UserCode::Handler);
    let slow_calls = &bench.engine.slow_calls;
    slow_calls.took(key, Duration::ZERO, None);
    let slot = Arc::<InFlight>::default();
    let mut runner = Runner::new(&bench.engine, &slot);
    runner.job = bench.engine.run_queue.try_receive();
    let _begun = runner.begin_alone(code, key, bench.subject());
    assert!(slot.slot.call().is_some() && runner.job.is_none());
    drop(runner);
    assert!(slot.slot.call().is_none());
    assert!(bench.job_waits());
}

#[test]
fn a_call_that_is_expected_to_wait_hands_off_the_job_before_it_begins() {
    let bench = TestEngine::new();
    let slot = Arc::<InFlight>::default();
    let mut runner = Runner::new(&bench.engine, &slot);
    runner.job = bench.engine.run_queue.try_receive();
    let (key, code) = (CallKey::default(), UserCode::Handler);
    let begun = runner.begin_alone(code, key, bench.subject());
    assert!(bench.job_waits());
    assert!(slot.slot.call().is_none());
    assert_eq!(slot.unreturned().unwrap().code, code);
    runner.finish(begun);
    assert!(runner.job.is_none() && slot.unreturned().is_none());
}

#[test]
fn a_call_that_is_expected_to_be_quick_keeps_the_job_within_reach_of_the_monitor() {
    let bench = TestEngine::new();
    let (key, code) = (CallKey::default(), UserCode::Handler);
    bench.engine.slow_calls.took(key, Duration::ZERO, None);
    let slot = Arc::<InFlight>::default();
    let mut runner = Runner::new(&bench.engine, &slot);
    runner.job = bench.engine.run_queue.try_receive();
    let begun = runner.begin_alone(code, key, bench.subject());
    assert!(!bench.job_waits());
    runner.finish(begun);
    assert!(runner.job.is_some());

    let begun = runner.begin_alone(code, key, bench.subject());
    let call = slot.slot.call().unwrap();
    bench.engine.hand_off(slot.slot.take_job(call).unwrap());
    assert!(bench.job_waits());
    runner.finish(begun);
    assert!(runner.job.is_none());
}

const URGENT: &[u8] = b"GET /urgent HTTP/1.1\r\nHost: a\r\n\r\n";

/// An engine with an urgent route, and four connections, of which the second and the last
/// have an urgent request. All are ready.
fn with_urgent_route() -> (TestEngine, Vec<TcpStream>) {
    let routes = Router::new().get("/urgent", |_: Request| ()).urgent();
    let bench = TestEngine::with_routes(routes.build().unwrap().route_table());
    assert!(bench.engine.reserve.is_some());
    let clients = [GET, URGENT, GET, URGENT].map(|bytes| {
        let (client, connection) = bench.connect(bytes);
        bench.put_off(connection);
        client
    });
    (bench, clients.into())
}

/// The calls of the urgent route are expected to be quick.
fn expect_quick(bench: &TestEngine) {
    let (method, routes) = (http::Method::GET, bench.engine.services.routes.as_ref());
    let (target, _) = routes.unwrap().look_up(&method, "/urgent");
    let key = CallKey::of_route(&method, target);
    bench.engine.slow_calls.took(key, Duration::ZERO, None);
}

#[test]
fn a_turn_for_urgent_requests_holds_the_others_in_front_of_later_ones() {
    let (bench, mut clients) = with_urgent_route();
    expect_quick(&bench);
    let slot = Arc::default();
    let mut worker = Worker::new(&bench.engine, 0, &slot);
    worker.runner.job = bench.engine.run_queue.try_receive();
    worker.serve_urgent();
    expect_answer(&mut clients[1]);
    expect_answer(&mut clients[3]);
    let (mut later, connection) = bench.connect(URGENT);
    bench.put_off(connection);
    let job = worker.runner.job.as_mut().unwrap();
    assert_eq!(job.ready(), 2);
    job.poll_for(Some(Duration::ZERO));
    assert_eq!(job.ready(), 3);
    worker.serve_urgent();
    expect_answer(&mut later);

    let (_last, connection) = bench.connect(GET);
    let last = connection.peer_addr();
    bench.put_off(connection);
    let job = worker.runner.job.as_mut().unwrap();
    job.poll_for(Some(Duration::ZERO));
    let mut next = || job.next().unwrap();
    let held = [next(), next(), next()];
    let peers = held.each_ref().map(|connection| connection.peer_addr());
    let here = |client: &TcpStream| client.local_addr().unwrap().into();
    assert_eq!(peers, [here(&clients[0]), here(&clients[2]), last]);
    for connection in held {
        worker.take_turn(connection);
    }
    expect_answer(&mut clients[0]);
    expect_answer(&mut clients[2]);
    drop(worker);
    bench.engine.evict();
}

#[test]
fn connections_behind_an_urgent_call_that_may_wait_are_found_in_the_run_queue() {
    let (bench, mut clients) = with_urgent_route();
    let slot = Arc::default();
    let mut worker = Worker::new(&bench.engine, 0, &slot);
    worker.runner.job = bench.engine.run_queue.try_receive();
    // It is the first call of its route, so the job is handed off before.
    worker.serve_urgent();
    expect_answer(&mut clients[1]);
    assert!(worker.runner.job.is_none() && bench.job_waits());
    worker.runner.job = bench.engine.run_queue.receive_first(|job| job.ready() == 3);
    worker.serve_urgent();
    expect_answer(&mut clients[3]);
    assert_eq!(worker.runner.job.as_ref().unwrap().ready(), 2);
    worker.runner.hand_off();
    let thread = bench.start_worker();
    expect_answer(&mut clients[0]);
    expect_answer(&mut clients[2]);
    bench.engine.close();
    thread.join().unwrap();
    bench.engine.evict();
}

#[test]
fn an_eviction_closes_connections_that_are_held() {
    let (bench, mut clients) = with_urgent_route();
    expect_quick(&bench);
    let slot = Arc::default();
    let mut worker = Worker::new(&bench.engine, 0, &slot);
    worker.runner.job = bench.engine.run_queue.try_receive();
    worker.serve_urgent();
    worker.runner.hand_off();
    bench.engine.evict();
    for held in [0, 2] {
        let mut rest = Vec::new();
        // The close resets the connection if the request was not read whole.
        let _ = clients[held].read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    let report = bench.engine.services.accounting.report();
    assert_eq!(report.requests.to_string(), "2 answered, 2 cut");
    assert!(report.cut.iter().all(|cut| !cut.handler_running));
}

#[test]
fn the_reserve_answers_while_the_only_worker_is_in_a_call_and_ends_with_the_run_queue() {
    let (bench, mut clients) = with_urgent_route();
    let engine = Arc::clone(&bench.engine);
    let reserve = thread::spawn(move || {
        let reserve = Arc::clone(engine.reserve.as_ref().unwrap());
        stand_by(&engine, 1, &reserve);
    });
    let engine = Arc::clone(&bench.engine);
    let monitor = thread::spawn(move || crate::engine::monitor::run(&engine));
    expect_answer(&mut clients[1]);
    expect_answer(&mut clients[3]);
    let worker = bench.start_worker();
    expect_answer(&mut clients[0]);
    expect_answer(&mut clients[2]);
    bench.engine.close();
    for thread in [reserve, monitor, worker] {
        thread.join().unwrap();
    }
    bench.engine.evict();
}

#[test]
fn without_an_urgent_route_there_is_no_reserve() {
    let routes = Router::new().get("/", |_: Request| ()).build().unwrap();
    assert!(
        TestEngine::with_routes(routes.route_table())
            .engine
            .reserve
            .is_none()
    );
    assert!(TestEngine::new().engine.reserve.is_none());
}

#[test]
fn an_eviction_closes_connections_that_wait_for_a_worker() {
    let bench = TestEngine::new();
    let (_client, connection) = bench.connect(GET);
    bench.put_off(connection);
    let (_other, suspended) = bench.connect(b"");
    let first = suspended.first_suspend(&bench.engine.services);
    assert!(matches!(suspended.suspend(first), Suspended::Yes));
    bench.engine.run_queue.for_each(|job| {
        job.poll_for(Some(Duration::ZERO));
        assert_eq!(job.ready(), 1);
    });
    bench.engine.evict();
    assert!(bench.engine.is_evicted() && !bench.job_waits());
    let report = bench.engine.services.accounting.report();
    assert_eq!(report.connections.to_string(), "2 closed idle");
}
