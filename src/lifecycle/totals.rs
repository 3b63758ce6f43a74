//! The [`Totals`] of a server: what has happened since its start.

use std::array;
use std::collections::BTreeMap;
use std::time::Duration;

use super::outcome::ConnectionOutcome;
use super::outcome::RequestOutcome;
use super::outcome::Tally;
use super::stop_timings::StopTimings;

/// What a server has done since its start, as
/// [`Metrics::totals`](crate::Metrics::totals) gives it. The counts only grow.
///
/// A request counts when it ends. What is in progress is in [`Counts`](crate::Counts).
///
/// The numbers are read one after another while the server works, so under load they
/// may not fit each other exactly. When the server has stopped, they do: `requests`,
/// the classes of statuses and the durations have the same total, and `connections`
/// and `requests` are those of the [`Report`](crate::Report).
///
/// ```
/// # use std::io::{Read, Write};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use farewell::{Config, RequestOutcome, Server};
///
/// let server = Server::bind("127.0.0.1:0", Config::default())?;
/// let metrics = server.metrics();
/// let spawned = server.spawn(|_: farewell::Request| "hello\n")?;
/// # let mut client = std::net::TcpStream::connect(spawned.local_addr())?;
/// # client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
/// # client.read_to_end(&mut Vec::new())?;
/// # drop(client);
/// // … after one request, `GET /`:
/// spawned.shutdown_handle().shutdown();
/// let report = spawned.join()?;
/// let totals = metrics.totals();
/// assert_eq!(totals.requests.count(RequestOutcome::Answered), 1);
/// assert_eq!(totals.statuses[&200], 1);
/// assert_eq!(totals.durations().count(), 1);
/// assert_eq!(totals.requests, report.requests);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Connections accepted.
    pub accepted: u64,
    /// The outcomes of the connections that have ended.
    pub connections: Tally<ConnectionOutcome>,
    /// Requests begun: their first byte was read.
    pub begun: u64,
    /// The outcomes of the requests that have ended.
    pub requests: Tally<RequestOutcome>,
    /// The requests that have ended, by the status of their answer. It has only
    /// statuses that have occurred. An answer may have been incomplete: `requests`
    /// tells that.
    pub statuses: BTreeMap<u16, u64>,
    /// The requests that have ended, by route. The first entry is for requests without
    /// a route, and the only one if the handler has no routes.
    pub routes: Vec<RouteTotals>,
    /// The requests that have ended, by method: `GET`, `HEAD`, `POST`, `PUT`, `DELETE`,
    /// `OPTIONS`, `PATCH`, `CONNECT`, `TRACE`, and `other` for every other method and for
    /// requests whose head was not complete or not valid. It always has all of these.
    pub methods: BTreeMap<&'static str, u64>,
    /// How many requests the server itself has rejected, by the reason. It always has
    /// every reason:
    ///
    /// | reason | status | |
    /// |---|---|---|
    /// | `malformed` | 400 | it was not valid HTTP |
    /// | `head_timeout` | 408 | [`Config::head_timeout`](crate::Config::head_timeout) |
    /// | `body_timeout` | 408 | [`Config::body_timeout`](crate::Config::body_timeout) |
    /// | `body_too_large` | 413 | [`Config::body_bytes_max`](crate::Config::body_bytes_max), or the limit of the route |
    /// | `target_too_long` | 414 | [`Config::target_bytes_max`](crate::Config::target_bytes_max) |
    /// | `expectation` | 417 | its `Expect` was not `100-continue` |
    /// | `misdirected` | 421 | its target was `https` |
    /// | `too_many_connections` | 429 | [`Config::connections_per_peer`](crate::Config::connections_per_peer) |
    /// | `head_too_large` | 431 | its head or its trailers |
    /// | `not_supported` | 501 | its method, or the coding of its body |
    /// | `version` | 505 | its version of HTTP |
    /// | `too_many_uploads` | 503 | it waited too long behind slow uploads |
    /// | `stopping` | 503 | the server cut what was left, and no handler had started it |
    ///
    /// A rejection counts when it is decided. The client may be gone before it is written,
    /// and then the outcome of the request is another.
    pub rejections: BTreeMap<&'static str, u64>,
    /// How many handlers have panicked, including the layers around them.
    pub handler_panics: u64,
    /// How long requests waited for a worker: from when the server found that the rest of
    /// the request had arrived, to the call of the handler. Each request that came to a
    /// worker for that is counted once.
    ///
    /// The server finds requests when it asks the kernel, and while all workers are busy
    /// it does so every 10 ms. The time before that is not included.
    pub queued: Durations,
    /// Bytes of the requests that have ended: as much of their heads and bodies as was
    /// read, with the framing of the chunks. Bytes that a connection receives after it
    /// was upgraded are not counted.
    pub received_bytes: u64,
    /// Bytes of their answers: heads, and as much of the bodies as was written, with
    /// the framing of the chunks. Bytes that an upgraded connection sends after its
    /// head are not counted.
    pub sent_bytes: u64,
    /// How far the stop is. `None` until the server is asked to stop.
    pub stop: Option<StopTimings>,
}

impl Totals {
    /// The durations of the requests of all routes.
    pub fn durations(&self) -> Durations {
        let mut durations = Durations::default();
        for route in &self.routes {
            durations.add(&route.durations);
        }
        durations
    }
}

/// The number of classes of statuses. A handler may use any status up to 999.
pub(crate) const STATUS_CLASSES: usize = 10;

/// The requests of one route that have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteTotals {
    /// The route, as it was given to the [`Router`](crate::Router), such as
    /// `/users/{id}`. `None` for requests without a route. It is never a path that a
    /// client has sent.
    pub route: Option<String>,
    /// How many got an answer of each class of statuses: the count of 2xx has the
    /// index 2. Index 0 has the count of those that ended before they had an answer.
    pub status_classes: [u64; STATUS_CLASSES],
    /// How long they took.
    pub durations: Durations,
}

impl RouteTotals {
    pub(crate) fn new(route: Option<String>) -> Self {
        Self {
            route,
            status_classes: [0; STATUS_CLASSES],
            durations: Durations::default(),
        }
    }

    /// Each class that has occurred, or that is usual, with its name and count.
    #[cfg(any(feature = "serde", feature = "metrics"))]
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        const NAMES: [&str; STATUS_CLASSES] = [
            "none", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx",
        ];
        let classes = NAMES.into_iter().zip(self.status_classes).enumerate();
        classes
            .filter_map(|(index, class)| (class.1 > 0 || (2..=5).contains(&index)).then_some(class))
    }
}

/// The upper bounds of the buckets, in nanoseconds.
const BOUNDS: [u64; BUCKETS - 1] = {
    const MICROSECOND: u64 = 1_000;
    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;
    [
        100 * MICROSECOND,
        250 * MICROSECOND,
        500 * MICROSECOND,
        MILLISECOND,
        2 * MILLISECOND + 500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        50 * MILLISECOND,
        100 * MILLISECOND,
        250 * MILLISECOND,
        500 * MILLISECOND,
        SECOND,
        2 * SECOND + 500 * MILLISECOND,
        5 * SECOND,
        10 * SECOND,
        30 * SECOND,
    ]
};

/// The number of buckets. The last has no upper bound.
pub(crate) const BUCKETS: usize = 18;

/// Durations of requests, as a histogram with fixed buckets.
///
/// In [`RouteTotals::durations`], from the first byte of a request to the last byte of its
/// answer, as the server sees them. The time in which the kernel takes the last piece of
/// the answer from the server is not included, nor the time until the client receives
/// it. For a request that is upgraded, the last piece is the head.
///
/// In [`Totals::queued`], the time in which a request waits for a worker.
///
/// The upper bounds are 100 µs, 250 µs, 500 µs, and so on in the same steps to 10 s, and
/// 30 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    buckets: [u64; BUCKETS],
    sum: Duration,
}

impl Durations {
    pub(crate) fn new(buckets: [u64; BUCKETS], sum: Duration) -> Self {
        Self { buckets, sum }
    }

    /// The index of the bucket for a duration. As a rule requests are short.
    pub(crate) fn bucket(nanoseconds: u64) -> usize {
        let bucket = BOUNDS.iter().position(|&bound| nanoseconds <= bound);
        bucket.unwrap_or(BUCKETS - 1)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.buckets = array::from_fn(|index| self.buckets[index] + other.buckets[index]);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many requests.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of their durations.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each upper bound, from the least, with the number of requests that took at most
    /// so long. Requests that took longer than the last bound are in
    /// [`count`](Self::count) alone.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut within = 0;
        let counted = BOUNDS.iter().zip(self.buckets);
        counted.map(move |(&bound, count)| {
            within += count;
            (Duration::from_nanos(bound), within)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_includes_its_upper_bound() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        for (index, &bound) in BOUNDS.iter().enumerate() {
            assert_eq!(Durations::bucket(bound), index);
            assert_eq!(Durations::bucket(bound + 1), index + 1);
        }
        assert_eq!(Durations::bucket(0), 0);
        assert_eq!(Durations::bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn buckets_count_all_that_took_at_most_their_bound() {
        let mut counts = [0; BUCKETS];
        counts[0] = 2;
        counts[1] = 3;
        counts[BUCKETS - 1] = 4;
        let durations = Durations::new(counts, Duration::from_secs(200));
        let buckets: Vec<_> = durations.buckets().collect();
        assert_eq!(buckets[0], (Duration::from_micros(100), 2));
        assert_eq!(buckets[1], (Duration::from_micros(250), 5));
        assert_eq!(buckets[BUCKETS - 2], (Duration::from_secs(30), 5));
        assert_eq!(durations.count(), 9);
        let mut twice = durations.clone();
        twice.add(&durations);
        assert_eq!(twice.count(), 18);
        assert_eq!(twice.sum(), Duration::from_secs(400));
    }
}
