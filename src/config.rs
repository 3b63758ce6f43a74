//! Every limit and every timeout, each with its default.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::http1::fields::HEADERS_CAP;
use crate::http1::head::Limits;

/// The limits and timeouts of a server. Nothing in it is unbounded.
///
/// ```
/// use std::time::Duration;
///
/// let mut config = farewell::Config::default();
/// config.workers = 4;
/// config.drain_timeout = Duration::from_secs(30);
/// ```
///
/// A stop takes at most `lame_duck + drain_timeout + 2 * linger`, and up to 3 s
/// more where the acceptor cannot be woken or is slow to end, the logger blocks,
/// or code of the application does not return. The first `linger` is for the
/// answers that were given at the deadline, the second for the clients that
/// follow the shutdown to its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Threads that run handlers. Default: 8 for each core, at least 16.
    pub workers: usize,
    /// Connections open at a time; further ones wait in the kernel's queue.
    /// Lowered to what the process's limit on open files allows.
    /// Default: 10 000.
    pub max_connections: usize,
    /// Connections of one peer address at a time; further ones get a 429 and
    /// are closed. Behind a proxy all clients have the proxy's address.
    /// Default: `None`, no such limit.
    pub connections_per_peer: Option<usize>,

    /// The longest head of a request, in bytes; beyond it: 431. Default: 16 KiB.
    pub head_bytes_max: usize,
    /// The most header lines in a head, at most 256; beyond it: 431.
    /// Default: 100.
    pub headers_max: usize,
    /// The longest request target, in bytes; beyond it: 414. Default: 8 KiB.
    pub target_bytes_max: usize,
    /// The largest request body, in bytes; beyond it: 413. Default: 2 MiB.
    pub body_bytes_max: u64,
    /// How much of a request body is read before its handler is called, in
    /// bytes, without holding a worker; the handler reads the rest. Each
    /// connection may need that much memory meanwhile. Default: 64 KiB.
    pub body_buffer: usize,
    /// The most that is read and discarded of a body that a handler did not
    /// read, in bytes, so that the connection can go on. Default: 256 KiB.
    pub discard_bytes_max: u64,

    /// From the first byte of a head to its last; then: 408. Default: 10 s.
    pub head_timeout: Duration,
    /// How long a connection may stay open without a request in progress.
    /// Default: 60 s.
    pub idle_timeout: Duration,
    /// In each such time a request body has to come forward by
    /// [`rate_min`](Self::rate_min) times as much, or end; else: 408. An upload
    /// that waits for as long because others before it are slow gets a 503.
    /// Default: 30 s.
    pub body_timeout: Duration,
    /// In each such time a client has to read
    /// [`rate_min`](Self::rate_min) times as much of its response, or all of
    /// it; else the connection is closed. Default: 30 s.
    pub write_timeout: Duration,
    /// The least rate at which a request body has to come, and a response has
    /// to be read, in bytes a second, averaged over `body_timeout` or
    /// `write_timeout`. With 0 any byte will do. Default: 2 KiB.
    pub rate_min: u64,
    /// After the last response: how long the client may be silent before it
    /// closes its side, which is the only proof that the response has arrived
    /// (RFC 9112 section 9.6). A client that is still sending its request
    /// ([`rate_min`](Self::rate_min) or more) is read on, and what it sends is
    /// discarded, so that it gets to read its answer. Default: 2 s.
    pub linger: Duration,
    /// How long that may go on in all. The deadline of a drain ends it earlier.
    /// Default: 30 s.
    pub linger_max: Duration,

    /// After the trigger: how long to go on as before, with
    /// [`Phase::LameDuck`](crate::Phase::LameDuck) showing, before the drain
    /// begins. Default: 0.
    pub lame_duck: Duration,
    /// How long the drain may take; then what is left is cut. Zero cuts at
    /// once. Default: 10 s.
    pub drain_timeout: Duration,
    /// How long, from the start of the drain, an open connection without a
    /// request in progress may still start one. Default: 500 ms.
    pub last_call: Duration,
    /// How long to wait for handshakes that the kernel had begun when the
    /// drain started. Default: 250 ms.
    pub handshake_grace: Duration,
    /// Whether to have the kernel refuse new connections while those that it
    /// holds are still accepted. Where the system has no call for that, or
    /// when this is `false`, the listener is emptied and then closed, and a
    /// connection that arrives in between is reset. Default: `true`.
    pub refuse_new_connections: bool,

    /// Whether every request is logged when it has ended, through
    /// [`log`](https://docs.rs/log) with the target `farewell::access` and the
    /// level `info`: the common log format, and the seconds from the first byte
    /// of the request to the last of its answer. Default: `false`.
    pub access_log: bool,

    /// How many epolls share the connections. Default: `None`, one for each core,
    /// and no more than `workers`. For the benches and tests of this crate.
    #[doc(hidden)]
    #[cfg(feature = "internals")]
    pub shards: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            workers: (8 * cores).max(16),
            max_connections: 10_000,
            connections_per_peer: None,
            head_bytes_max: 16 * 1024,
            headers_max: 100,
            target_bytes_max: 8 * 1024,
            body_bytes_max: 2 * 1024 * 1024,
            body_buffer: 64 * 1024,
            discard_bytes_max: 256 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            rate_min: 2 * 1024,
            linger: Duration::from_secs(2),
            linger_max: Duration::from_secs(30),
            lame_duck: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
            last_call: Duration::from_millis(500),
            handshake_grace: Duration::from_millis(250),
            refuse_new_connections: true,
            access_log: false,
            #[cfg(feature = "internals")]
            shards: None,
        }
    }
}

/// Longer timeouts are refused: they overflow clocks, and nobody waits so long.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Config {
    /// How many epolls share the connections.
    pub(crate) fn shards(&self) -> usize {
        #[cfg(feature = "internals")]
        if let Some(shards) = self.shards {
            return shards.max(1);
        }
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        cores.min(self.workers)
    }

    /// How many handlers may wait for the rest of their request's body at a time:
    /// half of the workers, so that clients that send slowly cannot take all of
    /// them, however many they are.
    pub(crate) fn uploads_max(&self) -> usize {
        (self.workers / 2).max(1)
    }

    /// Finds values that cannot work.
    ///
    /// [`Server::bind`](crate::Server::bind) calls it.
    ///
    /// # Errors
    ///
    /// An [`Error`] that names the field, what is wrong with it, and what
    /// would do.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, value, max) in [
            ("workers", self.workers, 4096),
            ("max_connections", self.max_connections, 1 << 24),
            (
                "connections_per_peer",
                self.connections_per_peer.unwrap_or(1),
                1 << 24,
            ),
            ("head_bytes_max", self.head_bytes_max, 1 << 24),
            ("headers_max", self.headers_max, HEADERS_CAP),
            ("target_bytes_max", self.target_bytes_max, 65_534),
            ("body_buffer", self.body_buffer, 1 << 30),
        ] {
            if value == 0 || value > max {
                return Err(Error::config(
                    field,
                    format_args!("is {value}, and must be from 1 to {max}"),
                ));
            }
        }
        for (field, value, may_be_zero) in [
            ("head_timeout", self.head_timeout, false),
            ("idle_timeout", self.idle_timeout, false),
            ("body_timeout", self.body_timeout, false),
            ("write_timeout", self.write_timeout, false),
            ("linger", self.linger, true),
            ("linger_max", self.linger_max, true),
            ("lame_duck", self.lame_duck, true),
            ("drain_timeout", self.drain_timeout, true),
            ("last_call", self.last_call, true),
            ("handshake_grace", self.handshake_grace, true),
        ] {
            if value > DURATION_MAX {
                return Err(Error::config(field, "must be a year at most"));
            }
            if value.is_zero() && !may_be_zero {
                return Err(Error::config(
                    field,
                    "must not be zero: every client would be too late",
                ));
            }
        }
        if self.drain_timeout.is_zero() && !self.lame_duck.is_zero() {
            return Err(Error::config(
                "drain_timeout",
                "is zero beside a lame_duck: a stop that begins gently cannot end by cutting \
                 everyone at once; set both to zero, or neither",
            ));
        }
        Ok(())
    }

    pub(crate) fn head_limits(&self) -> Limits {
        Limits {
            head_bytes: self.head_bytes_max,
            headers: self.headers_max,
            target_bytes: self.target_bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn what_cannot_work_is_named() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(refused(|c| c.workers = 0).starts_with("workers is 0"));
        assert!(refused(|c| c.max_connections = 0).starts_with("max_connections is 0"));
        assert!(refused(|c| c.headers_max = 257).contains("from 1 to 256"));
        assert!(refused(|c| c.head_timeout = Duration::ZERO).starts_with("head_timeout"));
        assert!(refused(|c| c.linger = Duration::MAX).starts_with("linger"));
        let beside = refused(|c| {
            c.lame_duck = Duration::from_secs(1);
            c.drain_timeout = Duration::ZERO;
        });
        assert!(beside.starts_with("drain_timeout is zero beside a lame_duck"));
    }
}
