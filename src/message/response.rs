//! What a handler returns.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::body::Body;

/// A response: status, header fields, [`Body`].
///
/// The server adds `Date`, and sets `Content-Length`, `Transfer-Encoding` and
/// `Connection` itself. It follows a handler's `Connection: close`.
pub type Response = http::Response<Body>;

/// A text that is sent as HTML: `text/html; charset=utf-8`.
///
/// The text is sent unchanged: escape user input in it.
#[derive(Clone, Debug)]
pub struct Html<T>(pub T);

impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        typed(self.0, "text/html; charset=utf-8")
    }
}

/// What a handler may return.
///
/// Strings become `text/plain; charset=utf-8`, bytes `application/octet-stream`,
/// both with status 200. `(StatusCode, T)` is the response of `T` with another
/// status. `Result<T, E>` is the response of `T` or of `E`.
pub trait IntoResponse {
    /// Converts the value into a response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(Body::empty())
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let (status, rest) = self;
        let mut response = rest.into_response();
        *response.status_mut() = status;
        response
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            Err(response) => response.into_response(),
        }
    }
}

fn typed(body: impl Into<Body>, content_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

macro_rules! into_response {
    ($($content_type:literal: $($type:ty),+;)+) => {$($(
        impl IntoResponse for $type {
            fn into_response(self) -> Response {
                typed(self, $content_type)
            }
        }
    )+)+};
}

into_response! {
    "text/plain; charset=utf-8": String, &'static str;
    "application/octet-stream": Bytes, Vec<u8>, &'static [u8];
}

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(text) => text.into_response(),
            Cow::Owned(text) => text.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_text_and_bytes_are_octets() {
        let text = "hello".into_response();
        assert_eq!(
            text.headers()[header::CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
        let bytes = vec![1, 2].into_response();
        assert_eq!(
            bytes.headers()[header::CONTENT_TYPE],
            "application/octet-stream"
        );
    }

    #[test]
    fn a_status_can_be_set_for_any_response() {
        let result: Result<&str, (StatusCode, String)> =
            Err((StatusCode::NOT_FOUND, "no".to_owned()));
        assert_eq!(result.into_response().status(), StatusCode::NOT_FOUND);
        assert_eq!(Ok::<_, ()>("yes").into_response().status(), StatusCode::OK);
        assert_eq!(
            StatusCode::ACCEPTED.into_response().status(),
            StatusCode::ACCEPTED
        );
    }
}
