//! Where a request ends (RFC 9112 section 6). These rules prevent request
//! smuggling: bytes of one client that are read as a request of another.

use http::HeaderMap;
use http::StatusCode;
use http::Version;
use http::header;

use super::Refusal;

/// How the server finds the end of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The body has this many bytes; 0 if no field states a length.
    Length(u64),
    /// The body consists of chunks, and an empty one ends it.
    Chunked,
}

impl Framing {
    /// The framing that a head states (RFC 9112 section 6.3).
    pub(crate) fn of(version: Version, headers: &HeaderMap) -> Result<Self, Refusal> {
        let lengths = headers.get_all(header::CONTENT_LENGTH);
        if !headers.contains_key(header::TRANSFER_ENCODING) {
            return content_length(lengths.iter().map(|value| value.as_bytes()));
        }
        // RFC 9112 section 6.1 leaves a choice here. If a server chooses one field
        // and the proxy before it the other, a request can be smuggled.
        if lengths.iter().next().is_some() {
            return Err(Refusal::bad_request(
                "request has both Transfer-Encoding and Content-Length",
            ));
        }
        if version == Version::HTTP_10 {
            return Err(Refusal::bad_request(
                "Transfer-Encoding is not allowed in HTTP/1.0: send Content-Length",
            ));
        }
        let values = headers.get_all(header::TRANSFER_ENCODING);
        transfer_codings(values.iter().map(|value| value.as_bytes()))
    }
}

/// The number that all the fields state.
fn content_length<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Framing, Refusal> {
    let Some(first) = values.next() else {
        return Ok(Framing::Length(0));
    };
    let length = parse_length(first)?;
    for other in values {
        if parse_length(other)? != length {
            return Err(Refusal::bad_request(
                "request has several different Content-Length values",
            ));
        }
    }
    Ok(Framing::Length(length))
}

/// `1*DIGIT`: no sign, no blank, no list.
fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad_request("Content-Length is not a number"));
    }
    value
        .iter()
        .try_fold(0u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Content-Length is too large",
        ))
}

/// Accepts `chunked` alone. Other codings are not supported (501); if `chunked`
/// is not the last coding, the body has no end (400).
fn transfer_codings<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Framing, Refusal> {
    let codings: Vec<&[u8]> = values
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    // RFC 9110 section 5.6.1 tells recipients to ignore empty list elements. A
    // proxy that does not ignore them reads `chunked,` as another coding.
    let empty = |coding: &&[u8]| coding.is_empty();
    let Some((last, before)) = codings.split_last().filter(|_| !codings.iter().any(empty)) else {
        return Err(Refusal::bad_request(
            "Transfer-Encoding has an empty list element",
        ));
    };
    if before.iter().any(chunked) {
        return Err(Refusal::bad_request(
            "chunked must be the last transfer coding, and appear once",
        ));
    }
    if !chunked(last) || !before.is_empty() {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "unsupported transfer coding: only chunked is supported",
        ));
    }
    Ok(Framing::Chunked)
}

/// Whether the client waits for a `100 Continue` before it sends the body
/// (RFC 9110 section 10.1.1). In HTTP/1.0 the expectation is ignored.
pub(crate) fn expects_continue(version: Version, headers: &HeaderMap) -> Result<bool, Refusal> {
    if !headers.contains_key(header::EXPECT) || version == Version::HTTP_10 {
        return Ok(false);
    }
    let mut expected = headers.get_all(header::EXPECT).iter();
    if expected.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Ok(true);
    }
    Err(Refusal::new(
        StatusCode::EXPECTATION_FAILED,
        "unsupported expectation: only 100-continue is supported",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn of(fields: &[(&'static str, &str)]) -> Result<Framing, u16> {
        Framing::of(Version::HTTP_11, &headers(fields)).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn no_framing_field_means_no_body() {
        assert_eq!(of(&[]), Ok(Framing::Length(0)));
    }

    #[test]
    fn a_length_is_digits() {
        assert_eq!(of(&[("content-length", "0")]), Ok(Framing::Length(0)));
        assert_eq!(of(&[("content-length", "0012")]), Ok(Framing::Length(12)));
        for wrong in ["", "+1", "-1", "1 1", "0x1", "1,1", "1a"] {
            assert_eq!(of(&[("content-length", wrong)]), Err(400), "{wrong:?}");
        }
        assert_eq!(
            of(&[("content-length", "18446744073709551615")]),
            Ok(Framing::Length(u64::MAX))
        );
        assert_eq!(of(&[("content-length", "18446744073709551616")]), Err(413));
    }

    #[test]
    fn several_lengths_must_agree() {
        assert_eq!(
            of(&[("content-length", "5"), ("content-length", "5")]),
            Ok(Framing::Length(5))
        );
        assert_eq!(
            of(&[("content-length", "5"), ("content-length", "6")]),
            Err(400)
        );
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        let coded = |value| of(&[("transfer-encoding", value)]);
        for fine in ["chunked", "Chunked", " chunked "] {
            assert_eq!(coded(fine), Ok(Framing::Chunked), "{fine:?}");
        }
        for unknown in [
            "gzip",
            "gzip, chunked",
            "identity",
            "chunked;q=1",
            "xchunked",
        ] {
            assert_eq!(coded(unknown), Err(501), "{unknown:?}");
        }
        for endless in [
            "",
            " , ",
            "chunked,",
            ",chunked",
            "chunked, gzip",
            "chunked, chunked",
        ] {
            assert_eq!(coded(endless), Err(400), "{endless:?}");
        }
        let twice = [("transfer-encoding", "chunked"); 2];
        assert_eq!(of(&twice), Err(400));
    }

    #[test]
    fn a_transfer_coding_beside_a_length_or_in_http_1_0_is_refused() {
        assert_eq!(
            of(&[("transfer-encoding", "chunked"), ("content-length", "5")]),
            Err(400)
        );
        let chunked = headers(&[("transfer-encoding", "chunked")]);
        let refusal = Framing::of(Version::HTTP_10, &chunked).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_only_expectation_is_100_continue() {
        let expects = |version, value| {
            expects_continue(version, &headers(&[("expect", value)]))
                .map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(expects(Version::HTTP_11, "100-Continue"), Ok(true));
        assert_eq!(expects(Version::HTTP_10, "100-continue"), Ok(false));
        assert_eq!(expects(Version::HTTP_11, "miracles"), Err(417));
        assert_eq!(expects(Version::HTTP_11, "100-continue, more"), Err(417));
        assert_eq!(
            expects_continue(Version::HTTP_11, &HeaderMap::new()),
            Ok(false)
        );
    }
}
