//! The request line (RFC 9112 section 3) as the client sent it, and what can be told
//! from one that is invalid or incomplete.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::Version;

use super::Refusal;
use super::grammar::is_token;
use crate::escaped::Escaped;

/// The longest method that the server accepts; a longer one gets a 501. The
/// longest registered method, `UPDATEREDIRECTREF`, has 17 bytes.
pub(crate) const METHOD_BYTES_MAX: usize = 32;

pub(super) const METHOD_TOO_LONG: Refusal =
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "request method is too long");

pub(super) const BAD_VERSION: Refusal =
    Refusal::bad_request("request line does not end with HTTP/1.1 or HTTP/1.0");

const OTHER_VERSION: Refusal = Refusal::new(
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    "HTTP version not supported: use HTTP/1.1 or HTTP/1.0",
);

/// The request line of a valid head.
///
/// Few requests are logged, reported or refused. So this is a handle of the head's
/// memory, which costs less than a copy of method and target, and is taken apart when it
/// is used.
#[derive(Clone, Debug)]
pub(crate) struct RequestLine {
    /// Begins with the line, or with line ends before it.
    head: Bytes,
}

impl RequestLine {
    pub(crate) fn of_head(head: Bytes) -> Self {
        Self { head }
    }

    /// The whole line, such as `GET /a?b HTTP/1.1`.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        let head = self.head.trim_ascii_start();
        let line = head.split(|&byte| byte == b'\r').next();
        String::from_utf8_lossy(line.unwrap_or_default())
    }

    /// Method and target, such as `GET` and `/a?b`. The target is escaped, since the
    /// client chose it.
    pub(crate) fn method_and_target(&self) -> (Option<Method>, String) {
        let text = self.text();
        let (method, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let target = rest.rsplit_once(' ').map_or(rest, |(target, _)| target);
        let method = Method::from_bytes(method.as_bytes()).ok();
        (method, Escaped(target).to_string())
    }

    pub(crate) fn version(&self) -> Version {
        match self.text().ends_with("HTTP/1.0") {
            true => Version::HTTP_10,
            false => Version::HTTP_11,
        }
    }

    pub(crate) fn asks_for_head(&self) -> AsksForHead {
        AsksForHead::of(&self.head)
    }
}

/// `GET /slow`: escaped, since the client chose it.
impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        let named = text.rsplit_once(' ').map_or(&*text, |(named, _)| named);
        write!(f, "{}", Escaped(named))
    }
}

/// Whether the method is HEAD, for a request whose head is incomplete or invalid.
/// A response to HEAD has no body (RFC 9110 section 9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsksForHead {
    Yes,
    No,
    /// Too little of the request line has arrived, or no space ends the method.
    Unknown,
}

impl AsksForHead {
    /// `input` is the part of the request that has arrived.
    pub(crate) fn of(input: &[u8]) -> Self {
        const HEAD: &[u8] = b"HEAD";

        // Line ends before the method do not change it, whether they are valid or not.
        let before = input.iter().take_while(|byte| b"\r\n".contains(byte));
        let input = &input[before.count()..];
        match input.strip_prefix(HEAD) {
            Some([b' ', ..]) => Self::Yes,
            Some([byte, ..]) if is_token(*byte) => Self::No,
            Some(_) => Self::Unknown,
            None if HEAD.starts_with(input) => Self::Unknown,
            None => Self::No,
        }
    }
}

/// Whether `input` begins with a method that is too long, even if its end has not
/// arrived.
pub(super) fn begins_with_long_method(mut input: &[u8]) -> bool {
    // httparse skips these too.
    while let Some(rest) = input.strip_prefix(b"\r\n").or(input.strip_prefix(b"\n")) {
        input = rest;
    }
    let longest = &input[..input.len().min(METHOD_BYTES_MAX + 1)];
    longest.len() > METHOD_BYTES_MAX && longest.iter().all(|&byte| is_token(byte))
}

/// The refusal of a request that has `rest` behind its target, where a supported
/// version should be. `None` if further bytes decide which refusal it is.
pub(super) fn refused_version(rest: &[u8]) -> Option<Refusal> {
    const ANY_DIGIT: u8 = b'd';

    for (&expected, place) in b"HTTP/d.d\r".iter().zip(0..) {
        let &byte: &u8 = rest.get(place)?;
        let fits = match expected {
            ANY_DIGIT => byte.is_ascii_digit(),
            _ => byte == expected,
        };
        if !fits {
            return Some(BAD_VERSION);
        }
    }
    Some(OTHER_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_named_as_the_client_sent_it() {
        let line = |head: &'static str| RequestLine::of_head(Bytes::from_static(head.as_bytes()));
        let plain = line("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(plain.text(), "GET /a?b HTTP/1.1");
        assert_eq!(plain.to_string(), "GET /a?b");
        let parts = (Some(Method::GET), "/a?b".to_owned());
        assert_eq!(plain.method_and_target(), parts);
        assert_eq!(plain.version(), Version::HTTP_11);
        assert_eq!(plain.asks_for_head(), AsksForHead::No);
        let other = line("\r\nHEAD http://a/`\u{e9}\\ HTTP/1.0\r\n\r\n");
        assert_eq!(other.to_string(), "HEAD http://a/`\\xc3\\xa9\\\\");
        let parts = (Some(Method::HEAD), "http://a/`\\xc3\\xa9\\\\".to_owned());
        assert_eq!(other.method_and_target(), parts);
        assert_eq!(other.version(), Version::HTTP_10);
        assert_eq!(other.asks_for_head(), AsksForHead::Yes);
    }

    #[test]
    fn a_head_request_is_recognized_by_its_first_bytes() {
        for yes in ["HEAD ", "HEAD /", "HEAD  x", "\nHEAD /", "\r\rHEAD /"] {
            assert_eq!(AsksForHead::of(yes.as_bytes()), AsksForHead::Yes, "{yes}");
        }
        for no in [
            "GET /", "head /", "HEADER /", "HEAD_ /", "G", "X", "\x16", "\nG",
        ] {
            assert_eq!(AsksForHead::of(no.as_bytes()), AsksForHead::No, "{no}");
        }
        for unknown in [
            "", "\r", "\nHE", "H", "HE", "HEA", "HEAD", "HEAD\r\n", "HEAD\t/",
        ] {
            let found = AsksForHead::of(unknown.as_bytes());
            assert_eq!(found, AsksForHead::Unknown, "{unknown}");
        }
    }

    #[test]
    fn a_long_method_is_recognized_before_it_ends() {
        let longest = "x".repeat(METHOD_BYTES_MAX);
        for fine in ["", "GET", &longest, &format!("{longest} /")] {
            assert!(!begins_with_long_method(fine.as_bytes()), "{fine}");
        }
        for end in ["x", "x / HTTP/1.1", "x\0"] {
            for before in ["", "\r\n", "\n\r\n"] {
                let long = format!("{before}{longest}{end}");
                assert!(begins_with_long_method(long.as_bytes()), "{long:?}");
            }
        }
    }

    #[test]
    fn a_version_has_one_digit_on_each_side() {
        let status = |rest: &str| refused_version(rest.as_bytes()).map(|found| found.status);
        let whole = "HTTP/2.0\r";
        for end in 0..whole.len() {
            assert_eq!(status(&whole[..end]), None, "{end}");
        }
        for other in [whole, "HTTP/1.2\r\n", "HTTP/0.9\r\n", "HTTP/9.9\r"] {
            assert_eq!(status(other), Some(OTHER_VERSION.status), "{other}");
        }
        for wrong in [
            "HTTP/01",
            "HTTP/1.10",
            "HTTP/2\r",
            "HTTP/.1",
            "HTTP/x",
            "http",
            "HTTP/2.0 ",
            "HTTP/2.0\n",
            "HTTQ",
            "HTTP/1.+",
            "\r",
        ] {
            assert_eq!(status(wrong), Some(BAD_VERSION.status), "{wrong:?}");
        }
    }
}
