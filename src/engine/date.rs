//! The field `Date` (RFC 9110 section 6.6.1).

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use httpdate::HttpDate;

use crate::http1::encode;
use crate::http1::encode::LAST_DATE;

/// The line of the field `Date`, formatted once a second.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    line: String,
    /// When the second of `line` is over.
    until: Option<Instant>,
}

impl DateClock {
    /// Empty if the system's clock is beyond the year 9999.
    pub(crate) fn line_at(&mut self, now: Instant) -> &str {
        if self.until.is_none_or(|until| now >= until) {
            self.read(now, SystemTime::now());
        }
        &self.line
    }

    fn read(&mut self, now: Instant, clock: SystemTime) {
        // A clock that is set before 1970 shows 1970.
        let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = Duration::from_secs(since.as_secs());
        self.line = match second.as_secs() <= LAST_DATE {
            true => encode::date_line(HttpDate::from(UNIX_EPOCH + second)),
            false => String::new(),
        };
        self.until = Some(now + Duration::from_secs(1) - (since - second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(clock: SystemTime) -> String {
        let (mut date, now) = (DateClock::default(), Instant::now());
        date.read(now, clock);
        date.line_at(now).to_owned()
    }

    #[test]
    fn a_clock_without_a_date_gives_no_line() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let last = line(after(LAST_DATE) + Duration::from_millis(999));
        assert_eq!(last, "date: Fri, 31 Dec 9999 23:59:59 GMT\r\n");
        assert_eq!(line(after(LAST_DATE + 1)), "");
        assert_eq!(line(after(u64::from(u32::MAX) * 1000)), "");
        let early = line(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(early, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    }
}
