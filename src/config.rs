//! The limits and timeouts of a server, with their defaults.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::http1::fields::HEADERS_CAP;
use crate::http1::head::Limits;

/// The limits and timeouts of a server.
///
/// ```
/// use std::time::Duration;
///
/// let mut config = farewell::Config::default();
/// config.workers = 4;
/// config.drain_timeout = Duration::from_secs(30);
/// ```
///
/// [`validate`](Self::validate) checks the range of every field. A field without a
/// range in its text takes any value. A time is at most 365 days.
///
/// # The bound of a stop
///
/// A stop takes at most `lame_duck + drain_timeout + 2 * linger`: 9 s by default, less
/// than the 10 s after which `docker stop` kills.
/// The first `linger` is for the answers that are given at the deadline, the second
/// for the clients that follow the shutdown to its end. A stop takes up to 3 s more
/// if the acceptor cannot be woken or ends late, if the logger blocks, or if code of
/// the application does not return.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The number of threads that run handlers, from 1 to 4096. Default: 8 a core,
    /// at least 16. A server whose routes include an [urgent](crate::Router::urgent) one has
    /// one more thread.
    pub workers: usize,
    /// The most connections that are open at a time, from 1 to 2^24; further ones
    /// wait in the kernel's accept queue, which has room for
    /// [4096](crate::Server::bind). The server lowers it to what the process's limit on
    /// open files allows. Default: 10 000.
    pub max_connections: usize,
    /// The most connections that one IP address has open at a time, from 1 to 2^24;
    /// further ones get a 429 and are closed. Behind a proxy all clients have the
    /// proxy's address. Clients of a unix socket have no address, and are not limited by
    /// this. Default: `None`, no such limit.
    pub connections_per_peer: Option<usize>,

    /// The longest request head, in bytes, from 1 to 16 MiB. A longer one gets a
    /// 431. Default: 16 KiB.
    pub head_bytes_max: usize,
    /// The most header lines in a request head, from 1 to 256. A head with more
    /// gets a 431. Default: 100.
    pub headers_max: usize,
    /// The longest request target, in bytes, from 1 to 65 534. A longer one gets a
    /// 414. Default: 8 KiB.
    pub target_bytes_max: usize,
    /// The largest request body, in bytes. A larger one gets a 413. With 0 every
    /// body that is not empty does. Default: 2 MiB.
    pub body_bytes_max: u64,
    /// How much of a request body the server reads before it calls the handler,
    /// in bytes, from 1 to 1 GiB. While it waits for these bytes, the connection holds
    /// no worker. The handler reads the rest. Each connection may need this much memory.
    /// Default: 64 KiB.
    pub body_buffer: usize,
    /// How many bytes of an unread request body the server reads and discards
    /// after the handler has returned, to keep the connection open for the next
    /// request. If more is left, the server closes it; with 0 it does so if anything
    /// is left. Default: 256 KiB.
    pub discard_bytes_max: u64,

    /// Longest time from the first byte of a request head to its last; after it
    /// the client gets a 408. It must not be 0. Default: 10 s.
    pub head_timeout: Duration,
    /// Longest time that a connection stays open without a request in progress. It
    /// must not be 0. Default: 60 s.
    pub idle_timeout: Duration,
    /// Longest time in which a request body may make no progress of at least
    /// [`rate_min`](Self::rate_min) bytes a second; after it the client gets a
    /// 408. An upload that waits this long behind slow uploads gets a 503. It must
    /// not be 0. Default: 30 s.
    pub body_timeout: Duration,
    /// Longest time in which a client may read less than
    /// [`rate_min`](Self::rate_min) bytes a second of its response; after it the
    /// server closes the connection. It must not be 0. Default: 30 s. What the kernel
    /// takes counts as read: a client that reads nothing of a large response is closed
    /// after twice this time, because the kernel took the first part.
    pub write_timeout: Duration,
    /// The minimum rate at which a client sends a request body and reads a
    /// response, in bytes a second, averaged over `body_timeout` or
    /// `write_timeout`. With 0, one byte in that time is enough. Default: 2 KiB.
    pub rate_min: u64,
    /// Longest silence of a client after the last response on its connection. The
    /// server waits for the client to close its side, which is the only proof that
    /// the response has arrived (RFC 9112 section 9.6). If the client is still
    /// sending its request, at [`rate_min`](Self::rate_min) or more, the server
    /// reads and discards it, because many clients read the response only after
    /// that.
    ///
    /// With 0 the server does not wait: no delivery is confirmed, and a client that
    /// is still sending may lose the response. If [`linger_max`](Self::linger_max)
    /// is shorter, it bounds the silence too. Default: 2 s.
    pub linger: Duration,
    /// Longest time that the server waits, after the last response on a connection,
    /// for the client to close its side, whatever the client sends. The deadline of a
    /// drain ends the wait earlier. With 0 the server does not wait, as with a
    /// [`linger`](Self::linger) of 0. Default: 30 s.
    pub linger_max: Duration,

    /// How long the server goes on as before after the trigger, in
    /// [`Phase::LameDuck`](crate::Phase::LameDuck), until the drain begins. With 0
    /// the drain begins at the trigger. Default: 0.
    pub lame_duck: Duration,
    /// Longest time from the start of the drain, which is the end of the lame duck,
    /// until the server cuts the requests that are not answered yet. It ends the last
    /// call and the wait for clients to close their side, too. After it the clients
    /// that get a 503 have [`linger`](Self::linger) to close their side, and then the
    /// clients that follow the stop have `linger` more: see [the bound of a
    /// stop](Self#the-bound-of-a-stop).
    ///
    /// With 0 the server cuts as soon as it is asked to stop; `lame_duck` must be 0
    /// then. Default: 5 s.
    pub drain_timeout: Duration,
    /// How long, from the start of the drain, an open connection without a
    /// request in progress may still start one. With 0 such a connection is closed at
    /// once. If [`drain_timeout`](Self::drain_timeout) is shorter, it ends the last
    /// call. Default: 500 ms.
    ///
    /// On Linux the last call of a stop is longer by four round trips to the client that
    /// is farthest away, of 500 ms at most: by 0.8 s at a round trip of 200 ms. So a
    /// request whose first packet is lost on its way can be sent again. A listener on a
    /// loopback address has none of this.
    pub last_call: Duration,
    /// Longest time that the server waits for handshakes that the kernel had begun
    /// when the drain started. With 0 it does not wait, and they are reset. It is longer
    /// if a client is far away: by four round trips, as [`last_call`](Self::last_call) is,
    /// and from a round trip of 10 ms on by one more second, after which the kernel sends a
    /// lost packet of a handshake again. Default: 250 ms.
    pub handshake_grace: Duration,
    /// Whether the kernel refuses new connections while the server drains the
    /// backlog. If this is `false`, or the system has no call for it, the server
    /// drains the backlog and then closes the listener, and a connection that
    /// arrives in between is reset. Default: `true`.
    pub refuse_new_connections: bool,

    /// Whether the server logs every request when it has ended, through
    /// [`log`](https://docs.rs/log) with the target `farewell::access` and the
    /// level `info`, in the [`access_log_format`](Self::access_log_format).
    /// Default: `false`.
    pub access_log: bool,
    /// How a line of the access log is written. Default:
    /// [`AccessLogFormat::Common`].
    pub access_log_format: AccessLogFormat,

    /// The number of shards. Default: `None`, one a core, and at most `workers`.
    /// For the benches and tests of this crate.
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
            drain_timeout: Duration::from_secs(5),
            last_call: Duration::from_millis(500),
            handshake_grace: Duration::from_millis(250),
            refuse_new_connections: true,
            access_log: false,
            access_log_format: AccessLogFormat::Common,
            #[cfg(feature = "internals")]
            shards: None,
        }
    }
}

/// How a line of the access log is written.
///
/// Each request has one line, when it has ended. A line is visible ASCII and spaces,
/// whatever a client sends. Further fields may be added at the end of a line or object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessLogFormat {
    /// The common log format, which many programs read, with two further fields.
    ///
    /// ```text
    /// 127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a HTTP/1.1" 200 2326 0.000211 -
    /// ```
    ///
    /// These are the client's IP address (`unix:` for a unix socket), two fields that are
    /// always `-`, the time of the request's first byte, the request line, the status of
    /// the answer, the size of the answer's body as far as it was sent, the seconds from
    /// the first byte of the request to the last of its answer, and the rate of the body
    /// in bytes a second. A `-` stands for an unknown value: the request line if the
    /// head was never complete, the status if there was no answer, the rate of a body of
    /// less than 1 MiB. In the request line a backslash is before a quote and a backslash, and
    /// each byte that is not visible ASCII is as `\x0d`.
    #[default]
    Common,
    /// A JSON object on one line.
    ///
    /// ```text
    /// {"time":"1994-11-06T08:49:37.000Z","client":"127.0.0.1","port":40012,"method":"GET","target":"/a","version":"HTTP/1.1","status":200,"outcome":"answered","request_bytes":81,"body_bytes":2326,"seconds":0.000211,"bytes_per_second":null}
    /// ```
    ///
    /// | field | type | |
    /// |---|---|---|
    /// | `time` | string or null | the arrival of the request's first byte, in UTC (RFC 3339); null outside of the years 1970 to 9999 |
    /// | `client` | string or null | the client's IP address; null for a unix socket |
    /// | `port` | number or null | the client's port; null for a unix socket |
    /// | `method`, `target`, `version` | string or null | the request line; null if the head was never complete. U+FFFD stands for bytes that are not UTF-8 |
    /// | `status` | number or null | the status of the answer; null if there was none |
    /// | `outcome` | string | how the request ended: a [`RequestOutcome`](crate::RequestOutcome) as in a [`Report`](crate::Report), with `_` for a blank |
    /// | `request_bytes` | number | the size of the request, head and framing included, as far as it was used |
    /// | `body_bytes` | number | the size of the answer's body, as far as it was sent |
    /// | `seconds` | number | from the first byte of the request to the last of its answer |
    /// | `bytes_per_second` | number or null | the rate of the answer's body; null for a body of less than 1 MiB |
    Json,
}

/// The longest timeout that is accepted. A longer one could overflow an
/// [`Instant`](std::time::Instant).
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest [`Config::body_buffer`].
pub(crate) const BODY_BUFFER_MAX: usize = 1 << 30;

impl Config {
    /// The defaults, but for tests of a service: a stop takes milliseconds, also if a
    /// client of the test keeps an idle connection open.
    ///
    /// | field | default | here | because |
    /// |---|---|---|---|
    /// | `last_call` | 500 ms | 10 ms | a test knows what it has sent before the stop |
    /// | `linger` | 2 s | 20 ms | a client in the same process reads at once, or not at all |
    /// | `workers` | 8 a core | 4 | each test starts a server, and its threads |
    ///
    /// All other fields have their defaults: a handler that hangs is cut after
    /// `drain_timeout`, 5 s. A stop is lossless as ever. But a client that does not close
    /// its side within 20 ms is counted as
    /// [`DeliveryUnconfirmed`](crate::ConnectionOutcome::DeliveryUnconfirmed) after a last
    /// answer, and a test of more than 4 handlers that wait for each other needs more
    /// workers.
    ///
    /// ```
    /// use farewell::{Config, Request, Server};
    ///
    /// let server = Server::bind("127.0.0.1:0", Config::for_tests())?;
    /// let stop = server.shutdown_handle();
    /// let server = server.spawn(|_: Request| "hello")?;
    /// // A client of the test connects to `server.local_addr()`.
    /// stop.shutdown();
    /// let report = server.join()?;
    /// assert!(report.all_answered(), "{report}");
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn for_tests() -> Self {
        Self {
            workers: 4,
            linger: Duration::from_millis(20),
            last_call: Duration::from_millis(10),
            ..Self::default()
        }
    }

    /// The number of shards.
    pub(crate) fn shards(&self) -> usize {
        #[cfg(feature = "internals")]
        if let Some(shards) = self.shards {
            return shards.max(1);
        }
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        cores.min(self.workers)
    }

    /// How many handlers may wait for the rest of their request body at a time:
    /// half of the workers. So any number of slow uploads leaves workers for other
    /// requests.
    pub(crate) fn uploads_max(&self) -> usize {
        (self.workers / 2).max(1)
    }

    /// Checks that every value is in its range.
    ///
    /// [`Server::bind`](crate::Server::bind) and
    /// [`from_listener`](crate::Server::from_listener) call it.
    ///
    /// # Errors
    ///
    /// An [`Error`] that names the first invalid field, what is wrong with it, and
    /// what is allowed.
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
            ("body_buffer", self.body_buffer, BODY_BUFFER_MAX),
        ] {
            check_count(field, value, max)?;
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
            check_timeout(field, value, may_be_zero)?;
        }
        if self.drain_timeout.is_zero() && !self.lame_duck.is_zero() {
            return Err(Error::config(
                "drain_timeout",
                "is zero, but lame_duck is not: the server would cut every request as soon as \
                 the lame duck ends; set both to zero, or neither",
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

pub(crate) fn check_count(field: &str, value: usize, max: usize) -> Result<(), Error> {
    match (1..=max).contains(&value) {
        true => Ok(()),
        false => Err(Error::config(
            field,
            format_args!("is {value}: it must be from 1 to {max}"),
        )),
    }
}

pub(crate) fn check_timeout(field: &str, value: Duration, may_be_zero: bool) -> Result<(), Error> {
    if value > DURATION_MAX {
        return Err(Error::config(field, "must be at most a year (365 days)"));
    }
    if value.is_zero() && !may_be_zero {
        return Err(Error::config(
            field,
            "must not be zero: every request would time out",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().unwrap();
        Config::for_tests().validate().unwrap();
    }

    #[test]
    fn an_invalid_value_is_named() {
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
        let one_is_zero = refused(|c| {
            c.lame_duck = Duration::from_secs(1);
            c.drain_timeout = Duration::ZERO;
        });
        assert!(one_is_zero.starts_with("drain_timeout is zero, but lame_duck is not"));
    }
}
