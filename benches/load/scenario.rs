//! What is measured, and which server cannot take part.

use crate::harness::peers::Kind;
use crate::harness::peers::Peer;
use crate::harness::wrk::Load;
use crate::plan;
use crate::plan::Group;

/// One load, and which servers are measured under it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    /// How long a measurement takes, unless the command line says otherwise.
    pub(crate) seconds: u64,
    /// The servers and what is compared: groups that are measured one after the
    /// other.
    pub(crate) plan: fn(&Self, &[&'static Peer]) -> Vec<Group>,
}

/// Threads for handlers that block, as many as there are clients.
pub(crate) const BLOCK_WORKERS: usize = 64;

/// What 64 clients can get from a handler that takes 5 ms, a second.
pub(crate) const BLOCK_IDEAL: f64 = BLOCK_WORKERS as f64 / 0.005;

/// How long each of 64 clients waits where 16 workers take 20 ms for each, in ms.
pub(crate) const FAIR_IDEAL: f64 = 80.0;

/// The servers that ours is to be as fast as, one by one.
pub(crate) const MEASURE: [&str; 6] = ["hyper", "actix", "axum", "nginx", "go", "may_minihttp"];

const PLAIN: Load = Load {
    path: "/",
    connections: 64,
    post: None,
    close: false,
    pause: None,
};

const fn plain(connections: usize) -> Load {
    Load {
        connections,
        ..PLAIN
    }
}

/// As many requests a second as every server can answer: some 30 000 of 64 and of
/// 512 connections, and of 2 connections what pauses of a millisecond leave.
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

/// All of them, in the order of the report.
pub(crate) const SCENARIOS: [Scenario; 20] = [
    Scenario::new(
        "plain-2",
        "13 bytes of text, 2 keep-alive connections",
        plain(2),
        plan::neighbours,
    ),
    Scenario::new(
        "plain-64",
        "13 bytes of text, 64 keep-alive connections",
        plain(64),
        plan::neighbours,
    ),
    Scenario::new(
        "plain-512",
        "13 bytes of text, 512 keep-alive connections",
        plain(512),
        plan::neighbours,
    ),
    // As few connections ask for little: of one second, the p99 would be the
    // seventeenth longest answer.
    Scenario {
        seconds: 2,
        ..Scenario::new(
            "paused-2",
            "the same number of requests for every server, 2 connections",
            paused(2, 1),
            plan::neighbours,
        )
    },
    Scenario::new(
        "paused-64",
        "the same number of requests for every server, 64 connections",
        paused(64, 2),
        plan::neighbours,
    ),
    Scenario::new(
        "paused-512",
        "the same number of requests for every server, 512 connections",
        paused(512, 16),
        plan::neighbours,
    ),
    Scenario::new(
        "close-64",
        "one connection per request, 64 at a time",
        Load {
            close: true,
            ..PLAIN
        },
        plan::neighbours,
    ),
    Scenario::new(
        "post-1k",
        "POST of 1 KiB that comes back, 64 connections",
        Load {
            path: "/echo",
            post: Some(1024),
            ..PLAIN
        },
        plan::neighbours,
    ),
    Scenario::new(
        "64k",
        "response of 64 KiB, 64 connections",
        get("/64k"),
        plan::neighbours,
    ),
    Scenario {
        seconds: 2,
        ..Scenario::new(
            "10m",
            "response of 10 MiB, 64 connections",
            get("/10m"),
            plan::neighbours,
        )
    },
    Scenario::new(
        "block",
        "a handler that blocks for 5 ms, 64 connections",
        get("/block"),
        plan::neighbours,
    ),
    // Each connection gets 50 answers, so that one more or less is 2 %.
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
        "a request of 50 ms amid 16 connections with quick requests",
        PLAIN,
        plan::first_slow,
    ),
    Scenario::new(
        "idle",
        "64 active among 10 000 idle connections",
        PLAIN,
        plan::idle,
    ),
    Scenario::new(
        "full",
        "64 connections where no more are allowed",
        PLAIN,
        plan::full,
    ),
    Scenario::new(
        "full-close",
        "one connection per request, 64 at a time, where no more are allowed",
        Load {
            close: true,
            ..PLAIN
        },
        plan::full,
    ),
    Scenario::new(
        "lame-duck",
        "64 connections while a stop has begun",
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

    /// Slow requests a second beside the quick ones.
    pub(crate) fn slow_per_second(&self) -> u64 {
        match self.name {
            "mixed-2000" => 2_000,
            _ => 200,
        }
    }

    /// What a server is started with beyond the port.
    pub(crate) fn arguments(&self, peer: &Peer) -> &'static [&'static str] {
        match (peer.is_farewell(), self.name) {
            (true, "block") => &["--workers", "64"],
            (true, "idle") => &["--max-connections", "12000"],
            (_, "fair") => &["--workers", "16"],
            _ => &[],
        }
    }

    /// Why a server takes no part, if it does not.
    pub(crate) fn not_for(&self, peer: &Peer) -> Option<&'static str> {
        match (peer.kind, peer.name, self.name) {
            (Kind::Nginx, _, "post-1k") => Some("nothing in it gives a body back"),
            (Kind::Nginx, _, "block") => Some("it has no handlers"),
            (Kind::Limit, _, "close-64" | "post-1k" | "64k" | "10m" | "block") => {
                Some("it has one answer, and keeps every connection")
            }
            (_, "may_minihttp", "close-64") => Some("it takes no notice of `Connection: close`"),
            (_, "go" | "may_minihttp", "fair") => {
                Some("it limits nothing that blocks, so that no request waits")
            }
            _ => None,
        }
    }

    /// What a reader has to know of a server's figures.
    pub(crate) fn remark(&self, peer: &Peer) -> Option<&'static str> {
        match (peer.name, self.name) {
            ("farewell", "block") => Some("with `--workers 64`"),
            ("farewell", "idle") => Some("with `--max-connections 12000`"),
            ("farewell", "mixed-200" | "mixed-2000" | "first-slow") => {
                Some("16 workers, the default")
            }
            ("node", "block") => Some("a timer: it must not block"),
            ("may_minihttp", "block" | "mixed-200" | "mixed-2000" | "first-slow") => {
                Some("a coroutine's sleep: it must not block")
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
            ("node" | "actix", "idle") => Some("closes what is idle for 5 s"),
            _ => None,
        }
    }
}
