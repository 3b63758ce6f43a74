//! `--cors`: the pages of other origins may read the files (the Fetch standard, section
//! "CORS protocol"). Uploads from such pages are not allowed.

use farewell::IntoResponse;
use farewell::Request;
use farewell::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header;

/// An origin, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(HeaderValue);

/// What a page may ask for.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// The fields of a request that a page may set. A single range needs no permission, several
/// do.
const REQUEST_FIELDS: HeaderValue = HeaderValue::from_static(
    "Authorization, Cache-Control, If-Match, If-Modified-Since, If-None-Match, If-Range, \
     If-Unmodified-Since, Range",
);

/// The fields of a response that a page may read, beside those that it always may.
const RESPONSE_FIELDS: HeaderValue =
    HeaderValue::from_static("Accept-Ranges, Content-Length, Content-Range, ETag");

/// Seconds for which a browser may keep the answer to a preflight: 24 hours. Browsers keep
/// it for less.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Parses the value of `--cors`.
pub(super) fn origin(text: &str) -> Result<Origin, String> {
    let right = "write it as https://example.org, or as * for every origin";
    if text == "*" {
        return Ok(Origin(HeaderValue::from_static("*")));
    }
    // Browsers send an origin in lower case.
    let text = text.to_ascii_lowercase();
    let uri: Uri = text.parse().map_err(|_| right.to_owned())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority))
            if text == format!("{scheme}://{authority}") && !text.contains('@') =>
        {
            HeaderValue::try_from(text)
                .map(Origin)
                .map_err(|_| right.to_owned())
        }
        _ => Err(right.to_owned()),
    }
}

impl Origin {
    /// The answer to a preflight; `None` for other requests. A browser sends a preflight
    /// without a password, so it is answered before one is asked for.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ORIGIN)
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_FIELDS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
        Some(response)
    }

    /// Lets pages read this response. The fields do not depend on the request, so that
    /// caches need no `Vary`.
    pub(super) fn allow(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.0.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_FIELDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, parsed) in [
            ("*", "*"),
            ("https://example.org", "https://example.org"),
            ("HTTPS://Example.ORG:8443", "https://example.org:8443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(origin(text).unwrap().0, parsed);
        }
        for wrong in [
            "",
            "null",
            "example.org",
            "https://example.org/",
            "https://example.org/a",
            "https://a@example.org",
            "https://a, https://b",
            "https://",
            "**",
            "https://*.example.org/*",
        ] {
            assert!(
                origin(wrong).unwrap_err().contains("https://example.org"),
                "{wrong}"
            );
        }
    }
}
