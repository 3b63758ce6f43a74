//! Sizes and times as text.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// A time in UTC, to the second. Days have 86 400 seconds, as `SystemTime` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Utc {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

const DAY: i64 = 86_400;

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;

impl Utc {
    /// `None` for a year that RFC 3339 does not have, before 1 or after 9999.
    pub(super) fn of(time: SystemTime) -> Option<Self> {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).ok()?,
            Err(error) => {
                let before = error.duration();
                let whole = i64::try_from(before.as_secs()).ok()?;
                -whole - i64::from(before.subsec_nanos() > 0)
            }
        };
        let (year, month, day) = civil(seconds.div_euclid(DAY))?;
        let second = seconds.rem_euclid(DAY);
        Some(Self {
            year,
            month,
            day,
            hour: small(second / 3600),
            minute: small(second / 60 % 60),
            second: small(second % 60),
        })
    }

    /// `2024-01-31`.
    pub(super) fn push_date(self, out: &mut String) {
        let [century, year] = [self.year / 100, self.year % 100];
        push_two(small(i64::from(century)), out);
        push_two(small(i64::from(year)), out);
        out.push('-');
        push_two(self.month, out);
        out.push('-');
        push_two(self.day, out);
    }

    /// `23:59`.
    pub(super) fn push_minutes(self, out: &mut String) {
        push_two(self.hour, out);
        out.push(':');
        push_two(self.minute, out);
    }

    /// `2024-01-31T23:59:58Z` (RFC 3339 section 5.6).
    pub(super) fn push_rfc3339(self, out: &mut String) {
        self.push_date(out);
        out.push('T');
        self.push_minutes(out);
        out.push(':');
        push_two(self.second, out);
        out.push('Z');
    }
}

/// Year, month and day of a day since 1970. A year begins in March here, so that the day
/// that not every year has is its last.
fn civil(days: i64) -> Option<(u16, u8, u8)> {
    const FOUR_CENTURIES: i64 = 146_097;
    const CENTURY: i64 = 36_524;
    const FOUR_YEARS: i64 = 1_461;
    let days = days.checked_add(DAYS_BEFORE_1970)?;
    let mut rest = days.rem_euclid(FOUR_CENTURIES);
    let mut year = days.div_euclid(FOUR_CENTURIES) * 400;
    // The last day of four centuries, and of four years, makes no further one.
    let centuries = (rest / CENTURY).min(3);
    rest -= centuries * CENTURY;
    let fours = rest / FOUR_YEARS;
    rest -= fours * FOUR_YEARS;
    let years = (rest / 365).min(3);
    rest -= years * 365;
    year += centuries * 100 + fours * 4 + years;
    // Five months have 153 days: 31, 30, 31, 30, 31.
    let month = (5 * rest + 2) / 153;
    let day = rest - (153 * month + 2) / 5 + 1;
    let (year, month) = match month < 10 {
        true => (year, month + 3),
        false => (year + 1, month - 9),
    };
    let year = u16::try_from(year).ok();
    let year = year.filter(|year| (1..=9999).contains(year))?;
    Some((year, small(month), small(day)))
}

fn small(number: i64) -> u8 {
    u8::try_from(number).expect("it is a part of a date, below 100")
}

fn push_two(number: u8, out: &mut String) {
    out.push(char::from(b'0' + number / 10));
    out.push(char::from(b'0' + number % 10));
}

/// The number of bytes to a tenth of a unit: `999 B`, `1.0 KiB`, `12.5 GiB`.
pub(super) fn push_size(bytes: u64, out: &mut String) {
    if bytes < 1024 {
        out.push_str(itoa::Buffer::new().format(bytes));
        out.push_str(" B");
        return;
    }
    let mut unit: u128 = 1024;
    let mut tenths = 0;
    let mut name = "";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        name = next;
        tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        // 1023.96 KiB is 1.0 MiB.
        if tenths < 10_240 {
            break;
        }
        unit *= 1024;
    }
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(tenths / 10));
    out.push('.');
    out.push_str(digits.format(tenths % 10));
    out.push(' ');
    out.push_str(name);
}

/// `1,234,567`.
pub(super) fn push_grouped(number: u64, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(push: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    fn rfc3339(time: SystemTime) -> Option<String> {
        let utc = Utc::of(time)?;
        Some(text(|out| utc.push_rfc3339(out)))
    }

    #[test]
    fn days_are_those_of_another_calendar() {
        // Every 7th hour and 13th minute from 1970 to 9999 would be 17 million.
        for day in (0..2_932_896).step_by(11) {
            let seconds = day * 86_400 + day % 86_400;
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let expected = httpdate::fmt_http_date(time);
            let found = rfc3339(time).unwrap();
            let [date, clock] = [&found[..10], &found[11..19]];
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(&expected[8..11]).unwrap() / 3 + 1;
            let day = format!("{}-{month:02}-{}", &expected[12..16], &expected[5..7]);
            assert_eq!((date, clock), (&*day, &expected[17..25]));
        }
    }

    #[test]
    fn times_that_have_no_year_are_none() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let before = |nanoseconds| UNIX_EPOCH - Duration::from_nanos(nanoseconds);
        for (time, expected) in [
            (UNIX_EPOCH, Some("1970-01-01T00:00:00Z")),
            (before(1), Some("1969-12-31T23:59:59Z")),
            (before(1_000_000_000), Some("1969-12-31T23:59:59Z")),
            (after(951_782_400), Some("2000-02-29T00:00:00Z")),
            (after(4_107_542_399), Some("2100-02-28T23:59:59Z")),
            (after(4_107_542_400), Some("2100-03-01T00:00:00Z")),
            (after(253_402_300_799), Some("9999-12-31T23:59:59Z")),
            (after(253_402_300_800), None),
            (after(1 << 62), None),
            (UNIX_EPOCH - Duration::from_secs(1 << 62), None),
            (
                UNIX_EPOCH - Duration::from_secs(62_135_596_800),
                Some("0001-01-01T00:00:00Z"),
            ),
            (UNIX_EPOCH - Duration::from_secs(62_135_596_801), None),
        ] {
            assert_eq!(rfc3339(time).as_deref(), expected, "{time:?}");
        }
    }

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1075, "1.0 KiB"),
            (1076, "1.1 KiB"),
            (1_048_523, "1023.9 KiB"),
            (1_048_525, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(text(|out| push_size(bytes, out)), expected, "{bytes}");
        }
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(text(|out| push_grouped(number, out)), expected);
        }
    }
}
