//! How long a connection that the server has half-closed waits for the client to
//! close its side (RFC 9112 section 9.6).
//!
//! The client may still be sending: many clients read an early answer only after they
//! have sent the whole request. A close before that would reset the connection and
//! destroy the answer. So the server reads and discards what the client sends, as
//! long as the client sends at the minimum rate. `linger` bounds the silence, and
//! `linger_max` the whole wait.

use std::time::Duration;
use std::time::Instant;

use super::minimum_rate::MinimumRate;
use super::minimum_rate::RateMeter;
use crate::config::Config;

/// The wait of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linger {
    began: Instant,
    minimum_rate: RateMeter,
    /// The longest wait, if it begins after an abort.
    linger: Duration,
    /// The longest wait otherwise.
    linger_max: Duration,
}

impl Linger {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            began: now,
            minimum_rate: MinimumRate::new(config.linger, config.rate_min).start(now),
            linger: config.linger,
            linger_max: config.linger_max,
        }
    }

    /// The client has sent so many bytes.
    pub(crate) fn received(&mut self, bytes: usize, now: Instant) {
        self.minimum_rate.moved(bytes, now);
    }

    /// When the wait ends, unless the client sends enough before that. `aborted` is
    /// the time of an abort, if there was one.
    ///
    /// An abort ends the waits that began before it. An answer that is written after
    /// it (a 503) has `linger` to arrive.
    pub(crate) fn until(&mut self, now: Instant, aborted: Option<Instant>) -> Instant {
        let until = self.minimum_rate.wait(now);
        match aborted {
            None => until.min(self.began + self.linger_max),
            Some(at) if self.began < at => at,
            Some(_) => until.min(self.began + self.linger),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn linger(start: Instant) -> Linger {
        let config = Config {
            linger: 2 * SECOND,
            linger_max: 30 * SECOND,
            rate_min: 1000,
            ..Config::default()
        };
        Linger::new(&config, start)
    }

    #[test]
    fn silence_is_bounded() {
        let start = Instant::now();
        let mut linger = linger(start);
        assert_eq!(linger.until(start, None), start + 2 * SECOND);
        linger.received(100, start + SECOND);
        assert_eq!(linger.until(start + SECOND, None), start + 2 * SECOND);
    }

    #[test]
    fn an_abort_ends_a_wait_that_began_before_it() {
        let start = Instant::now();
        let mut before = linger(start);
        let aborted = start + SECOND;
        assert_eq!(before.until(aborted, Some(aborted)), aborted);
        let mut after = linger(aborted);
        after.received(10_000, aborted + SECOND);
        let until = after.until(aborted + SECOND, Some(aborted));
        assert_eq!(until, aborted + 2 * SECOND);
    }

    #[test]
    fn a_client_that_keeps_sending_extends_the_wait() {
        let start = Instant::now();
        let mut linger = linger(start);
        for second in 1..40 {
            let now = start + second * SECOND;
            linger.received(2000, now);
            let until = (now + 2 * SECOND).min(start + 30 * SECOND);
            assert_eq!(linger.until(now, None), until);
        }
    }
}
