//! Where a request ends (RFC 9112 section 6): the rules that keep one
//! client's bytes from being taken for another client's request.

use http::HeaderMap;
use http::StatusCode;
use http::header;

use super::Refusal;

/// How many bytes of body follow a head.
///
/// A request with `Transfer-Encoding` is refused, with 400 if
/// `Content-Length` stands beside it and with 501 otherwise.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<u64, Refusal> {
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return match coded {
            false => Ok(0),
            true => Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "this server does not take transfer codings: send a Content-Length",
            )),
        };
    };
    if coded {
        return Err(Refusal::bad_request(
            "Transfer-Encoding and Content-Length exclude each other",
        ));
    }
    let length = parse_length(first.as_bytes())?;
    for other in lengths {
        if parse_length(other.as_bytes())? != length {
            return Err(Refusal::bad_request(
                "there are several different Content-Lengths",
            ));
        }
    }
    Ok(length)
}

/// `1*DIGIT`, and nothing else: no sign, no blank, no list.
fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad_request("the Content-Length is not a number"));
    }
    value
        .iter()
        .try_fold(0u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the Content-Length is beyond every limit",
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &str)]) -> Result<u64, u16> {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, value.parse().unwrap());
        }
        content_length(&headers).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn no_framing_field_means_no_body() {
        assert_eq!(of(&[]), Ok(0));
    }

    #[test]
    fn a_length_is_digits() {
        assert_eq!(of(&[("content-length", "0")]), Ok(0));
        assert_eq!(of(&[("content-length", "0012")]), Ok(12));
        for wrong in ["", "+1", "-1", "1 1", "0x1", "1,1", "1a"] {
            assert_eq!(of(&[("content-length", wrong)]), Err(400), "{wrong:?}");
        }
        assert_eq!(
            of(&[("content-length", "18446744073709551615")]),
            Ok(u64::MAX)
        );
        assert_eq!(of(&[("content-length", "18446744073709551616")]), Err(413));
    }

    #[test]
    fn several_lengths_must_agree() {
        assert_eq!(
            of(&[("content-length", "5"), ("content-length", "5")]),
            Ok(5)
        );
        assert_eq!(
            of(&[("content-length", "5"), ("content-length", "6")]),
            Err(400)
        );
    }

    #[test]
    fn transfer_codings_are_refused() {
        assert_eq!(of(&[("transfer-encoding", "chunked")]), Err(501));
        let both = [("transfer-encoding", "chunked"), ("content-length", "5")];
        assert_eq!(of(&both), Err(400));
    }
}
