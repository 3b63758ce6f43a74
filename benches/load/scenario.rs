//! What is measured, and which server cannot take part.

use crate::harness::peers::Kind;
use crate::harness::peers::Peer;
use crate::harness::wrk::Load;

/// One load, and how long it is measured unless the command line says otherwise.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    /// Idle connections beside the active ones.
    pub(crate) idle: usize,
}

/// Threads for handlers that block, as many as there are clients.
pub(crate) const BLOCK_WORKERS: usize = 64;

/// What 64 clients can get from a handler that takes 5 ms, a second.
pub(crate) const BLOCK_IDEAL: f64 = BLOCK_WORKERS as f64 / 0.005;

const PLAIN: Load = Load {
    path: "/",
    connections: 64,
    post: None,
    close: false,
};

/// All of them, in the order of the report.
pub(crate) const SCENARIOS: [Scenario; 9] = [
    Scenario {
        rounds: 5,
        seconds: 2,
        ..Scenario::new(
            "plain-2",
            "13 bytes of text, 2 keep-alive connections",
            Load {
                connections: 2,
                ..PLAIN
            },
        )
    },
    Scenario {
        rounds: 5,
        seconds: 2,
        ..Scenario::new(
            "plain-64",
            "13 bytes of text, 64 keep-alive connections",
            PLAIN,
        )
    },
    Scenario {
        rounds: 5,
        seconds: 2,
        ..Scenario::new(
            "plain-512",
            "13 bytes of text, 512 keep-alive connections",
            Load {
                connections: 512,
                ..PLAIN
            },
        )
    },
    Scenario::new(
        "close-64",
        "one connection per request, 64 at a time",
        Load {
            close: true,
            ..PLAIN
        },
    ),
    Scenario::new(
        "post-1k",
        "POST of 1 KiB that comes back, 64 connections",
        Load {
            path: "/echo",
            post: Some(1024),
            ..PLAIN
        },
    ),
    Scenario::new(
        "64k",
        "response of 64 KiB, 64 connections",
        Load {
            path: "/64k",
            ..PLAIN
        },
    ),
    Scenario {
        rounds: 2,
        seconds: 3,
        ..Scenario::new(
            "10m",
            "response of 10 MiB, 64 connections",
            Load {
                path: "/10m",
                ..PLAIN
            },
        )
    },
    Scenario::new(
        "block",
        "a handler that blocks for 5 ms, 64 connections",
        Load {
            path: "/block",
            ..PLAIN
        },
    ),
    Scenario {
        rounds: 2,
        seconds: 2,
        idle: 10_000,
        ..Scenario::new("idle", "64 active among 10 000 idle connections", PLAIN)
    },
];

impl Scenario {
    const fn new(name: &'static str, title: &'static str, load: Load) -> Self {
        Self {
            name,
            title,
            load,
            rounds: 3,
            seconds: 1,
            idle: 0,
        }
    }

    /// Whether it is one of those that are measured in one session too.
    pub(crate) fn is_plain(&self) -> bool {
        self.name.starts_with("plain")
    }

    /// What ours is started with beyond the port.
    pub(crate) fn arguments(&self, peer: &Peer) -> &'static [&'static str] {
        match (peer.is_ours(), self.name) {
            (true, "block") => &["--workers", "64"],
            (true, "idle") => &["--max-connections", "12000"],
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
            _ => None,
        }
    }

    /// What a reader has to know of a server's figures.
    pub(crate) fn remark(&self, peer: &Peer) -> Option<&'static str> {
        match (peer.name, self.name) {
            ("farewell", "block") => Some("with `--workers 64`"),
            ("farewell", "idle") => Some("with `--max-connections 12000`"),
            ("node", "block") => Some("a timer: it must not block"),
            ("may_minihttp", "block") => Some("a coroutine's sleep: it must not block"),
            ("go", "block") => Some("a goroutine's sleep, which blocks no thread"),
            ("axum" | "hyper", "block") => Some("`spawn_blocking`"),
            ("actix", "block") => Some("`web::block`"),
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
