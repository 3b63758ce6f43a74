//! What the first line of a request says although it is wrong, or not whole
//! (RFC 9112 section 3).

use http::StatusCode;

use super::Refusal;
use super::grammar::is_token;

/// How long a method may be; beyond it: 501. The longest that is registered,
/// `UPDATEREDIRECTREF`, has 17 bytes.
pub(crate) const METHOD_BYTES_MAX: usize = 32;

pub(super) const METHOD_TOO_LONG: Refusal = Refusal::new(
    StatusCode::NOT_IMPLEMENTED,
    "the method is longer than any that there is",
);

pub(super) const BAD_VERSION: Refusal =
    Refusal::bad_request("the request line does not end in HTTP/1.1 or HTTP/1.0");

const OTHER_VERSION: Refusal = Refusal::new(
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    "this server speaks HTTP/1.1 and HTTP/1.0",
);

/// Whether the method is HEAD, of a request whose head is not whole or not valid.
/// An answer to HEAD has no body (RFC 9110 section 9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsksForHead {
    Yes,
    No,
    /// Too little of the request line has come, or it has no end of a method.
    Unknown,
}

impl AsksForHead {
    /// `input` is what has come of the request.
    pub(crate) fn of(input: &[u8]) -> Self {
        const HEAD: &[u8] = b"HEAD";

        // Not all line ends are empty lines; they make no method a different one.
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

/// Whether `input` begins with a method that is too long, though its end may not
/// be here.
pub(super) fn begins_with_long_method(mut input: &[u8]) -> bool {
    // What httparse skips.
    while let Some(rest) = input.strip_prefix(b"\r\n").or(input.strip_prefix(b"\n")) {
        input = rest;
    }
    let longest = &input[..input.len().min(METHOD_BYTES_MAX + 1)];
    longest.len() > METHOD_BYTES_MAX && longest.iter().all(|&byte| is_token(byte))
}

/// Why a request is refused that has `rest` behind its target, where one of our
/// versions should be and is not. `None` if more of it has to come first.
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
    fn a_head_is_told_by_its_first_bytes() {
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
    fn a_long_method_is_one_before_it_ends() {
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
