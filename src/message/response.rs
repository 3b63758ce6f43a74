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
/// | value | response |
/// |---|---|
/// | a string | 200, `text/plain; charset=utf-8` |
/// | bytes, a [`File`](std::fs::File) | 200, `application/octet-stream` |
/// | [`Html`], `Json`, `serde_json::Value` | 200, its type |
/// | [`Body`], `()` | 200, without a type |
/// | [`StatusCode`] | the status, no body |
/// | [`NoContent`] | 204 |
/// | [`Redirect`](crate::Redirect) | 303, 307 or 308 |
/// | [`Created<T>`](crate::Created) | that of `T` as a 201, with a `Location` |
/// | [`Rejection`](crate::Rejection) | its status and its line |
/// | [`io::Error`](std::io::Error), `Box<dyn Error>` | a 500, or the [`Rejection`](crate::Rejection) inside; a 500 is logged, and its text is not sent |
/// | `Option<T>` | that of `T`; `None` is a 404 |
/// | `Result<T, E>` | that of `T` or of `E` |
/// | [`http::Response<T>`](http::Response) | itself; `T` is anything that a [`Body`] is made from |
/// | [`HeaderMap`](http::HeaderMap), `[(name, value)]` | 200, these header fields |
/// | `(StatusCode, T)` | that of `T` with another status |
/// | `(HeaderMap, T)`, `([(name, value)], T)` | that of `T` with these fields |
/// | `(StatusCode, HeaderMap, T)`, `(StatusCode, [(name, value)], T)` | both |
/// | `(CookieJar, T)` | that of `T`, and the cookies that have changed |
///
/// Fields beside `T` replace those of the same name in the response of `T`. A name
/// that is repeated beside `T` is sent as often. `Set-Cookie` replaces nothing: each
/// is a cookie of its own (RFC 9110 section 5.3). Names and values are anything that
/// becomes a [`HeaderName`](http::HeaderName) and a [`HeaderValue`]. If one of them is
/// invalid, such as a value with a line end, the response is a logged 500 instead.
///
/// If `T` is an `Err`, or cannot be a response (`None`, an error, a folder as a `File`, a
/// value that JSON cannot express), what is beside it is ignored:
/// `(StatusCode::CREATED, None)` is a 404. A [`Rejection`](crate::Rejection) that is not in
/// an `Err` is a response as any other, and takes the status.
///
/// ```
/// use farewell::{IntoResponse, Request, StatusCode, header};
///
/// fn start(_: Request) -> impl IntoResponse {
///     (StatusCode::ACCEPTED, [(header::LOCATION, "/jobs/7")], "queued\n")
/// }
/// # let _ = farewell::Router::new().post("/jobs", start);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a response",
    note = "the table at `IntoResponse` has what a handler may return; a value that `serde` can serialize is a response as `Json(value)`"
)]
pub trait IntoResponse {
    /// Converts the value into a response.
    fn into_response(self) -> Response;
}

impl<T: Into<Body>> IntoResponse for http::Response<T> {
    fn into_response(self) -> Response {
        self.map(Into::into)
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
        let mut response = Response::default();
        *response.status_mut() = self;
        response
    }
}

/// No content: status 204 and no body (RFC 9110 section 15.3.5). A browser stays on
/// its page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
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

impl IntoResponse for Cow<'static, [u8]> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
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
        let cow = Cow::Borrowed(&b"12"[..]).into_response();
        for bytes in [bytes, cow] {
            assert_eq!(
                bytes.headers()[header::CONTENT_TYPE],
                "application/octet-stream"
            );
        }
    }

    #[test]
    fn a_response_of_the_crate_http_has_any_body() {
        let response = http::Response::builder().status(418).body("tea");
        let response = response.unwrap().into_response();
        assert_eq!(response.status(), 418);
        assert_eq!(response.body().content.length(), Some(3));
        assert_eq!(response.headers().get(header::CONTENT_TYPE), None);
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
