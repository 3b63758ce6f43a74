//! Which bytes a request wants: `Range` (RFC 9110 section 14).
//!
//! An invalid set is ignored, as 14.2 allows: the client gets the whole file, which is
//! what it gets from a server that knows no ranges. So is a set of more than 64 ranges.
//!
//! Ranges that overlap or touch are made one (15.3.7.2), so that no byte is sent twice: a
//! response has at most as many bytes as the file, and the heads of 64 parts. Thereby no
//! set is worth an attack (17.15). Apache ignores a set of more than 200 ranges, or one with
//! more than 20 overlaps; nginx (without a limit on their number) and Go one with more
//! bytes than the file. Those rules ignore sets too that are odd but harmless, such as
//! `0-,-1`. A gap is never filled, however small: the client gets what it has asked for.
//! Ranges stay in the order of the request, which 15.3.7.2 recommends.

use std::ops::Range;

use http::HeaderMap;
use http::HeaderValue;
use http::header;

/// The most ranges of a set, those that overlap or cannot be satisfied included. Browsers
/// and download managers ask for one, readers of PDF for a few.
const RANGES_MAX: usize = 64;

/// What a request wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selected {
    /// 200: the request has no `Range`, or one that is ignored.
    Whole,
    /// 206 with `Content-Range`.
    One(Range<u64>),
    /// 206 with `multipart/byteranges`: at least two ranges, none of which overlap.
    Several(Vec<Range<u64>>),
    /// 416.
    Unsatisfiable,
}

/// The bytes of a file of this length that a GET wants. No range is empty.
///
/// For another method, `Range` is to be ignored (RFC 9110 section 14.2); for HEAD too.
pub(super) fn select(headers: &HeaderMap, length: u64) -> Selected {
    let mut lines = headers.get_all(header::RANGE).iter();
    // `Range` is no list: a second line makes it invalid.
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Selected::Whole;
    };
    // The `Range` for a representation without content may be ignored (14.2). Some clients
    // send `bytes=0-` always, and a 416 would be an error for them.
    if length == 0 {
        return Selected::Whole;
    }
    let Some(ranges) = satisfiable(line.as_bytes(), length) else {
        return Selected::Whole;
    };
    let mut ranges = coalesced(ranges);
    match ranges.len() {
        0 => Selected::Unsatisfiable,
        1 => Selected::One(ranges.remove(0)),
        _ => Selected::Several(ranges),
    }
}

/// The value of `Content-Range` for a part of a file of this length (RFC 9110 section 14.4).
pub(super) fn content_range(range: &Range<u64>, length: u64) -> HeaderValue {
    let (first, last) = (range.start, range.end.saturating_sub(1));
    value(&format!("bytes {first}-{last}/{length}"))
}

/// The value of `Content-Range` in a 416 (RFC 9110 section 15.5.17).
pub(super) fn unsatisfied_range(length: u64) -> HeaderValue {
    value(&format!("bytes */{length}"))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("words and numbers in ASCII")
}

/// The ranges of a set that begin within the file, cut at its end. `None` if the set is to
/// be ignored: its unit is unknown, or it is invalid or too large.
fn satisfiable(set: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let equals = set.iter().position(|&byte| byte == b'=')?;
    let (unit, members) = (&set[..equals], &set[equals + 1..]);
    // The names of units are case-insensitive (14.1).
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    // Blanks stand around members, and in the RFC's own example behind the `=` (14.1.2).
    let members = members.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    // Empty members of a list are ignored (5.6.1.2).
    let mut members = members.filter(|member| !member.is_empty()).peekable();
    members.peek()?;
    let mut ranges = Vec::new();
    for (index, member) in members.enumerate() {
        if index == RANGES_MAX {
            return None;
        }
        ranges.extend(range(member, length)?);
    }
    Some(ranges)
}

/// `None` if the member is invalid; an inner `None` if it cannot be satisfied.
#[expect(clippy::option_option)]
fn range(member: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let dash = member.iter().position(|&byte| byte == b'-')?;
    let range = match (&member[..dash], &member[dash + 1..]) {
        // A suffix longer than the file is the whole file (14.1.2).
        (b"", suffix) => length.saturating_sub(number(suffix)?)..length,
        (first, b"") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Some((range.start < range.end).then_some(range))
}

/// A number of any length. Beyond `u64::MAX` it is that.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// Makes those ranges one that overlap or touch, in the place of the first of them.
fn coalesced(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut ranges: Vec<_> = ranges.into_iter().enumerate().collect();
    ranges.sort_by_key(|(_, range)| range.start);
    let mut joined: Vec<(usize, Range<u64>)> = Vec::with_capacity(ranges.len());
    for (place, range) in ranges {
        match joined.last_mut() {
            Some((first_place, last)) if range.start <= last.end => {
                *first_place = place.min(*first_place);
                last.end = range.end.max(last.end);
            }
            _ => joined.push((place, range)),
        }
    }
    joined.sort_by_key(|(place, _)| *place);
    joined.into_iter().map(|(_, range)| range).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn selected(range: &str, length: u64) -> Selected {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        select(&headers, length)
    }

    fn one(range: Range<u64>) -> Selected {
        Selected::One(range)
    }

    fn several(ranges: &[Range<u64>]) -> Selected {
        Selected::Several(ranges.to_vec())
    }

    #[test]
    fn no_range_is_the_whole_file() {
        assert_eq!(select(&HeaderMap::new(), 10), Selected::Whole);
    }

    #[test]
    fn one_range_is_cut_at_the_end_of_the_file() {
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-9", 0..10),
            ("bytes=3-5", 3..6),
            ("bytes=3-", 3..10),
            ("bytes=9-", 9..10),
            ("bytes=9-10", 9..10),
            ("bytes=0-18446744073709551615", 0..10),
            ("bytes=0-99999999999999999999999999", 0..10),
            ("bytes=-1", 9..10),
            ("bytes=-10", 0..10),
            ("bytes=-11", 0..10),
            ("bytes=-99999999999999999999999999", 0..10),
            ("bytes=00000000000000000000000003-004", 3..5),
        ] {
            assert_eq!(selected(range, 10), one(expected), "{range}");
        }
    }

    #[test]
    fn the_unit_is_bytes_in_any_case() {
        assert_eq!(selected("BYTES=1-2", 10), one(1..3));
        assert_eq!(selected("Bytes=1-2", 10), one(1..3));
        for range in [
            "byte=1-2",
            "bytes =1-2",
            "lines=1-2",
            "=1-2",
            "none=0-",
            "bytes",
        ] {
            assert_eq!(selected(range, 10), Selected::Whole, "{range}");
        }
    }

    #[test]
    fn blanks_and_empty_members_are_ignored() {
        for range in [
            "bytes= 1-2",
            "bytes=,1-2",
            "bytes=1-2,",
            "bytes= ,\t, 1-2 ,,",
        ] {
            assert_eq!(selected(range, 10), one(1..3), "{range}");
        }
        let example = selected("bytes= 0-999, 4500-5499, -1000", 10_000);
        assert_eq!(example, several(&[0..1000, 4500..5500, 9000..10_000]));
    }

    #[test]
    fn an_invalid_set_is_ignored() {
        for range in [
            "",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=1",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=1- 2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=2-1",
            "bytes=0-1,2-1",
            "bytes=0-1;3-4",
            "bytes=20-11",
            "bytes=bytes=0-1",
            "bytes=0-1,other",
        ] {
            assert_eq!(selected(range, 10), Selected::Whole, "{range}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(
            header::RANGE,
            HeaderValue::from_bytes(b"bytes=\xff-1").unwrap(),
        );
        assert_eq!(select(&headers, 10), Selected::Whole);
    }

    #[test]
    fn a_second_line_makes_the_field_invalid() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(select(&headers, 10), Selected::Whole);
    }

    #[test]
    fn a_set_without_a_byte_of_the_file_cannot_be_satisfied() {
        for range in [
            "bytes=10-",
            "bytes=10-10",
            "bytes=-0",
            "bytes=99999999999999999999999999-",
            "bytes=99999999999999999999999998-99999999999999999999999999",
            "bytes=10-,-0, 11-12",
        ] {
            assert_eq!(selected(range, 10), Selected::Unsatisfiable, "{range}");
        }
        assert_eq!(selected("bytes=10-,-0,4-5", 10), one(4..6));
    }

    #[test]
    fn an_empty_file_is_sent_whole() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=5-", "bytes=-1", "bytes=-0"] {
            assert_eq!(selected(range, 0), Selected::Whole, "{range}");
        }
    }

    #[test]
    fn a_file_of_the_largest_length_has_no_overflow() {
        let max = u64::MAX;
        assert_eq!(selected("bytes=0-18446744073709551615", max), one(0..max));
        assert_eq!(selected("bytes=-1", max), one(max - 1..max));
        let beyond = selected("bytes=18446744073709551615-", max);
        assert_eq!(beyond, Selected::Unsatisfiable);
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one_in_the_place_of_the_first() {
        for (range, expected) in [
            ("bytes=0-1,2-3", one(0..4)),
            ("bytes=2-3,0-1", one(0..4)),
            ("bytes=0-,0-,0-", one(0..10)),
            ("bytes=0-5,3-9", one(0..10)),
            ("bytes=0-0,-1", several(&[0..1, 9..10])),
            ("bytes=-1,0-0", several(&[9..10, 0..1])),
            ("bytes=8-8,0-1,4-5,1-2", several(&[8..9, 0..3, 4..6])),
            ("bytes=1-2,8-8,0-1", several(&[0..3, 8..9])),
            ("bytes=0-1,3-3", several(&[0..2, 3..4])),
            ("bytes=0-0,2-2,1-1", one(0..3)),
        ] {
            assert_eq!(selected(range, 10), expected, "{range}");
        }
    }

    #[test]
    fn more_than_64_ranges_are_ignored() {
        let set = |count: u64| {
            let ranges = (0..count).map(|n| format!("{0}-{0}", 2 * n));
            format!("bytes={}", ranges.collect::<Vec<_>>().join(","))
        };
        let Selected::Several(ranges) = selected(&set(64), 1000) else {
            panic!("not several");
        };
        assert_eq!(ranges.len(), 64);
        assert_eq!(selected(&set(65), 1000), Selected::Whole);
        // Those that cannot be satisfied count, empty members do not.
        assert_eq!(selected(&set(65), 10), Selected::Whole);
        let blanks = format!("bytes={}1-2", ",".repeat(200));
        assert_eq!(selected(&blanks, 10), one(1..3));
    }

    #[test]
    fn fields_name_the_first_and_the_last_byte() {
        assert_eq!(content_range(&(0..1), 10), "bytes 0-0/10");
        assert_eq!(content_range(&(4..10), 10), "bytes 4-9/10");
        assert_eq!(unsatisfied_range(10), "bytes */10");
    }

    /// A member of a set.
    #[derive(Clone, Copy, Debug)]
    enum Member {
        Closed(u64, u64),
        Open(u64),
        Suffix(u64),
    }

    impl Member {
        fn text(self) -> String {
            match self {
                Self::Closed(first, last) => format!("{first}-{last}"),
                Self::Open(first) => format!("{first}-"),
                Self::Suffix(count) => format!("-{count}"),
            }
        }

        fn wants(self, byte: u64, length: u64) -> bool {
            match self {
                Self::Closed(first, last) => (first..=last).contains(&byte),
                Self::Open(first) => byte >= first,
                Self::Suffix(count) => byte + count >= length,
            }
        }
    }

    fn member() -> impl Strategy<Value = Member> {
        let number = || 0..30_u64;
        prop_oneof![
            (number(), number()).prop_map(|(first, more)| Member::Closed(first, first + more)),
            number().prop_map(Member::Open),
            number().prop_map(Member::Suffix),
        ]
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_members_once(
            members in prop::collection::vec(member(), 1..10),
            length in 1..40_u64,
        ) {
            let texts: Vec<_> = members.iter().map(|member| member.text()).collect();
            let ranges = match selected(&format!("bytes={}", texts.join(", ")), length) {
                Selected::One(range) => vec![range],
                Selected::Several(ranges) => {
                    prop_assert!(ranges.len() > 1);
                    ranges
                }
                Selected::Unsatisfiable => Vec::new(),
                Selected::Whole => panic!("the set is valid"),
            };
            for byte in 0..length {
                let wanted = members.iter().any(|member| member.wants(byte, length));
                let times = ranges.iter().filter(|range| range.contains(&byte)).count();
                prop_assert_eq!(times, usize::from(wanted), "byte {}", byte);
            }
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length));
        }

        #[test]
        fn no_text_panics(set in "bytes=[-0-9, a=\t]{0,60}", length in any::<u64>()) {
            selected(&set, length);
        }
    }
}
