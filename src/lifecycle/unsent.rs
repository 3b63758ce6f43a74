//! How much is left to send, and how long that is likely to take.

use std::fmt;
use std::time::Duration;

use super::byte_size::ByteSize;

/// What the responses in progress still have to send, and how long that is likely to
/// take: [`ShutdownHandle::unsent`](crate::ShutdownHandle::unsent).
///
/// Its [`Display`](fmt::Display) form is for people, as in `4.9 GiB to send (about
/// 12 s)` and `4.9 GiB to send (about 2 min, probably not before the deadline)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent {
    /// As [`Counts::response_bytes_left`](crate::Counts::response_bytes_left).
    pub bytes: u64,
    /// The time in which these bytes are sent at the rate of all responses since the
    /// drain began, at most a year. `None` if it is not known: there is no drain, it
    /// began less than 1 s ago, nothing was sent since then, or nothing is left.
    ///
    /// A client that reads more slowly than the others takes longer.
    pub likely_time: Option<Duration>,
    /// The time until the server cuts what is left. `None` before the trigger, and in
    /// an abort.
    pub time_to_deadline: Option<Duration>,
}

/// The shortest time over which a rate says something.
const MEASURED_MIN: Duration = Duration::from_secs(1);

/// A longer time is shown as this one.
const LIKELY_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

impl Unsent {
    /// `sent` bytes were sent in the time `measured`.
    pub(super) fn with_rate(mut self, sent: u64, measured: Duration) -> Self {
        if self.bytes > 0 && sent > 0 && measured >= MEASURED_MIN {
            let rate = sent as f64 / measured.as_secs_f64();
            let seconds = self.bytes as f64 / rate;
            self.likely_time = Some(match seconds < LIKELY_MAX.as_secs_f64() {
                true => Duration::from_secs_f64(seconds),
                false => LIKELY_MAX,
            });
        }
        self
    }

    /// Whether the server will probably cut some of it at the deadline. `false` while
    /// that is not known.
    pub fn is_likely_cut(&self) -> bool {
        match (self.likely_time, self.time_to_deadline) {
            (Some(likely), Some(deadline)) => likely > deadline,
            _ => false,
        }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to send", ByteSize(self.bytes))?;
        let Some(likely) = self.likely_time else {
            return Ok(());
        };
        write!(f, " (about {}", About(likely))?;
        if self.is_likely_cut() {
            f.write_str(", probably not before the deadline")?;
        }
        f.write_str(")")
    }
}

/// A time that is only estimated, in one unit. Rounded up.
struct About(Duration);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0);
        match seconds {
            ..=119 => write!(f, "{} s", seconds.max(1)),
            120..=7199 => write!(f, "{} min", seconds.div_ceil(60)),
            7200..=172_799 => write!(f, "{} h", seconds.div_ceil(3600)),
            _ => write!(f, "{} days", seconds.div_ceil(24 * 3600)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(bytes: u64, sent: u64, measured: u64, deadline: u64) -> Unsent {
        Unsent {
            bytes,
            likely_time: None,
            time_to_deadline: Some(Duration::from_secs(deadline)),
        }
        .with_rate(sent, Duration::from_secs(measured))
    }

    #[test]
    fn the_likely_time_follows_from_the_rate_and_is_compared_with_the_deadline() {
        let in_time = unsent(10 << 20, 5 << 20, 2, 5);
        assert_eq!(in_time.likely_time, Some(Duration::from_secs(4)));
        assert!(!in_time.is_likely_cut());
        assert_eq!(in_time.to_string(), "10.0 MiB to send (about 4 s)");
        let too_late = unsent(10 << 20, 1 << 20, 60, 5);
        assert!(too_late.is_likely_cut());
        assert_eq!(
            too_late.to_string(),
            "10.0 MiB to send (about 10 min, probably not before the deadline)"
        );
    }

    #[test]
    fn a_time_that_is_not_known_is_not_shown() {
        for unknown in [unsent(100, 0, 60, 5), unsent(100, 100, 0, 5)] {
            assert_eq!(unknown.likely_time, None);
            assert!(!unknown.is_likely_cut());
            assert_eq!(unknown.to_string(), "100 B to send");
        }
        assert_eq!(unsent(0, 100, 60, 5).to_string(), "0 B to send");
    }

    #[test]
    fn no_time_is_absurd() {
        let years = unsent(u64::MAX, 1, 1, 5);
        assert_eq!(years.likely_time, Some(LIKELY_MAX));
        assert!(years.to_string().contains("(about 365 days, "), "{years}");
        let instant = unsent(1, u64::MAX, 1, 5);
        assert_eq!(instant.to_string(), "1 B to send (about 1 s)");
        for (seconds, text) in [
            (119, "119 s"),
            (121, "3 min"),
            (7200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(About(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}
