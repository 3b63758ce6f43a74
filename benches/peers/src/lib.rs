//! What the servers share: the arguments, the bodies, and the signal.
//!
//! Each program of `src/bin` is the same small service in another server:
//!
//! | | |
//! |---|---|
//! | `GET /` | `Hello, world!` as `text/plain` |
//! | `POST /echo` | the body back |
//! | `GET /64k`, `GET /10m` | 64 KiB and 10 MiB, prepared once and shared |
//! | `GET /block` | waits 5 ms in the way that the server's documentation gives for blocking |
//!
//! Its settings are the server's defaults, and SIGTERM makes it stop in the
//! graceful way that the server's documentation gives.

use std::env;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

/// The body of `GET /`.
pub const HELLO: &str = "Hello, world!";

/// How long `GET /block` takes.
pub const BLOCK: Duration = Duration::from_millis(5);

/// The body of `GET /64k`.
pub static KIB_64: LazyLock<&str> = LazyLock::new(|| "x".repeat(64 << 10).leak());

/// The body of `GET /10m`.
pub static MIB_10: LazyLock<&str> = LazyLock::new(|| "x".repeat(10 << 20).leak());

/// The command line: `--port N`, and for farewell two limits.
pub struct Arguments {
    port: u16,
    pub workers: Option<usize>,
    pub max_connections: Option<usize>,
}

impl Arguments {
    /// Those of this process.
    ///
    /// # Panics
    ///
    /// When they are not understood: only the benches call these programs.
    pub fn of_process() -> Self {
        let mut these = Self {
            port: 0,
            workers: None,
            max_connections: None,
        };
        let mut words = env::args().skip(1);
        while let Some(option) = words.next() {
            let value = words.next().unwrap_or_default();
            let number = || value.parse().expect("the options are followed by numbers");
            match option.as_str() {
                "--port" => these.port = value.parse().expect("a port follows --port"),
                "--workers" => these.workers = Some(number()),
                "--max-connections" => these.max_connections = Some(number()),
                _ => panic!("{option} is no option: --port N [--workers N] [--max-connections N]"),
            }
        }
        these
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Calls `stop` in a thread of its own at the first SIGTERM.
pub fn on_sigterm(stop: impl FnOnce() + Send + 'static) {
    let mut signals = Signals::new([SIGTERM]).expect("a handler for SIGTERM can be set");
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            stop();
        }
    });
}
