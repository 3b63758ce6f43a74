//! The response to a method that a handler does not take.

use http::StatusCode;
use http::header;

use crate::message::rejection::Rejection;

/// A 405 with `Allow` (RFC 9110 section 15.5.6).
pub(super) fn method_not_allowed(allow: &'static str) -> Rejection {
    let text = format!("method not allowed (allowed: {allow})");
    Rejection::new(StatusCode::METHOD_NOT_ALLOWED, text).with_header(header::ALLOW, allow)
}
