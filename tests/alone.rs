//! Tests that change what the whole process shares: a logger that blocks or panics, the
//! limit on files, the limit on memory. These failures cost lines of the log, or one
//! answer, and nothing else.
//!
//! The tests have a binary of their own, and run one after another.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

#[path = "support/client.rs"]
#[allow(dead_code, reason = "another test binary uses the rest")]
mod client;

use std::io::Write;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::Once;
use std::sync::PoisonError;
use std::time::Duration;

use farewell::Body;
use farewell::Config;
use farewell::Handler;
use farewell::Phase;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::Router;
use farewell::Routes;
use farewell::Server;
use farewell::Spawned;
use farewell::StatusCode;
use farewell::UserCode;
use log::Level;
use log::LevelFilter;
use log::Log;
use log::Metadata;
use log::Record;

use client::Client;

/// Turns a hang into a failure. No test that passes waits so long.
const TOO_LONG: Duration = Duration::from_secs(60);

/// What the logger of this process does with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Keeps,
    /// Keeps lines of the level info and above. Its `enabled` says so.
    KeepsInfo,
    Blocks,
    Panics,
}

struct Logger {
    state: Mutex<(Mode, Vec<String>)>,
    changed: Condvar,
}

static LOGGER: Logger = Logger {
    state: Mutex::new((Mode::Keeps, Vec::new())),
    changed: Condvar::new(),
};

impl Logger {
    fn lock(&self) -> MutexGuard<'_, (Mode, Vec<String>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        self.lock().0 = mode;
        self.changed.notify_all();
    }

    /// How many lines contain `part`.
    fn count(&self, part: &str) -> usize {
        count(&self.lock().1, part)
    }

    /// Waits until `holds` returns true for the lines.
    fn wait(&self, holds: impl Fn(&[String]) -> bool) {
        let missing = |(_, lines): &mut (Mode, Vec<String>)| !holds(lines);
        let (state, late) = self
            .changed
            .wait_timeout_while(self.lock(), TOO_LONG, missing)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!late.timed_out(), "missing in {:?}", state.1);
    }

    /// Waits for a line that contains `part`.
    fn wait_logged(&self, part: &str) {
        self.wait(|lines| count(lines, part) > 0);
    }
}

fn count(lines: &[String], part: &str) -> usize {
    lines.iter().filter(|line| line.contains(part)).count()
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.lock().0 != Mode::KeepsInfo || metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        let blocks = |(mode, _): &mut (Mode, Vec<String>)| *mode == Mode::Blocks;
        let mut state = self
            .changed
            .wait_while(self.lock(), blocks)
            .unwrap_or_else(PoisonError::into_inner);
        state.1.push(record.args().to_string());
        self.changed.notify_all();
        let panics = state.0 == Mode::Panics && record.level() <= Level::Warn;
        drop(state);
        assert!(!panics, "on purpose");
    }

    fn flush(&self) {}
}

/// The lock under which one test runs. The drop makes the logger stop blocking.
struct Turn(#[expect(dead_code, reason = "only its drop is used")] MutexGuard<'static, ()>);

impl Turn {
    fn with(mode: Mode, level: LevelFilter) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        static INSTALLED: Once = Once::new();

        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        INSTALLED.call_once(|| log::set_logger(&LOGGER).unwrap());
        log::set_max_level(level);
        *LOGGER.lock() = (mode, Vec::new());
        Self(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        LOGGER.set(Mode::Keeps);
    }
}

fn start(change: impl FnOnce(&mut Config)) -> Spawned {
    let mut config = Config::default();
    config.workers = 2;
    config.last_call = Duration::from_millis(100);
    config.access_log = true;
    change(&mut config);
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    server.spawn(|_: Request| "text").unwrap()
}

fn refused(server: &Spawned) -> u16 {
    let mut client = Client::connect(server.local_addr());
    client.send("NONSENSE\r\n\r\n");
    client.response().status
}

#[test]
fn a_logger_that_blocks_delays_neither_a_client_nor_a_stop() {
    for level in [LevelFilter::Info, LevelFilter::Trace] {
        let _turn = Turn::with(Mode::Blocks, level);
        let server = start(|_| ());
        for _ in 0..40 {
            assert_eq!(refused(&server), 400);
        }
        let mut client = Client::connect(server.local_addr());
        for _ in 0..2000 {
            assert_eq!(client.get("/").body, "text");
        }
        drop(client);
        let stop = server.shutdown_handle();
        stop.shutdown();
        assert!(stop.wait_for_timeout(Phase::Stopped, TOO_LONG), "no end");
        let report = server.join().unwrap();
        assert!(report.all_answered(), "{report}");
        assert_eq!(report.threads_left, 1, "{report}");
        assert_eq!(report.unreturned[0].code, UserCode::Logger, "{report}");
    }
}

#[test]
fn lines_that_were_dropped_are_counted_in_the_log() {
    let _turn = Turn::with(Mode::Blocks, LevelFilter::Info);
    let server = start(|_| ());
    let mut client = Client::connect(server.local_addr());
    // 4.8 MB of lines; 4 MiB may wait.
    let path = format!("/{}", "x".repeat(8000));
    for _ in 0..600 {
        assert_eq!(client.get(&path).body, "text");
    }
    LOGGER.set(Mode::Keeps);
    LOGGER.wait_logged("lines were dropped");
    drop(client);
    server.shutdown_handle().shutdown();
    assert_eq!(server.join().unwrap().threads_left, 0);
}

#[test]
fn the_log_is_written_when_the_server_has_stopped() {
    let _turn = Turn::with(Mode::Keeps, LevelFilter::Info);
    let server = start(|_| ());
    assert_eq!(Client::connect(server.local_addr()).get("/").body, "text");
    server.shutdown_handle().shutdown();
    server.join().unwrap();
    let logged = LOGGER.lock().1.join("\n");
    for part in ["\"GET / HTTP/1.1\" 200 4", "asked to stop", "draining"] {
        assert!(logged.contains(part), "{part:?} is not in {logged}");
    }
}

#[test]
fn each_panic_is_logged_once_whatever_the_layers_do() {
    fn panics(_: Request) -> &'static str {
        panic!("on purpose")
    }

    fn swallows(request: Request, next: &dyn Handler) -> StatusCode {
        let _swallowed = next.handle(request);
        StatusCode::NO_CONTENT
    }

    fn passes_on(request: Request, next: &dyn Handler) -> Response {
        next.handle(request)
    }

    /// Has the routes inside, as a layer has.
    struct Around(Routes);

    impl Handler for Around {
        fn handle(&self, request: Request) -> Response {
            self.0.handle(request)
        }
    }

    let bare = || Router::new().get("/", panics);
    let swallowed = bare().layer(swallows).layer(passes_on).build().unwrap();
    let passed_on = bare().layer(passes_on).layer(passes_on).build().unwrap();
    let in_the_layer = bare()
        .layer(|request: Request, _: &dyn Handler| panics(request))
        .build()
        .unwrap();
    let bare = bare().build().unwrap();
    expect_one_line(swallowed, 204);
    expect_one_line(passed_on, 500);
    expect_one_line(in_the_layer, 500);
    expect_one_line(bare, 500);
    expect_one_line(Around(Router::new().get("/", panics).build().unwrap()), 500);
    expect_one_line(panics, 500);
}

/// Sends one request, for which the handler panics.
fn expect_one_line(handler: impl Handler, status: u16) {
    let _turn = Turn::with(Mode::Keeps, LevelFilter::Warn);
    let server = Server::bind("127.0.0.1:0", Config::for_tests()).unwrap();
    let server = server.spawn(handler).unwrap();
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/").status, status);
    drop(client);
    server.shutdown_handle().shutdown();
    server.join().unwrap();
    assert_eq!(LOGGER.count("panicked"), 1, "{:?}", LOGGER.lock().1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_logger_that_panics_costs_no_thread() {
    use rustix::process::Resource;
    use rustix::process::Rlimit;

    let _turn = Turn::with(Mode::Panics, LevelFilter::Debug);
    let server = start(|_| ());
    let address = server.local_addr().socket_addr().unwrap();
    let mut first = Client::connect(address);
    assert_eq!(first.get("/").body, "text");

    // Clients and server share the limit of this process. So the sockets of the waiting
    // clients are created before the limit is reached.
    let whole = rustix::process::getrlimit(Resource::Nofile);
    let mut waiting: Vec<_> = (0..3).map(|_| unconnected_client(address)).collect();
    let free = std::fs::File::open("/dev/null").unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&free);
    drop(free);
    let none = Rlimit {
        current: Some(u64::try_from(number).unwrap()),
        maximum: whole.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, none).unwrap();
    for client in &mut waiting {
        client.connect();
    }
    LOGGER.wait_logged("cannot accept connections, retrying");
    assert_eq!(first.get("/").body, "text");
    rustix::process::setrlimit(Resource::Nofile, whole).unwrap();
    for client in waiting {
        assert_eq!(client.get_and_close(), "text");
    }
    drop(first);
    server.shutdown_handle().shutdown();
    let report = server.join().unwrap();
    assert!(report.all_answered(), "{report}");
    assert_eq!(report.threads_left, 0, "{report}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_body_without_a_thread_to_write_it_costs_its_answer_and_nothing_else() {
    use rustix::process::Resource;
    use rustix::process::Rlimit;

    let _turn = Turn::with(Mode::Keeps, LevelFilter::Info);
    let (bar, open) = crossbeam_channel::bounded::<()>(0);
    let server = Server::bind("127.0.0.1:0", Config::default()).unwrap();
    let server = server
        .spawn(move |request: Request| match request.uri().path() {
            "/written" => {
                let open = open.clone();
                Body::from_writer(move |writer| {
                    log::info!("writing");
                    // Returns when the bar is dropped.
                    let _ = open.recv();
                    writer.write_all(b"written")
                })
            }
            _ => Body::from("text"),
        })
        .unwrap();
    let mut other = Client::connect(server.local_addr());
    assert_eq!(other.get("/").body, "text");
    let mut clients: Vec<_> = (0..100)
        .map(|_| Client::connect(server.local_addr()))
        .collect();

    // This leaves no memory for the stack of one more thread. The system keeps the stacks
    // of some ended threads, and uses them first.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let page = u64::try_from(rustix::param::page_size()).unwrap();
    let whole = rustix::process::getrlimit(Resource::As);
    let tight = Rlimit {
        current: Some(pages * page + (1 << 20)),
        maximum: whole.maximum,
    };
    rustix::process::setrlimit(Resource::As, tight).unwrap();
    let mut written = 0;
    while LOGGER.count("cannot start the thread farewell-body") == 0 {
        clients[written].request("/written");
        LOGGER.wait(|lines| {
            count(lines, "writing") + count(lines, "cannot start the thread") > written
        });
        written = LOGGER.count("writing");
    }
    rustix::process::setrlimit(Resource::As, whole).unwrap();
    clients[written].expect_end();
    let phase = server.shutdown_handle().phase();
    assert_eq!(phase, Phase::Running, "only one answer is affected");
    drop(bar);
    for client in &mut clients[..written] {
        assert_eq!(client.response().body, "written");
    }
    assert_eq!(other.get("/written").body, "written");
    drop((other, clients));
    server.shutdown_handle().shutdown();
    let report = server.join().unwrap();
    assert_eq!(
        report.requests.count(RequestOutcome::BodyFailed),
        1,
        "{report}"
    );
}

#[test]
fn lines_that_the_logger_does_not_want_are_not_made() {
    // The maximum level of the log may be meant for targets of other libraries.
    let _turn = Turn::with(Mode::KeepsInfo, LevelFilter::Trace);
    let server = start(|_| ());
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/first").body, "text");
    // After this line, the logger was asked whether it is enabled. (A thread that an
    // earlier test has left behind may still write lines.)
    LOGGER.wait_logged("\"GET /first HTTP/1.1\" 200");
    for _ in 0..3000 {
        assert_eq!(client.get("/wanted").body, "text");
    }
    drop(client);
    server.shutdown_handle().shutdown();
    server.join().unwrap();
    let lines = std::mem::take(&mut LOGGER.lock().1);
    // The access log has the requests, as far as the logger keeps up. The debug lines
    // were not made.
    assert!(count(&lines, "\"GET /wanted HTTP/1.1\" 200") > 100);
    assert_eq!(count(&lines, ": GET /wanted"), 0);
}

/// A socket that connects later.
#[cfg(target_os = "linux")]
struct Later {
    socket: socket2::Socket,
    address: std::net::SocketAddr,
}

#[cfg(target_os = "linux")]
fn unconnected_client(address: std::net::SocketAddr) -> Later {
    use socket2::Domain;
    use socket2::Socket;
    use socket2::Type;

    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_read_timeout(Some(TOO_LONG)).unwrap();
    Later { socket, address }
}

#[cfg(target_os = "linux")]
impl Later {
    fn connect(&mut self) {
        self.socket.connect(&self.address.into()).unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        self.socket.write_all(request.as_bytes()).unwrap();
    }

    fn get_and_close(mut self) -> String {
        use std::io::Read;

        let mut answer = String::new();
        self.socket.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}
