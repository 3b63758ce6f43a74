//! The media type of a request's body (RFC 9110 section 8.3).

use http::HeaderMap;
use http::header;

/// The media type in `Content-Type`, without its parameters, in lower case. Empty
/// if the field is missing or is not visible ASCII.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let (essence, _) = value
        .and_then(|value| value.split_once(';'))
        .unwrap_or((value.unwrap_or_default(), ""));
    essence.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_are_ignored() {
        let mut headers = HeaderMap::new();
        assert_eq!(media_type(&headers), "");
        for (value, expected) in [
            ("text/plain", "text/plain"),
            ("Text/Plain ; charset=utf-8", "text/plain"),
            (";", ""),
        ] {
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(media_type(&headers), expected);
        }
    }
}
