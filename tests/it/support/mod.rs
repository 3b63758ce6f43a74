//! Support for the tests: a server on port 0, a raw client, and gates for handlers.

#[cfg(unix)]
#[path = "../../support/browser.rs"]
pub(crate) mod browser;
#[path = "../../support/client.rs"]
pub(crate) mod client;
pub(crate) mod large_bodies;
#[path = "../../support/prometheus.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
pub(crate) mod prometheus;

use std::net::SocketAddr;
use std::time::Duration;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::unbounded;
use farewell::Config;
use farewell::Handler;
use farewell::Report;
use farewell::Request;
use farewell::Server;
use farewell::ShutdownHandle;
use farewell::Spawned;

pub(crate) use client::Client;
pub(crate) use client::get;

/// Turns a hang into a failure. No test that passes waits so long.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(60);

/// A timeout that never passes in a test.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// A server of the library on a free port of 127.0.0.1.
pub(crate) struct TestServer {
    spawned: Spawned,
    pub(crate) stop: ShutdownHandle,
}

/// A configuration with few workers. No timeout passes, unless a test shortens it.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.workers = 4;
    config.head_timeout = NEVER;
    config.idle_timeout = NEVER;
    config.body_timeout = NEVER;
    config.write_timeout = NEVER;
    config.linger = TOO_LONG;
    config.drain_timeout = TOO_LONG;
    config.last_call = Duration::from_millis(100);
    config
}

/// Two workers and a short drain.
pub(crate) fn short_drain() -> Config {
    let mut config = config();
    config.workers = 2;
    config.drain_timeout = Duration::from_millis(100);
    config.linger = Duration::from_millis(100);
    config
}

impl TestServer {
    pub(crate) fn start(config: Config, handler: impl Handler) -> Self {
        Self::spawn(Server::bind("127.0.0.1:0", config).unwrap(), handler)
    }

    pub(crate) fn spawn(server: Server, handler: impl Handler) -> Self {
        let stop = server.shutdown_handle();
        Self {
            spawned: server.spawn(handler).unwrap(),
            stop,
        }
    }

    /// A server that answers `hello` and the path.
    pub(crate) fn hello(config: Config) -> Self {
        Self::start(config, |request: Request| {
            format!("hello {}", request.uri().path())
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.spawned
            .local_addr()
            .socket_addr()
            .expect("it listens on TCP")
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Waits until so many requests are in progress.
    pub(crate) fn wait_in_progress(&self, count: usize) {
        assert!(
            self.stop
                .wait_for_counts(TOO_LONG, |counts| counts.in_progress == count)
        );
    }

    /// Waits until so many connections are ready and have no worker.
    pub(crate) fn wait_waiting(&self, count: usize) {
        assert!(
            self.stop
                .wait_for_counts(TOO_LONG, |counts| counts.waiting == count)
        );
    }

    /// Connects so many clients. Each connection is in the shard that follows the shard
    /// of the connection before.
    pub(crate) fn connect_in_turn(&self, count: usize) -> Vec<Client> {
        let before = self.stop.counts().open;
        let connect = |number| {
            let client = self.connect();
            self.wait_open(before + number);
            client
        };
        (1..=count).map(connect).collect()
    }

    /// Waits until so many connections are open.
    pub(crate) fn wait_open(&self, count: usize) {
        assert!(
            self.stop
                .wait_for_counts(TOO_LONG, |counts| counts.open == count)
        );
    }

    /// Waits for the report, and checks that it balances.
    pub(crate) fn join(self) -> Report {
        let report = self.spawned.join().unwrap();
        assert!(report.balances(), "{report:?}");
        report
    }
}

/// Holds handlers until the test lets them go on. A handler reports that it has started.
pub(crate) struct Gate {
    started: (Sender<String>, Receiver<String>),
    open: Receiver<()>,
}

/// The drop opens the gate.
pub(crate) struct Bar(#[expect(dead_code, reason = "only its drop is used")] Sender<()>);

impl Gate {
    pub(crate) fn new() -> (std::sync::Arc<Self>, Bar) {
        let (bar, open) = unbounded();
        (
            std::sync::Arc::new(Self {
                started: unbounded(),
                open,
            }),
            Bar(bar),
        )
    }

    /// Called by a handler: reports that it has started, and waits until the gate is
    /// open.
    pub(crate) fn pass(&self, what: &str) {
        self.started.0.send(what.to_owned()).unwrap();
        assert!(
            self.open.recv().is_err(),
            "the bar is dropped, nothing is sent"
        );
    }

    /// Waits until a handler has started, and returns what it passed to
    /// [`pass`](Self::pass).
    pub(crate) fn wait_started(&self) -> String {
        self.started
            .1
            .recv_timeout(TOO_LONG)
            .expect("a handler starts")
    }
}

/// A call that waits in its handler. The drop releases it.
pub(crate) struct Held {
    /// The target of the request, with its query.
    pub(crate) target: String,
    _release: Sender<()>,
}

/// Holds the calls of handlers, each until the test drops it.
#[derive(Clone)]
pub(crate) struct Holds {
    started: (Sender<Held>, Receiver<Held>),
}

impl Holds {
    pub(crate) fn new() -> Self {
        Self {
            started: unbounded(),
        }
    }

    /// Called by a handler: reports that it has started, and waits until it is released.
    pub(crate) fn hold(&self, target: impl ToString) {
        let (release, released) = unbounded();
        let held = Held {
            target: target.to_string(),
            _release: release,
        };
        self.started.0.send(held).unwrap();
        assert!(released.recv().is_err(), "dropped, nothing is sent");
    }

    /// Waits until the next call has started.
    pub(crate) fn next(&self) -> Held {
        let started = &self.started.1;
        started.recv_timeout(TOO_LONG).expect("a handler starts")
    }
}

/// A handler that waits at the gate for paths that begin with `/slow`.
pub(crate) fn gated(gate: &std::sync::Arc<Gate>) -> impl Handler + use<> {
    let gate = std::sync::Arc::clone(gate);
    move |request: Request| {
        let path = request.uri().path();
        if path.starts_with("/slow") {
            gate.pass(path);
        }
        format!("hello {path}")
    }
}
