//! How long a connection that we have half-closed waits for the client to close
//! its side (RFC 9112 section 9.6).
//!
//! A client may still be sending: one that gets its answer early reads it only
//! when it has sent its whole request. If we closed before that, the reset would
//! destroy the answer. So as long as the client sends at the least rate, what it
//! sends is read and discarded; silence is bounded by `linger`, and the whole by
//! `linger_max`.

use std::time::Duration;
use std::time::Instant;

use crate::config::Config;
use crate::pace::Pace;
use crate::pace::Rule;

/// One connection's wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linger {
    began: Instant,
    pace: Pace,
    /// If it begins after an abort: no longer than this in all.
    linger: Duration,
    /// Otherwise no longer than this.
    linger_max: Duration,
}

impl Linger {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            began: now,
            pace: Rule::new(config.linger, config.rate_min).start(now),
            linger: config.linger,
            linger_max: config.linger_max,
        }
    }

    /// The client has sent so many bytes.
    pub(crate) fn received(&mut self, bytes: usize, now: Instant) {
        self.pace.moved(bytes, now);
    }

    /// When to give up, unless the client sends enough before that. `aborted`: when
    /// the server began to cut what is left, if it has.
    ///
    /// An abort ends every wait that had begun. An answer that is given after it
    /// (a 503) has `linger` to arrive.
    pub(crate) fn until(&mut self, now: Instant, aborted: Option<Instant>) -> Instant {
        let until = self.pace.wait(now);
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
    fn an_abort_ends_what_had_begun_before_it() {
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
    fn a_client_that_keeps_sending_is_read_for_longer() {
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
