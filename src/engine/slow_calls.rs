//! Which calls of the application's code are expected to wait.
//!
//! A worker that is about to wait hands its job to another worker first: one
//! wake-up, which pays from some ten microseconds of waiting on. A call that
//! computes for as long needs its core either way: to hand off before it gains
//! nothing, and costs a wake-up and the order of the requests. So of each route
//! two means are kept: how long its calls take, and how much of that they wait.
//! The second is measured only where the first says that it may be much, and of
//! calls that are known to wait not each time.
//!
//! A route is a hash of method and path in a table of fixed size. Routes that
//! share an entry share its means: a wrong guess costs a wake-up, or a look of
//! the [monitor](super::monitor).

use std::time::Duration;
use std::time::Instant;

use http::Method;

use crate::lifecycle::report::UserCode;
use crate::net::os;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Relaxed;

/// How many entries the table has.
const ENTRIES: usize = 1024;

/// How much of a path is hashed, in bytes.
const PATH_BYTES: usize = 64;

/// From this mean on it is measured how much of a call is waiting, in µs. Where it
/// is less, the waiting is too.
const MAY_WAIT: u32 = 40;

/// From this mean on a call is expected to wait, in µs: then a wake-up before it
/// costs less than what the other connections of the shard would wait.
const WAITS: u32 = 50;

/// A longer call counts as one of this length, in µs, so that one of them is
/// forgotten after some tens of quick ones. What an unexpected one costs is
/// bounded by the monitor.
const SAMPLE_MAX: u32 = 1000;

/// The mean of the durations is over about so many calls.
const DURATION_CALLS: u32 = 16;

/// The mean of the waiting is over about so many calls that were measured.
const WAITING_CALLS: u32 = 4;

/// Where calls are known to wait, a worker measures one in so many.
const MEASURE_EVERY: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct SlowCalls {
    entries: Box<[AtomicU64]>,
}

/// Where the means of a route are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallKey(u32);

impl CallKey {
    /// The handler, for this request.
    pub(crate) fn of_request(method: &Method, path: &str) -> Self {
        let method = method.as_str().as_bytes();
        let path = &path.as_bytes()[..path.len().min(PATH_BYTES)];
        Self(hash(hash(OFFSET, method), path))
    }

    /// Other code that runs for a request of this key.
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

fn hash(start: u32, bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(start, step)
}

/// What is expected of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It returns at once.
    Quick,
    /// It takes some time, and does not wait as a rule.
    Long,
    /// It waits.
    Waits,
    /// It may do anything: there has been none yet.
    Unknown,
}

impl Expected {
    /// Whether it is measured how much of the call is waiting. `number` counts the
    /// calls of the worker.
    fn is_measured(self, number: u32) -> bool {
        match self {
            Self::Quick => false,
            Self::Waits => number.is_multiple_of(MEASURE_EVERY),
            Self::Long | Self::Unknown => true,
        }
    }
}

/// The means of one entry, in sixteenths of a µs. Together they fit an atomic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Means {
    /// One more than it is: an entry of zeros has had no call.
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

    /// With one more call; both times in µs, at most [`SAMPLE_MAX`].
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

/// A mean of zero stays zero as long as the samples are, so quick calls write
/// nothing.
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

    /// A call took so long, and waited so much of that, if that was measured.
    pub(crate) fn took(&self, key: CallKey, took: Duration, waited: Option<Duration>) {
        let entry = &self.entries[key.index()];
        // Two threads at once may lose a sample: it is an expectation.
        let before = entry.load(Relaxed);
        let after = Means::unpack(before)
            .with(sample(took), waited.map(sample))
            .pack();
        if after != before {
            entry.store(after, Relaxed);
        }
    }
}

/// Measures how long a call takes, and how much of it is waiting, where that is
/// worth the two system calls.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    began: Instant,
    usage: Option<os::ThreadUsage>,
}

impl Stopwatch {
    /// Starts with a call of which this is expected, and which is of this number
    /// among those of the worker.
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

    /// How long it took, and how much of that was waiting.
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

    /// A call of this duration as a worker makes it; says what was expected of it.
    fn call(calls: &SlowCalls, took: u64, waited: u64) -> Expected {
        call_of_number(0, calls, took, waited)
    }

    fn call_of_number(number: u32, calls: &SlowCalls, took: u64, waited: u64) -> Expected {
        let expected = calls.expected(key("/"));
        let waited = expected.is_measured(number).then_some(micros(waited));
        calls.took(key("/"), micros(took), waited);
        expected
    }

    /// How many such calls it takes until this is expected.
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
    fn of_a_route_without_a_call_nothing_is_known() {
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
    fn a_route_that_waits_no_more_is_forgotten_after_some_quick_calls() {
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
    fn where_calls_are_known_to_wait_only_some_are_measured() {
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
    fn where_the_system_does_not_tell_no_call_is_expected_to_wait() {
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
