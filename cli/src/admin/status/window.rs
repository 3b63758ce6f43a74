//! Rates and latencies of the last seconds, by the difference of two readings of the
//! totals.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use farewell::Durations;
use farewell::Totals;
use serde_json::Value;
use serde_json::json;

/// The time over which rates are averaged: short enough that the end of the load is seen at
/// once.
const RATE_SPAN: Duration = Duration::from_secs(2);

/// The time whose requests the latencies are of: long enough for some requests.
const LATENCY_SPAN: Duration = Duration::from_secs(10);

/// The most readings that are kept. A ticker that is late has fewer.
const READINGS_MAX: usize = 64;

/// The readings of the last seconds, from the oldest.
#[derive(Default)]
pub(super) struct Window {
    readings: VecDeque<Reading>,
}

/// The totals at a moment, as far as they are shown as rates and latencies.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    at: Instant,
    requests: u64,
    received_bytes: u64,
    sent_bytes: u64,
    /// Each upper bound, with the number of requests that took at most so long.
    within: Vec<(Duration, u64)>,
}

impl Reading {
    pub(super) fn of(totals: &Totals, at: Instant) -> Self {
        let durations = totals.durations();
        Self::new(at, &durations, totals.received_bytes, totals.sent_bytes)
    }

    fn new(at: Instant, durations: &Durations, received_bytes: u64, sent_bytes: u64) -> Self {
        Self {
            at,
            requests: durations.count(),
            received_bytes,
            sent_bytes,
            within: durations.buckets().collect(),
        }
    }
}

impl Window {
    pub(super) fn clear(&mut self) {
        self.readings.clear();
    }

    pub(super) fn add(&mut self, reading: Reading) {
        // The reading before the span is its start.
        let is_over =
            |second: &Reading| reading.at.saturating_duration_since(second.at) >= LATENCY_SPAN;
        while self.readings.len() >= READINGS_MAX || self.readings.get(1).is_some_and(is_over) {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    /// The newest reading, and the one that is a span older, or the oldest.
    fn last(&self, span: Duration) -> Option<(&Reading, &Reading)> {
        let newest = self.readings.back()?;
        let is_within =
            |reading: &&Reading| newest.at.saturating_duration_since(reading.at) <= span;
        let first = self.readings.iter().find(is_within)?;
        (first.at < newest.at).then_some((first, newest))
    }

    /// `null` until there are two readings.
    pub(super) fn rates(&self) -> Value {
        let Some((first, last)) = self.last(RATE_SPAN) else {
            return Value::Null;
        };
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        json!({
            "requests_per_second": rate(first.requests, last.requests),
            "received_bytes_per_second": rate(first.received_bytes, last.received_bytes),
            "sent_bytes_per_second": rate(first.sent_bytes, last.sent_bytes),
            "over_seconds": seconds,
        })
    }

    /// How long the requests took that ended in the span: upper bounds of the median and of
    /// the 99th percentile. `null` until there are two readings.
    pub(super) fn latency(&self) -> Value {
        let Some((first, last)) = self.last(LATENCY_SPAN) else {
            return Value::Null;
        };
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        let bound = |share| match quantile(first, last, share) {
            Some(Bound::AtMost(bound)) => json!({ "at_most_seconds": bound.as_secs_f64() }),
            Some(Bound::Above(bound)) => json!({ "above_seconds": bound.as_secs_f64() }),
            None => Value::Null,
        };
        json!({
            "requests": last.requests.saturating_sub(first.requests),
            "p50": bound(0.5),
            "p99": bound(0.99),
            "over_seconds": seconds,
        })
    }
}

/// What the buckets of a histogram say of a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    AtMost(Duration),
    /// It is in the bucket without an upper bound.
    Above(Duration),
}

/// The bound of the bucket in which this share of the requests is reached that ended
/// between the readings. `None` if there were none.
fn quantile(first: &Reading, last: &Reading, share: f64) -> Option<Bound> {
    let requests = last.requests.saturating_sub(first.requests);
    if requests == 0 {
        return None;
    }
    let wanted = (requests as f64 * share).ceil() as u64;
    let pairs = first.within.iter().zip(&last.within);
    let mut within = pairs.map(|(first, last)| (last.0, last.1.saturating_sub(first.1)));
    let found = within.find(|(_, count)| *count >= wanted);
    Some(match found {
        Some((bound, _)) => Bound::AtMost(bound),
        None => Bound::Above(
            last.within
                .last()
                .map_or(Duration::ZERO, |(bound, _)| *bound),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// A reading with so many requests of each of these durations since the start.
    fn reading(at: Instant, requests: &[(u64, Duration)]) -> Reading {
        let bounds = [1, 10, 100].map(|bound| bound * MILLISECOND);
        let count = |bound: Duration| {
            let within = requests.iter().filter(|(_, duration)| *duration <= bound);
            within.map(|(count, _)| count).sum()
        };
        let total = requests.iter().map(|(count, _)| count).sum();
        Reading {
            at,
            requests: total,
            received_bytes: 10 * total,
            sent_bytes: 1000 * total,
            within: bounds.map(|bound| (bound, count(bound))).to_vec(),
        }
    }

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_that_reaches_it() {
        let now = Instant::now();
        let none = reading(now, &[]);
        let of =
            |requests: &[(u64, Duration)], share| quantile(&none, &reading(now, requests), share);
        let at_most = |bound: u32| Some(Bound::AtMost(bound * MILLISECOND));
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[(1, MILLISECOND)], 0.99), at_most(1));
        let mixed = [
            (50, MILLISECOND),
            (49, 5 * MILLISECOND),
            (1, 50 * MILLISECOND),
        ];
        assert_eq!(of(&mixed, 0.5), at_most(1));
        assert_eq!(of(&mixed, 0.51), at_most(10));
        assert_eq!(of(&mixed, 0.99), at_most(10));
        assert_eq!(of(&mixed, 1.0), at_most(100));
        let slow = [(1, MILLISECOND), (9, 500 * MILLISECOND)];
        assert_eq!(of(&slow, 0.5), Some(Bound::Above(100 * MILLISECOND)));
    }

    #[test]
    fn rates_and_latencies_are_those_of_the_last_seconds() {
        let start = Instant::now();
        let mut window = Window::default();
        assert_eq!(
            (window.rates(), window.latency()),
            (Value::Null, Value::Null)
        );
        for tick in 0..=60 {
            let at = start + tick * Duration::from_millis(500);
            // 10 slow requests a second in the first 20 seconds, and 100 quick ones later.
            let slow = 5 * u64::from(tick.min(40));
            let quick = 50 * u64::from(tick.saturating_sub(40));
            window.add(reading(
                at,
                &[(slow, 50 * MILLISECOND), (quick, MILLISECOND)],
            ));
            if tick == 1 {
                assert_eq!(window.rates()["over_seconds"], 0.5);
                assert_eq!(window.rates()["requests_per_second"], 10.0);
            }
            if tick == 41 {
                assert_eq!(window.latency()["p99"]["at_most_seconds"], 0.1);
            }
        }
        let rates = window.rates();
        assert_eq!(rates["requests_per_second"], 100.0);
        assert_eq!(rates["received_bytes_per_second"], 1_000.0);
        assert_eq!(rates["sent_bytes_per_second"], 100_000.0);
        assert_eq!(rates["over_seconds"], 2.0);
        let latency = window.latency();
        assert_eq!(latency["requests"], 1000);
        assert_eq!(latency["p99"]["at_most_seconds"], 0.001);
        assert_eq!(latency["over_seconds"], 10.0);
        assert!(window.readings.len() <= 22, "{}", window.readings.len());
    }

    #[test]
    fn without_requests_there_is_no_latency() {
        let start = Instant::now();
        let mut window = Window::default();
        window.add(reading(start, &[(5, MILLISECOND)]));
        window.add(reading(start + MILLISECOND, &[(5, MILLISECOND)]));
        assert_eq!(window.latency()["requests"], 0);
        assert_eq!(window.latency()["p50"], Value::Null);
        assert_eq!(window.rates()["requests_per_second"], 0.0);
    }
}
