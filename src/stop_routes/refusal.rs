//! The response to a method that a handler does not take.

use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::message::rejection::Rejection;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// A 405 with `Allow` (RFC 9110 section 15.5.6).
pub(super) fn method_not_allowed(allow: &'static str) -> Response {
    let text = format!("method not allowed (allowed: {allow})");
    let mut response = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
