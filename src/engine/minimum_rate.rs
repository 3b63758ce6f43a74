//! The minimum rate at which a client has to send or to read, as a number of bytes in
//! each period.

use std::time::Duration;
use std::time::Instant;

/// At least `quota` bytes in each `timeout`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MinimumRate {
    timeout: Duration,
    quota: u64,
}

impl MinimumRate {
    /// `rate_min` is in bytes a second. At least one byte is required in each `timeout`.
    pub(crate) fn new(timeout: Duration, rate_min: u64) -> Self {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let quota = rate_min.saturating_mul(millis) / 1000;
        Self {
            timeout,
            quota: quota.max(1),
        }
    }

    /// A meter whose first period begins now.
    pub(crate) fn start(self, now: Instant) -> RateMeter {
        RateMeter {
            minimum: self,
            until: now + self.timeout,
            moved: 0,
            not_waiting_since: Some(now),
        }
    }
}

/// Measures one client against a minimum rate. A period ends when its quota is met,
/// and the next one begins. Only the time in which the server waits for the client
/// counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateMeter {
    minimum: MinimumRate,
    until: Instant,
    moved: u64,
    not_waiting_since: Option<Instant>,
}

impl RateMeter {
    /// The client has sent or read so many bytes.
    pub(crate) fn moved(&mut self, bytes: usize, now: Instant) {
        self.moved += bytes as u64;
        if self.moved >= self.minimum.quota {
            *self = self.minimum.start(now);
        } else if self.not_waiting_since.is_none() {
            self.not_waiting_since = Some(now);
        }
    }

    /// The server waits for the client from now on. Returns the end of the period.
    pub(crate) fn wait(&mut self, now: Instant) -> Instant {
        if let Some(since) = self.not_waiting_since.take() {
            self.until += now.saturating_duration_since(since);
        }
        self.until
    }

    /// The server does not wait for the client from now on, although the client has moved
    /// nothing.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.not_waiting_since.get_or_insert(now);
    }

    /// Begins a new period, whatever the client has done so far.
    pub(crate) fn start_again(&mut self, now: Instant) {
        *self = self.minimum.start(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_period_ends_when_its_quota_is_met() {
        let start = Instant::now();
        let mut meter = MinimumRate::new(10 * SECOND, 100).start(start);
        assert_eq!(meter.wait(start), start + 10 * SECOND);
        meter.moved(999, start + 5 * SECOND);
        assert_eq!(meter.wait(start + 5 * SECOND), start + 10 * SECOND);
        meter.moved(1, start + 9 * SECOND);
        assert_eq!(meter.wait(start + 9 * SECOND), start + 19 * SECOND);
    }

    #[test]
    fn time_in_which_the_server_does_not_wait_does_not_count() {
        let start = Instant::now();
        let mut meter = MinimumRate::new(10 * SECOND, 100).start(start);
        assert_eq!(meter.wait(start + 60 * SECOND), start + 70 * SECOND);
        meter.moved(1, start + 65 * SECOND);
        assert_eq!(meter.wait(start + 95 * SECOND), start + 100 * SECOND);
        assert_eq!(meter.wait(start + 99 * SECOND), start + 100 * SECOND);
    }

    #[test]
    fn a_pause_does_not_count() {
        let start = Instant::now();
        let mut meter = MinimumRate::new(10 * SECOND, 100).start(start);
        assert_eq!(meter.wait(start), start + 10 * SECOND);
        meter.pause(start + 4 * SECOND);
        meter.pause(start + 50 * SECOND);
        assert_eq!(meter.wait(start + 60 * SECOND), start + 66 * SECOND);
    }

    #[test]
    fn without_a_rate_any_byte_will_do() {
        let start = Instant::now();
        let mut meter = MinimumRate::new(SECOND, 0).start(start);
        meter.wait(start);
        meter.moved(1, start + SECOND / 2);
        assert_eq!(meter.wait(start + SECOND / 2), start + SECOND * 3 / 2);
    }
}
