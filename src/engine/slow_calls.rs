//! Predicts which calls of the application's code wait.
//!
//! A worker hands off its job before a call that waits. This costs one wake-up, and
//! pays if the call waits for some ten microseconds or more. A call that computes for
//! as long needs its core in any case: a hand-off before it gains nothing, and costs a
//! wake-up and the order of the requests. So each route has two means: how long its
//! calls take, and how much of that time they wait. The waiting is measured only for
//! routes whose calls are long, and only for some calls of routes that are known to
//! wait.
//!
//! A route is a hash of its method and of its index in the
//! [`RouteTable`](crate::RouteTable), or of method and path if the handler has no such
//! table. The table of the means has a fixed size. Routes that share an entry share its
//! means. A wrong prediction costs a wake-up, or the time until the
//! [monitor](super::monitor) looks.

use std::time::Duration;
use std::time::Instant;

use http::Method;

use crate::lifecycle::report::UserCode;
use crate::message::route_match::Target;
use crate::net::os;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Relaxed;

/// How many entries the table has.
const ENTRIES: usize = 1024;

/// How much of a path is hashed, in bytes.
const PATH_BYTES: usize = 64;

/// The mean duration, in µs, above which the waiting is measured. Shorter calls cannot
/// wait for long.
const MAY_WAIT: u32 = 40;

/// The mean waiting, in µs, from which on a call is expected to wait. A wake-up costs
/// less time than the other connections of the shard would then wait.
const WAITS: u32 = 50;

/// The longest duration, in µs, that counts; a longer call counts as this long. So one
/// long call is forgotten after some tens of quick calls. The monitor bounds the cost
/// of a long call that was not expected.
const SAMPLE_MAX: u32 = 1000;

/// The mean of the durations is over about so many calls.
const DURATION_CALLS: u32 = 16;

/// The mean of the waiting is over about so many calls whose waiting was measured.
const WAITING_CALLS: u32 = 4;

/// If a route's calls are known to wait, a worker measures one call in so many.
const MEASURE_EVERY: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct SlowCalls {
    entries: Box<[AtomicU64]>,
}

/// Where in the table the means of a route are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallKey(u32);

impl CallKey {
    /// The key of the handler's call for this request.
    pub(crate) fn of_request(method: &Method, path: &str) -> Self {
        let method = method.as_str().as_bytes();
        let path = &path.as_bytes()[..path.len().min(PATH_BYTES)];
        Self(hash(hash(OFFSET, method), path))
    }

    /// The key of the handler's call for a request whose route is known.
    pub(crate) fn of_route(method: &Method, target: Target) -> Self {
        let (kind, index) = match target {
            Target::Server => (0, 0),
            Target::Endpoint(index) => (1, index),
            Target::BadParameter(index) => (2, index),
            Target::Area(index) => (3, index),
            Target::BadAreaParameter(index) => (4, index),
        };
        let method = hash(OFFSET, method.as_str().as_bytes());
        // One step for the index, which is small.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self((hash(method, &[kind]) ^ index).wrapping_mul(PRIME))
    }

    /// The key of other code that runs for the same request.
    pub(crate) fn for_code(self, code: UserCode) -> Self {
        Self(hash(self.0, &[code as u8]))
    }

    fn index(self) -> usize {
        let mixed = self.0 ^ (self.0 >> 15);
        mixed as usize % ENTRIES
    }
}

/// FNV-1a.
const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

fn hash(start: u32, bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(PRIME);
    bytes.iter().fold(start, step)
}

/// What is expected of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It returns at once.
    Quick,
    /// It takes some time, and usually does not wait.
    Long,
    /// It waits.
    Waits,
    /// Nothing is known: the route has had no call yet.
    Unknown,
}

impl Expected {
    /// Whether the waiting of the call is measured. `number` counts the calls of the
    /// worker.
    fn is_measured(self, number: u32) -> bool {
        match self {
            Self::Quick => false,
            Self::Waits => number.is_multiple_of(MEASURE_EVERY),
            Self::Long | Self::Unknown => true,
        }
    }
}

/// The means of one entry, in sixteenths of a µs. Both fit into one atomic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Means {
    /// The mean plus one. 0: there was no call yet.
    duration: u32,
    waiting: u32,
}

const UNIT: u32 = 16;

impl Means {
    fn unpack(packed: u64) -> Self {
        Self {
            duration: packed as u32,
            waiting: (packed >> 32) as u32,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.duration) | u64::from(self.waiting) << 32
    }

    fn expected(self) -> Expected {
        match self.duration {
            0 => Expected::Unknown,
            duration if duration <= MAY_WAIT * UNIT => Expected::Quick,
            _ if self.waiting < WAITS * UNIT => Expected::Long,
            _ => Expected::Waits,
        }
    }

    /// The means after one more call. Both times are in µs, and at most
    /// [`SAMPLE_MAX`].
    fn with(self, took: u32, waited: Option<u32>) -> Self {
        let Some(duration) = self.duration.checked_sub(1) else {
            return Self {
                duration: took * UNIT + 1,
                waiting: waited.unwrap_or(0) * UNIT,
            };
        };
        Self {
            duration: mean(duration, took, DURATION_CALLS) + 1,
            waiting: match waited {
                Some(waited) => mean(self.waiting, waited, WAITING_CALLS),
                None => self.waiting,
            },
        }
    }
}

/// Rounds down, so that the mean stays at zero while the samples are zero: such calls
/// write nothing.
fn mean(before: u32, sample: u32, calls: u32) -> u32 {
    before - before.div_ceil(calls) + sample * UNIT / calls
}

fn sample(time: Duration) -> u32 {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    micros.min(SAMPLE_MAX)
}

impl SlowCalls {
    pub(crate) fn new() -> Self {
        Self {
            entries: (0..ENTRIES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn expected(&self, key: CallKey) -> Expected {
        Means::unpack(self.entries[key.index()].load(Relaxed)).expected()
    }

    /// Adds a call. `waited` is how much of `took` the call waited, if that was
    /// measured.
    pub(crate) fn took(&self, key: CallKey, took: Duration, waited: Option<Duration>) {
        let entry = &self.entries[key.index()];
        // Two threads at once may lose a sample. The means need not be exact.
        let before = entry.load(Relaxed);
        let after = Means::unpack(before)
            .with(sample(took), waited.map(sample))
            .pack();
        if after != before {
            entry.store(after, Relaxed);
        }
    }
}

/// Measures how long a call takes. Measures also how long it waits, if that is worth
/// two system calls.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    began: Instant,
    usage: Option<os::ThreadUsage>,
}

impl Stopwatch {
    /// Starts with a call. `expected` is what is expected of it, and `number` is its
    /// number among the calls of the worker.
    pub(crate) fn start(expected: Expected, number: u32) -> Self {
        let usage = match expected.is_measured(number) {
            true => os::thread_usage(),
            false => None,
        };
        Self {
            began: Instant::now(),
            usage,
        }
    }

    /// Returns how long the call took, and how much of that time it waited.
    pub(crate) fn stop(self, ended: Instant) -> (Duration, Option<Duration>) {
        let took = ended.saturating_duration_since(self.began);
        let Some(before) = self.usage else {
            return (took, None);
        };
        let waited = os::thread_usage().map(|after| after.waited_since(before, took));
        (took, waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> CallKey {
        CallKey::of_request(&Method::GET, path)
    }

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// Makes a call as a worker does. Returns what was expected of it.
    fn call(calls: &SlowCalls, took: u64, waited: u64) -> Expected {
        call_of_number(0, calls, took, waited)
    }

    fn call_of_number(number: u32, calls: &SlowCalls, took: u64, waited: u64) -> Expected {
        let expected = calls.expected(key("/"));
        let waited = expected.is_measured(number).then_some(micros(waited));
        calls.took(key("/"), micros(took), waited);
        expected
    }

    /// How many such calls there are until `wanted` is expected.
    fn calls_until(wanted: Expected, calls: &SlowCalls, took: u64, waited: u64) -> u32 {
        let mut made = 0;
        while calls.expected(key("/")) != wanted {
            assert!(made < 1000, "never {wanted:?}");
            made += 1;
            call_of_number(made, calls, took, waited);
        }
        made
    }

    #[test]
    fn a_route_without_a_call_is_unknown() {
        assert_eq!(SlowCalls::new().expected(key("/")), Expected::Unknown);
    }

    #[test]
    fn a_route_that_is_quick_is_known_after_one_call() {
        let calls = SlowCalls::new();
        assert_eq!(call(&calls, 5, 0), Expected::Unknown);
        for _ in 0..100 {
            assert_eq!(call(&calls, 5, 0), Expected::Quick);
        }
        assert_eq!(calls.expected(key("/another")), Expected::Unknown);
    }

    #[test]
    fn a_quick_route_that_begins_to_wait_is_known_after_two_calls() {
        let calls = SlowCalls::new();
        call(&calls, 5, 0);
        assert_eq!(calls_until(Expected::Waits, &calls, 5000, 5000), 2);
    }

    #[test]
    fn one_long_call_among_quick_ones_is_forgotten() {
        let calls = SlowCalls::new();
        for _ in 0..100 {
            call(&calls, 5, 0);
        }
        call(&calls, 1_000_000, 1_000_000);
        assert_eq!(calls.expected(key("/")), Expected::Long);
        let until_quick = calls_until(Expected::Quick, &calls, 5, 0);
        assert!((1..50).contains(&until_quick), "{until_quick}");
    }

    #[test]
    fn a_route_that_no_longer_waits_is_known_after_some_quick_calls() {
        let calls = SlowCalls::new();
        for _ in 0..100 {
            call(&calls, 5000, 5000);
        }
        assert_eq!(calls.expected(key("/")), Expected::Waits);
        let until_quick = calls_until(Expected::Quick, &calls, 5, 0);
        assert!((1..100).contains(&until_quick), "{until_quick}");
    }

    #[test]
    fn a_route_that_waited_and_now_computes_is_known_after_some_tens_of_calls() {
        let calls = SlowCalls::new();
        for _ in 0..100 {
            call(&calls, 5000, 5000);
        }
        let until_long = calls_until(Expected::Long, &calls, 5000, 0);
        assert!((1..100).contains(&until_long), "{until_long}");
    }

    #[test]
    fn only_some_calls_are_measured_if_they_are_known_to_wait() {
        let measured = |expected: Expected| {
            let numbers = 0..MEASURE_EVERY;
            numbers
                .filter(|&number| expected.is_measured(number))
                .count()
        };
        assert_eq!(measured(Expected::Quick), 0);
        assert_eq!(measured(Expected::Waits), 1);
        assert_eq!(measured(Expected::Long), MEASURE_EVERY as usize);
        assert_eq!(measured(Expected::Unknown), MEASURE_EVERY as usize);
    }

    #[test]
    fn a_route_that_computes_is_never_expected_to_wait() {
        let calls = SlowCalls::new();
        assert_eq!(call(&calls, 5000, 0), Expected::Unknown);
        for _ in 0..100 {
            assert_eq!(call(&calls, 5000, 0), Expected::Long);
        }
    }

    #[test]
    fn a_call_that_waits_for_less_than_a_wake_up_costs_keeps_its_job() {
        let calls = SlowCalls::new();
        call(&calls, 45, 40);
        for _ in 0..100 {
            assert_eq!(call(&calls, 45, 40), Expected::Long);
        }
    }

    #[test]
    fn no_call_is_expected_to_wait_if_the_system_does_not_measure_it() {
        let calls = SlowCalls::new();
        for _ in 0..10 {
            calls.took(key("/"), micros(5000), None);
        }
        assert_eq!(calls.expected(key("/")), Expected::Long);
    }

    #[test]
    fn routes_differ_by_method_by_path_and_by_the_code_that_runs() {
        let get = key("/path");
        assert_eq!(get, key("/path"));
        assert_ne!(get, key("/other"));
        assert_ne!(get, CallKey::of_request(&Method::POST, "/path"));
        assert_ne!(get, get.for_code(UserCode::BodyPiece));
        let route = |index| CallKey::of_route(&Method::GET, Target::Endpoint(index));
        assert_eq!(route(1), route(1));
        assert_ne!(route(1), route(2));
        assert_ne!(
            route(1),
            CallKey::of_route(&Method::PUT, Target::Endpoint(1))
        );
        assert_ne!(route(1), CallKey::of_route(&Method::GET, Target::Area(1)));
        let long = format!("/{}", "x".repeat(PATH_BYTES));
        assert_eq!(key(&long), key(&(long.clone() + "y")));
    }

    #[test]
    fn quick_calls_that_change_no_mean_write_nothing() {
        let means = Means::default().with(0, None);
        assert_eq!(means.with(0, None), means);
        assert_eq!(means.expected(), Expected::Quick);
        for means in [means, means.with(SAMPLE_MAX, Some(SAMPLE_MAX))] {
            assert_eq!(Means::unpack(means.pack()), means);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_call_that_sleeps_has_waited_and_one_that_computes_has_not() {
        let time = Duration::from_millis(2);
        let stopwatch = Stopwatch::start(Expected::Waits, 0);
        std::thread::sleep(time);
        let (took, waited) = stopwatch.stop(Instant::now());
        assert!(took >= time);
        assert!(waited.unwrap() >= time / 2, "{waited:?} of {took:?}");

        let stopwatch = Stopwatch::start(Expected::Long, 1);
        let began = Instant::now();
        while began.elapsed() < time {
            std::hint::spin_loop();
        }
        let (took, waited) = stopwatch.stop(Instant::now());
        assert!(took >= time);
        assert_eq!(waited, Some(Duration::ZERO));

        let stopwatch = Stopwatch::start(Expected::Quick, 0);
        assert_eq!(stopwatch.stop(Instant::now()).1, None, "not measured");
    }
}
