//! The scenarios, and which servers cannot take part in them.

use crate::harness::peers::Kind;
use crate::harness::peers::Peer;
use crate::harness::wrk::Load;
use crate::plan;
use crate::plan::Group;

/// One load, and the servers that are measured under it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    /// The default duration of a measurement.
    pub(crate) seconds: u64,
    /// Returns the groups of servers, which are measured one after another.
    pub(crate) plan: fn(&Self, &[&'static Peer]) -> Vec<Group>,
}

/// Worker threads for blocking handlers: one for each client.
pub(crate) const BLOCK_WORKERS: usize = 64;

/// Most requests a second that 64 clients can get from a handler that takes 5
/// ms.
pub(crate) const BLOCK_IDEAL: f64 = BLOCK_WORKERS as f64 / 0.005;

/// Latency for 64 clients if each request takes one of 16 workers 20 ms, in ms.
pub(crate) const FAIR_IDEAL: f64 = 80.0;

/// The servers whose speed farewell must reach.
pub(crate) const MEASURE: [&str; 6] = ["hyper", "actix", "axum", "nginx", "go", "may_minihttp"];

const PLAIN: Load = Load {
    path: "/",
    connections: 64,
    post: None,
    close: false,
    field: None,
    pause: None,
};

const fn plain(connections: usize) -> Load {
    Load {
        connections,
        ..PLAIN
    }
}

/// A load that every server can keep up with: about 30 000 requests a second on
/// 64 and on 512 connections, and on 2 connections as many as pauses of a
/// millisecond allow.
const fn paused(connections: usize, pause: u64) -> Load {
    Load {
        connections,
        pause: Some(pause),
        ..PLAIN
    }
}

const fn get(path: &'static str) -> Load {
    Load { path, ..PLAIN }
}

/// All scenarios, in the order of the results.
pub(crate) const SCENARIOS: [Scenario; 20] = [
    Scenario::new(
        "plain-2",
        "13 bytes of text, 2 keep-alive connections",
        plain(2),
        plan::all_servers,
    ),
    Scenario::new(
        "plain-64",
        "13 bytes of text, 64 keep-alive connections",
        plain(64),
        plan::all_servers,
    ),
    Scenario::new(
        "plain-512",
        "13 bytes of text, 512 keep-alive connections",
        plain(512),
        plan::all_servers,
    ),
    // Two connections send few requests: within one second, the p99 would be
    // the seventeenth longest response.
    Scenario {
        seconds: 2,
        ..Scenario::new(
            "paused-2",
            "the same number of requests for every server, 2 connections",
            paused(2, 1),
            plan::all_servers,
        )
    },
    Scenario::new(
        "paused-64",
        "the same number of requests for every server, 64 connections",
        paused(64, 2),
        plan::all_servers,
    ),
    Scenario::new(
        "paused-512",
        "the same number of requests for every server, 512 connections",
        paused(512, 16),
        plan::all_servers,
    ),
    Scenario::new(
        "close-64",
        "one connection per request, 64 at a time",
        Load {
            close: true,
            ..PLAIN
        },
        plan::all_servers,
    ),
    Scenario::new(
        "post-1k",
        "POST of 1 KiB that the response returns, 64 connections",
        Load {
            path: "/echo",
            post: Some(1024),
            ..PLAIN
        },
        plan::all_servers,
    ),
    Scenario::new(
        "64k",
        "response of 64 KiB, 64 connections",
        get("/64k"),
        plan::all_servers,
    ),
    Scenario {
        seconds: 2,
        ..Scenario::new(
            "10m",
            "response of 10 MiB, 64 connections",
            get("/10m"),
            plan::all_servers,
        )
    },
    Scenario::new(
        "block",
        "a handler that blocks for 5 ms, 64 connections",
        get("/block"),
        plan::all_servers,
    ),
    // Each connection gets about 50 responses, so that one response is 2 %.
    Scenario {
        seconds: 4,
        ..Scenario::new(
            "fair",
            "64 connections, a handler that blocks for 20 ms, 16 workers",
            get("/nap?us=20000"),
            plan::fair,
        )
    },
    Scenario::new(
        "mixed-200",
        "16 connections with quick requests, beside 200 requests/s that block for 3 ms",
        plain(16),
        plan::mixed,
    ),
    Scenario::new(
        "mixed-2000",
        "16 connections with quick requests, beside 2 000 requests/s that block for 3 ms",
        plain(16),
        plan::mixed,
    ),
    Scenario::new(
        "cpu",
        "a handler that computes for about 1 ms, 64 connections",
        get("/spin?us=1000"),
        plan::cpu,
    ),
    Scenario::new(
        "first-slow",
        "a request of 50 ms beside 16 connections with quick requests",
        PLAIN,
        plan::first_slow,
    ),
    Scenario::new(
        "idle",
        "64 active connections beside 10 000 idle connections",
        PLAIN,
        plan::idle,
    ),
    Scenario::new(
        "full",
        "64 connections at the limit of 64",
        PLAIN,
        plan::full,
    ),
    Scenario::new(
        "full-close",
        "one connection per request, 64 at a time at the limit of 64",
        Load {
            close: true,
            ..PLAIN
        },
        plan::full,
    ),
    Scenario::new(
        "lame-duck",
        "64 connections during a lame duck",
        PLAIN,
        plan::lame_duck,
    ),
];

impl Scenario {
    const fn new(
        name: &'static str,
        title: &'static str,
        load: Load,
        plan: fn(&Self, &[&'static Peer]) -> Vec<Group>,
    ) -> Self {
        Self {
            name,
            title,
            load,
            seconds: 1,
            plan,
        }
    }

    /// Slow requests a second.
    pub(crate) fn slow_per_second(&self) -> u64 {
        match self.name {
            "mixed-2000" => 2_000,
            _ => 200,
        }
    }

    /// Arguments of a server besides the port.
    pub(crate) fn arguments(&self, peer: &Peer) -> &'static [&'static str] {
        match (peer.is_farewell(), self.name) {
            (true, "block") => &["--workers", "64"],
            (true, "idle") => &["--max-connections", "12000"],
            (_, "fair") => &["--workers", "16"],
            _ => &[],
        }
    }

    /// Why a server cannot take part, if it cannot.
    pub(crate) fn not_for(&self, peer: &Peer) -> Option<&'static str> {
        match (peer.kind, peer.name, self.name) {
            (Kind::Nginx, _, "post-1k") => Some("it cannot return the body of a request"),
            (Kind::Nginx, _, "block") => Some("it has no handlers"),
            (Kind::Limit, _, "close-64" | "post-1k" | "64k" | "10m" | "block") => {
                Some("it has only one response, and closes no connection")
            }
            (_, "may_minihttp", "close-64") => Some("it ignores `Connection: close`"),
            (_, "go" | "may_minihttp", "fair") => {
                Some("it does not limit how many requests block, so no request waits")
            }
            _ => None,
        }
    }

    /// A remark on how a server is configured.
    pub(crate) fn remark(&self, peer: &Peer) -> Option<&'static str> {
        match (peer.name, self.name) {
            ("farewell", "block") => Some("with `--workers 64`"),
            ("farewell", "idle") => Some("with `--max-connections 12000`"),
            ("farewell", "mixed-200" | "mixed-2000" | "first-slow") => {
                Some("16 workers, the default")
            }
            ("node", "block") => Some("a timer: the event loop must not block"),
            ("may_minihttp", "block" | "mixed-200" | "mixed-2000" | "first-slow") => {
                Some("a coroutine's sleep: a coroutine must not block")
            }
            ("go", "block" | "mixed-200" | "mixed-2000" | "first-slow") => {
                Some("a goroutine's sleep, which blocks no thread")
            }
            ("axum" | "hyper", "block" | "mixed-200" | "mixed-2000" | "first-slow") => {
                Some("`spawn_blocking`")
            }
            ("actix", "block" | "mixed-200" | "mixed-2000" | "first-slow") => Some("`web::block`"),
            ("axum" | "hyper", "fair") => Some("`spawn_blocking` with 16 threads"),
            ("actix", "fair") => Some("`web::block` with 8 threads for each of 2 event loops"),
            ("tiny_http", "fair") => Some("16 threads"),
            ("axum" | "hyper", "cpu") => {
                Some("`spawn_blocking` behind a semaphore with a permit for each core")
            }
            ("actix", "cpu") => Some("`web::block`"),
            ("go", "cpu") => Some("in the goroutine, which the runtime preempts"),
            ("may_minihttp", "cpu") => Some("in the coroutine, which nothing preempts"),
            ("tiny_http", "block") => Some("a pool of 64 threads"),
            ("rouille", "block") => Some("a thread for each request"),
            ("tiny_http" | "rouille", "close-64") => {
                Some("does not announce the close, which `wrk` counts as a read error")
            }
            ("tiny_http" | "rouille", "idle") => Some("a thread for each connection"),
            ("node" | "actix", "idle") => Some("closes connections that are idle for 5 s"),
            _ => None,
        }
    }
}
