//! Shared by the servers: arguments, bodies, and the handling of the signal.
//!
//! Each program in `src/bin` is the same small service on another server:
//!
//! | | |
//! |---|---|
//! | `GET /` | `Hello, world!` as `text/plain` |
//! | `POST /echo` | returns the body of the request |
//! | `GET /64k`, `GET /10m` | 64 KiB and 10 MiB from a shared buffer |
//! | `GET /block` | blocks for 5 ms, in the way that the server's documentation recommends |
//! | `GET /nap?us=N`, `GET /first/NAME?us=N` | the same for N microseconds |
//! | `GET /spin?us=N` | computes for about N microseconds, in the way that the server's documentation recommends |
//!
//! Each server has its default settings, and SIGTERM stops it in the graceful
//! way that its documentation recommends. rouille and tiny_http have no
//! `/spin`: they compute where they block, as farewell does.

pub mod on_tokio;

use std::env;
use std::hint;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

/// The body of `GET /`.
pub const HELLO: &str = "Hello, world!";

/// Duration of `GET /block`.
pub const BLOCK: Duration = Duration::from_millis(5);

/// The body of `GET /64k`.
pub static KIB_64: LazyLock<&str> = LazyLock::new(|| "x".repeat(64 << 10).leak());

/// The body of `GET /10m`.
pub static MIB_10: LazyLock<&str> = LazyLock::new(|| "x".repeat(10 << 20).leak());

/// Steps of [`spin`] in a microsecond on a core at 3 GHz. A step of xorshift
/// has six operations of one cycle, and each depends on the one before.
const STEPS_IN_A_MICROSECOND: u64 = 500;

/// Duration of the request: `us` in its query, in microseconds.
pub fn duration_in(query: Option<&str>) -> Duration {
    let value = query.and_then(|query| query.strip_prefix("us="));
    Duration::from_micros(value.and_then(|value| value.parse().ok()).unwrap_or(0))
}

/// The path and the query of a request target.
pub fn path_and_query(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// Computes for about this time. The amount of work is fixed and does not
/// depend on the clock, so a thread that the kernel has suspended still has to
/// do the rest.
pub fn spin(time: Duration) {
    let steps = time.as_micros() as u64 * STEPS_IN_A_MICROSECOND;
    let mut number = hint::black_box(1_u64);
    for _ in 0..steps {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
    }
    hint::black_box(number);
}

/// The command line: `--port N`, `--address IP` (127.0.0.1 by default), and limits. A
/// server ignores limits that it has no setting for. Only farewell has `--shards`,
/// `--max-connections` and `--lame-duck`.
pub struct Arguments {
    ip: IpAddr,
    port: u16,
    /// How many requests may block at the same time.
    pub workers: Option<usize>,
    pub max_connections: Option<usize>,
    pub shards: Option<usize>,
    pub lame_duck: Option<Duration>,
}

impl Arguments {
    /// Parses the arguments of this process.
    ///
    /// # Panics
    ///
    /// If the arguments are invalid. Only the benches call these programs.
    pub fn of_process() -> Self {
        let mut these = Self {
            ip: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            workers: None,
            max_connections: None,
            shards: None,
            lame_duck: None,
        };
        let mut words = env::args().skip(1);
        while let Some(option) = words.next() {
            let value = words.next().unwrap_or_default();
            let number = || value.parse().expect("the options are followed by numbers");
            let seconds = || Duration::from_secs(value.parse().expect("seconds follow it"));
            match option.as_str() {
                "--port" => these.port = value.parse().expect("a port follows --port"),
                "--address" => these.ip = value.parse().expect("an IP follows --address"),
                "--workers" => these.workers = Some(number()),
                "--max-connections" => these.max_connections = Some(number()),
                "--shards" => these.shards = Some(number()),
                "--lame-duck" => these.lame_duck = Some(seconds()),
                _ => panic!(
                    "{option} is no option: --port N [--address IP] [--workers N] \
                     [--max-connections N] [--shards N] [--lame-duck SECONDS]"
                ),
            }
        }
        these
    }

    /// The address to listen on.
    pub fn address(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }
}

/// Calls `stop` on a new thread at the first SIGTERM.
pub fn on_sigterm(stop: impl FnOnce() + Send + 'static) {
    let mut signals = Signals::new([SIGTERM]).expect("a handler for SIGTERM can be set");
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            stop();
        }
    });
}
