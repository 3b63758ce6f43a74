//! What the tests are written with: a server on port 0, a raw client, a gate.

#[path = "../../support/client.rs"]
pub(crate) mod client;

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

/// No test waits for this; it turns a hang into a failure.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(60);

/// Long enough that nothing in a test runs into it.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// A server of the library on a free port of 127.0.0.1.
pub(crate) struct TestServer {
    spawned: Spawned,
    pub(crate) stop: ShutdownHandle,
}

/// Few workers; timeouts that no test runs into unless it wants to.
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

/// Two workers, and a drain that is over soon.
pub(crate) fn impatient() -> Config {
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

    /// One that says hello.
    pub(crate) fn hello(config: Config) -> Self {
        Self::start(config, |request: Request| {
            format!("hello {}", request.uri().path())
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.spawned.local_addr()
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

    /// Waits until so many connections have something to read that no worker
    /// has looked at.
    pub(crate) fn wait_waiting(&self, count: usize) {
        assert!(
            self.stop
                .wait_for_counts(TOO_LONG, |counts| counts.waiting == count)
        );
    }

    /// Connects so many clients. Each connection is in the shard after that of
    /// the one before.
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

    /// Waits for the report. It has to balance, always.
    pub(crate) fn join(self) -> Report {
        let report = self.spawned.join().unwrap();
        assert!(report.balances(), "{report:?}");
        report
    }
}

/// A handler says that it has started; the test says when it goes on.
pub(crate) struct Gate {
    started: (Sender<String>, Receiver<String>),
    open: Receiver<()>,
}

/// Opens the gate when it is dropped.
pub(crate) struct Bar(#[expect(dead_code, reason = "its drop is what counts")] Sender<()>);

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

    /// For handlers: says that it has started, and waits.
    pub(crate) fn pass(&self, what: &str) {
        self.started.0.send(what.to_owned()).unwrap();
        assert!(
            self.open.recv().is_err(),
            "nothing is sent: the bar is dropped"
        );
    }

    /// Waits for a handler to have started, and says which.
    pub(crate) fn wait_started(&self) -> String {
        self.started
            .1
            .recv_timeout(TOO_LONG)
            .expect("a handler starts")
    }
}

/// A call that waits in its handler, until this is dropped.
pub(crate) struct Held {
    /// What it is a call of, with the query.
    pub(crate) target: String,
    _release: Sender<()>,
}

/// Calls that wait in their handlers, each until the test drops it.
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

    /// For handlers: says that it has started, and waits.
    pub(crate) fn hold(&self, target: impl ToString) {
        let (release, released) = unbounded();
        let held = Held {
            target: target.to_string(),
            _release: release,
        };
        self.started.0.send(held).unwrap();
        assert!(released.recv().is_err(), "nothing is sent: it is dropped");
    }

    /// Waits for the next call.
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
