//! What a handler gives back.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;

/// A response: status, header fields, [`Body`].
///
/// The server adds `Date`, and decides `Content-Length`, `Transfer-Encoding`
/// and `Connection`; of the latter it heeds a handler's `close`.
pub type Response = http::Response<Body>;

/// The body of a response.
///
/// Made from strings and bytes by `From`, or by
/// [`ShutdownHandle::follow`](crate::ShutdownHandle::follow).
#[derive(Default)]
pub struct Body {
    pub(crate) content: Content,
    pub(crate) after_delivery: Option<AfterDelivery>,
}

pub(crate) type AfterDelivery = Box<dyn FnOnce() + Send>;

pub(crate) enum Content {
    Full(Bytes),
    Stream(Box<dyn Source>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

/// A body that comes piece by piece. Nobody waits in [`next`](Self::next):
/// when there is nothing yet, the connection is parked until the waker calls.
pub(crate) trait Source: Send {
    /// The next piece. After [`Piece::NotYet`], `waker` is called once there
    /// may be more.
    fn next(&mut self, waker: &Waker) -> Piece;

    /// Whether its reader only watches the shutdown: such a one is told of the
    /// end of everyone else's business, and is not part of it.
    fn follows_shutdown(&self) -> bool;
}

/// Puts a parked connection back to work. May be called at any time, from any
/// thread, and too often.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

pub(crate) enum Piece {
    /// Some bytes; never none.
    Data(Bytes),
    NotYet,
    End,
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Calls `f` when the connection that carries this body has ended: once
    /// the client has closed its side, which proves that it has the response,
    /// or once waiting for that is given up
    /// ([`Config::linger`](crate::Config::linger)).
    ///
    /// So a response with such a body is its connection's last. `f` runs on a
    /// thread of the server and must not block. If the response is never sent,
    /// `f` is dropped without a call.
    #[must_use]
    pub fn after_delivery(mut self, f: impl FnOnce() + Send + 'static) -> Self {
        self.after_delivery = Some(Box::new(f));
        self
    }

    pub(crate) fn stream(source: impl Source + 'static) -> Self {
        Self {
            content: Content::Stream(Box::new(source)),
            after_delivery: None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Content::Stream(_) => f.write_str("Body(stream)"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self {
            content: Content::Full(bytes),
            after_delivery: None,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

/// What a handler may return.
///
/// Strings are `text/plain; charset=utf-8`, bytes are
/// `application/octet-stream`, both with status 200. `(StatusCode, T)` is `T`
/// with another status. `Result<T, E>` is whichever of the two it is.
pub trait IntoResponse {
    /// The response that this stands for.
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
    fn strings_are_text_and_bytes_are_not() {
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
    fn a_status_goes_before_anything() {
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
