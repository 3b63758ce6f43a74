//! Percent-encoding (RFC 3986 section 2.1).

use std::borrow::Cow;

use percent_encoding::PercentDecode;
use percent_encoding::percent_decode;

/// Percent-decodes `text` once. `None` if the result is not UTF-8, or if a `%` is
/// not followed by two hexadecimal digits.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    decoder(text)?.decode_utf8().ok()
}

/// The bytes of `text`, percent-decoded once. `None` if a `%` is not followed by two
/// hexadecimal digits.
pub(crate) fn decoder(text: &str) -> Option<PercentDecode<'_>> {
    let whole = |escape: &str| {
        let digits = escape.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(whole) {
        return None;
    }
    Some(percent_decode(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_done_once_and_refuses_bytes_that_are_not_utf_8() {
        for (text, expected) in [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("a%2Fb%2fc", Some("a/b/c")),
            ("%C3%BC", Some("ü")),
            ("%2541", Some("%41")),
            ("100%25", Some("100%")),
            ("%", None),
            ("%4", None),
            ("a%zz", None),
            ("%+1", None),
            ("%C3", None),
            ("%FF", None),
            ("%ü", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }
}
