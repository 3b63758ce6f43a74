//! The value of the field `Date` (RFC 9110 section 6.6.1).

use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use httpdate::HttpDate;

/// The value of `Date`, formatted once a second.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    text: String,
    /// When the second of `text` is over.
    until: Option<Instant>,
}

/// 9999-12-31T23:59:59Z, in seconds since 1970: the last second that has an
/// IMF-fixdate (RFC 9110 section 5.6.7), and the last that httpdate accepts.
pub(crate) const LAST_DATE: u64 = 253_402_300_799;

impl DateClock {
    /// `None` if the system's clock is beyond the year 9999.
    pub(crate) fn at(&mut self, now: Instant) -> Option<&str> {
        if self.until.is_none_or(|until| now >= until) {
            self.read(now, SystemTime::now());
        }
        (!self.text.is_empty()).then_some(self.text.as_str())
    }

    fn read(&mut self, now: Instant, clock: SystemTime) {
        // A clock that is set before 1970 shows 1970.
        let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = Duration::from_secs(since.as_secs());
        self.text.clear();
        if second.as_secs() <= LAST_DATE {
            let date = HttpDate::from(UNIX_EPOCH + second);
            write!(self.text, "{date}").expect("a String takes every write");
        }
        self.until = Some(now + Duration::from_secs(1) - (since - second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(clock: SystemTime) -> Option<String> {
        let (mut date, now) = (DateClock::default(), Instant::now());
        date.read(now, clock);
        date.at(now).map(str::to_owned)
    }

    #[test]
    fn a_clock_without_a_date_gives_none() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let last = date(after(LAST_DATE) + Duration::from_millis(999));
        assert_eq!(last.as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(date(after(LAST_DATE + 1)), None);
        assert_eq!(date(after(u64::from(u32::MAX) * 1000)), None);
        let early = date(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(early.as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
}
