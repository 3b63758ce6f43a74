//! Whether a request with conditions is performed: `If-Match`, `If-Unmodified-Since`,
//! `If-None-Match`, `If-Modified-Since` and `If-Range` (RFC 9110 sections 8.8 and 13).
//!
//! ```text
//!  If-Match? ---- no ---> If-Unmodified-Since? ---- no ---> If-None-Match? ---- no ---> If-Modified-Since?
//!     |                      |                                 |                           (GET, HEAD)
//!     | true: to If-None-Match                                 | true: perform             | true: perform
//!     +-> false: 412         +-> false: 412                    +-> false: 304 for GET      +-> false: 304
//!                                                                  and HEAD, else 412
//! ```
//!
//! What a client sends wrongly leads to the answer that cannot do harm:
//!
//! - A list of entity tags with a malformed member lists nothing that could match. Then
//!   13.1.1 and 13.1.2 say "otherwise": `If-Match` is false, and `If-None-Match` true.
//! - An invalid date, and a list of dates, is ignored, as 13.1.3 and 13.1.4 demand.
//! - An `If-Range` that is neither one entity tag nor one date is false: the client gets
//!   the whole representation (13.1.5).

#[cfg(test)]
mod tests;

use std::fmt;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use httpdate::HttpDate;

use crate::http1::encode::LAST_DATE;
use crate::message::rejection::Rejection;

/// The bytes of an HTTP-date (RFC 9110 section 5.6.7).
const DATE_BYTES: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

/// The seconds of 2000 years. After them the calendar repeats, with its weekdays.
const SECONDS_OF_2000_YEARS: i64 = 5 * 146_097 * 86_400;

/// A strong entity tag (RFC 9110 section 8.8.3). `Display` gives it with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityTag {
    /// With quotes.
    text: String,
}

impl EntityTag {
    /// The tag of a file that was modified then, to the nanosecond, and has this many bytes.
    pub(super) fn new(modified: SystemTime, length: u64) -> Self {
        let mut text = String::with_capacity(36);
        let since = modified.duration_since(UNIX_EPOCH);
        let (sign, since) = match since {
            Ok(since) => ("", since),
            Err(before) => ("-", before.duration()),
        };
        let nanos = since.as_nanos();
        write!(text, "\"{sign}{nanos:x}-{length:x}\"").expect("a String takes every write");
        Self { text }
    }

    /// The tag of the same file in another coding: two representations of a resource must
    /// not share a strong tag (RFC 9110 section 8.8.3.3). The suffix is a token.
    pub(super) fn with_suffix(mut self, suffix: &str) -> Self {
        self.text.pop();
        self.text.push('-');
        self.text.push_str(suffix);
        self.text.push('"');
        self
    }

    /// The value of the field `ETag`.
    pub(super) fn value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.text).expect("hexadecimal digits and a token")
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a representation is compared by.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    pub(super) etag: EntityTag,
    /// When it was modified; `None` if that has no HTTP-date, which begins for httpdate
    /// in 1970 and ends in 9999.
    pub(super) modified: Option<SystemTime>,
    /// Whether the second of `modified` is over: see [`range_applies`].
    pub(super) second_is_over: bool,
}

impl Validators {
    /// The validators of a file of `length` bytes, at the time `now`.
    ///
    /// If its file system knows no time, the tag is made from `now`: it matches no later
    /// one, so that the client always gets the file.
    pub(super) fn new(modified: Option<SystemTime>, length: u64, now: SystemTime) -> Self {
        let has_date = |time: &SystemTime| (0..=LAST_DATE.cast_signed()).contains(&seconds(*time));
        Self {
            etag: EntityTag::new(modified.unwrap_or(now), length),
            modified: modified.filter(has_date),
            second_is_over: modified.is_some_and(|time| seconds(now) > seconds(time)),
        }
    }

    /// The value of the field `Last-Modified`. A date in the future is replaced by `now`
    /// (RFC 9110 section 8.8.2.1).
    pub(super) fn last_modified(&self, now: SystemTime) -> Option<HeaderValue> {
        let second = seconds(self.modified?.min(now));
        let second = Duration::from_secs(second.try_into().ok()?);
        let mut date = [0; DATE_BYTES];
        write!(&mut date[..], "{}", HttpDate::from(UNIX_EPOCH + second))
            .expect("an HTTP-date of four digits for the year has this length");
        Some(HeaderValue::from_bytes(&date).expect("a date is visible ASCII and spaces"))
    }
}

/// What follows from the conditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// The request is performed.
    Holds,
    /// 304, for GET and HEAD.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the conditions of a request in the order of RFC 9110 section 13.2.2. `current`
/// is `None` if the resource has no representation, such as before the PUT that makes it.
///
/// The conditions count only if the response without them would be a 2xx (13.2.1).
pub(super) fn check(
    method: &Method,
    headers: &HeaderMap,
    current: Option<&Validators>,
) -> Precondition {
    // These select no representation (13.2.1).
    if [Method::OPTIONS, Method::TRACE, Method::CONNECT].contains(method) {
        return Precondition::Holds;
    }
    let reads = [Method::GET, Method::HEAD].contains(method);
    // HTTP-dates have whole seconds: a file is not later than the date of its own second.
    let modified = current.and_then(|current| Some(seconds(current.modified?)));

    if headers.contains_key(header::IF_MATCH) {
        if !names(headers, header::IF_MATCH, current, Comparison::Strong) {
            return Precondition::Failed;
        }
    } else if let Some(modified) = modified
        && let Some(date) = only_date(headers, header::IF_UNMODIFIED_SINCE)
        && modified > date
    {
        return Precondition::Failed;
    }

    if headers.contains_key(header::IF_NONE_MATCH) {
        if names(headers, header::IF_NONE_MATCH, current, Comparison::Weak) {
            return match reads {
                true => Precondition::NotModified,
                false => Precondition::Failed,
            };
        }
    } else if reads
        && let Some(modified) = modified
        && let Some(date) = only_date(headers, header::IF_MODIFIED_SINCE)
        && modified <= date
    {
        // A date in the future counts: 13.1.3 only compares, unlike RFC 2616.
        return Precondition::NotModified;
    }
    Precondition::Holds
}

/// The response to a request whose conditions do not hold.
pub(super) fn failed() -> Rejection {
    let text = "the file is not as the request's conditions say";
    Rejection::new(StatusCode::PRECONDITION_FAILED, text)
}

/// Whether the `Range` of a GET counts: the request has no `If-Range`, or a true one (RFC
/// 9110 section 13.1.5).
///
/// A date is true only if it is a strong validator, which means that the file did not change
/// twice within that second (8.8.2.2). As long as the second lasts, the file may still
/// change, and a copy of the client was made within it: the date is weak. Later only the
/// client can tell, by the `Date` of its copy, and 13.1.5 forbids it to send a weak date, or
/// a date at all if it has an entity tag, which every response has.
pub(super) fn range_applies(headers: &HeaderMap, current: &Validators) -> bool {
    let Some(value) = only(headers, header::IF_RANGE) else {
        return !headers.contains_key(header::IF_RANGE);
    };
    if value.starts_with(b"\"") || value.starts_with(b"W/") {
        let mut tags = Tags { rest: value };
        return matches!((tags.next(), tags.next()), (Some(Ok(tag)), None)
            if tag.equals(&current.etag, Comparison::Strong));
    }
    let date = only_date(headers, header::IF_RANGE);
    let modified = current.modified.map(seconds);
    date.is_some() && date == modified && current.second_is_over
}

/// How entity tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Clone, Copy)]
enum Comparison {
    /// Both are strong, and equal.
    Strong,
    /// They are equal without their `W/`.
    Weak,
}

/// Whether an existing field names the current representation, by its tag or by `*`.
fn names(
    headers: &HeaderMap,
    name: HeaderName,
    current: Option<&Validators>,
    comparison: Comparison,
) -> bool {
    let Some(current) = current else {
        return false;
    };
    // `*` is the whole value. Beside other members it is malformed, like any other word.
    if only(headers, &name) == Some(b"*") {
        return true;
    }
    let mut found = false;
    // Several lines are one list (5.2).
    for line in headers.get_all(&name) {
        let rest = line.as_bytes();
        for tag in (Tags { rest }) {
            let Ok(tag) = tag else {
                return false;
            };
            found |= tag.equals(&current.etag, comparison);
        }
    }
    found
}

/// An entity tag of a request.
#[derive(Debug, PartialEq, Eq)]
struct Tag<'a> {
    is_weak: bool,
    /// With quotes.
    opaque: &'a [u8],
}

impl Tag<'_> {
    fn equals(&self, current: &EntityTag, comparison: Comparison) -> bool {
        let may_equal = match comparison {
            Comparison::Strong => !self.is_weak,
            Comparison::Weak => true,
        };
        may_equal && self.opaque == current.text.as_bytes()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// The tags of a line. Commas do not separate them: a tag may have commas inside.
struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = Result<Tag<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty members of a list are ignored (5.6.1.2).
        let empty = |byte: &u8| matches!(byte, b',' | b' ' | b'\t');
        let start = self.rest.iter().position(|byte| !empty(byte));
        let list = &self.rest[start.unwrap_or(self.rest.len())..];
        self.rest = &[];
        if list.is_empty() {
            return None;
        }
        let Some((tag, rest)) = first_tag(list) else {
            return Some(Err(Malformed));
        };
        let rest = rest.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return Some(Err(Malformed));
        }
        self.rest = rest;
        Some(Ok(tag))
    }
}

/// The tag at the beginning of the list, and what follows it (RFC 9110 section 8.8.3).
fn first_tag(list: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    let weak = list.strip_prefix(b"W/");
    let text = weak.unwrap_or(list);
    let inside = text.strip_prefix(b"\"")?;
    let closing = inside.iter().position(|&byte| byte == b'"')?;
    let allowed = |byte: &u8| matches!(byte, 0x21..=0x7e | 0x80..);
    if !inside[..closing].iter().all(allowed) {
        return None;
    }
    let (opaque, rest) = text.split_at(closing + 2);
    let is_weak = weak.is_some();
    Some((Tag { is_weak, opaque }, rest))
}

/// The value of a field that is there once.
fn only(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&[u8]> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then(|| line.as_bytes().trim_ascii())
}

/// The date of a field, in seconds since 1970. `None` if it is missing or invalid, or if
/// there are several.
fn only_date(headers: &HeaderMap, name: HeaderName) -> Option<i64> {
    let text = str::from_utf8(only(headers, name)?).ok()?;
    http_date(text).or_else(|| {
        // httpdate takes no date before 1970. It is valid all the same, and for
        // `If-Unmodified-Since` earlier than every file.
        let (day, rest) = text.split_at_checked("Sun, 06 Nov ".len())?;
        let (year, time) = rest.split_at_checked("1994".len())?;
        let is_year = year.bytes().all(|byte| byte.is_ascii_digit());
        let year: u16 = year.parse().ok().filter(|_| is_year)?;
        let later = http_date(&format!("{day}{:04}{time}", year + 2000))?;
        Some(later - SECONDS_OF_2000_YEARS)
    })
}

fn http_date(text: &str) -> Option<i64> {
    httpdate::parse_http_date(text).ok().map(seconds)
}

/// The second of a time, from 1970 on; negative before.
fn seconds(time: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) if before.duration().subsec_nanos() == 0 => -whole(before.duration()),
        Err(before) => -whole(before.duration()) - 1,
    }
}
