//! Whether a client keeps up: so many bytes in each stretch of time.

use std::time::Duration;
use std::time::Instant;

/// The rule: `quota` bytes in each `timeout`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    timeout: Duration,
    quota: u64,
}

impl Rule {
    /// At this rate in bytes a second; a byte at least.
    pub(crate) fn new(timeout: Duration, rate_min: u64) -> Self {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let quota = rate_min.saturating_mul(millis) / 1000;
        Self {
            timeout,
            quota: quota.max(1),
        }
    }

    pub(crate) fn start(self, now: Instant) -> Pace {
        Pace {
            rule: self,
            until: now + self.timeout,
            moved: 0,
        }
    }
}

/// One client's way along a rule. A stretch ends when its quota is met, and
/// another begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rule: Rule,
    until: Instant,
    moved: u64,
}

impl Pace {
    pub(crate) fn moved(&mut self, bytes: usize, now: Instant) {
        self.moved += bytes as u64;
        if self.moved >= self.rule.quota {
            *self = self.rule.start(now);
        }
    }

    /// What has been in the way is not the client's fault.
    pub(crate) fn start_again(&mut self, now: Instant) {
        *self = self.rule.start(now);
    }

    /// When the client is too slow.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stretch_ends_when_its_quota_is_met() {
        let start = Instant::now();
        let mut pace = Rule::new(10 * SECOND, 100).start(start);
        pace.moved(999, start + 5 * SECOND);
        assert_eq!(pace.until(), start + 10 * SECOND);
        pace.moved(1, start + 9 * SECOND);
        assert_eq!(pace.until(), start + 19 * SECOND);
        assert!(!pace.is_over(start + 18 * SECOND));
        assert!(pace.is_over(start + 19 * SECOND));
    }

    #[test]
    fn without_a_rate_any_byte_will_do() {
        let start = Instant::now();
        let mut pace = Rule::new(SECOND, 0).start(start);
        pace.moved(1, start + SECOND / 2);
        assert_eq!(pace.until(), start + SECOND * 3 / 2);
    }
}
