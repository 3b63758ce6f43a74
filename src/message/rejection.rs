//! The refusal of a request by its handler.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use super::response::IntoResponse;
use super::response::Response;

/// Marks the response of a rejection, among its extensions, until it is rendered.
#[derive(Clone, Copy)]
pub(super) struct Unrendered;

/// Why a handler refuses a request: a status, and a line for the client's
/// developer.
///
/// It is both an error and a response, so a handler that returns
/// `Result<_, Rejection>` can use `?`. The body of the response is the line, as
/// plain text, unless [`Server::render_rejections`](crate::Server::render_rejections)
/// sets something else. Layers find the rejection in the
/// [extensions](http::Response::extensions) of the response. The server does not log
/// it. `?` takes an [`io::Error`](std::io::Error) too: that is logged, and becomes a 500
/// that does not name it.
///
/// ```
/// use farewell::{Rejection, Request, StatusCode};
///
/// fn square(request: Request) -> Result<String, Rejection> {
///     let number: i64 = request
///         .param("number")
///         .and_then(|number| number.parse().ok())
///         .ok_or_else(|| Rejection::new(StatusCode::NOT_FOUND, "no such number"))?;
///     Ok(number.wrapping_mul(number).to_string())
/// }
/// # let _ = square;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    status: StatusCode,
    message: Cow<'static, str>,
}

impl Rejection {
    /// A rejection with this status and this line: lower case, no full stop,
    /// no line end.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong with the request.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rejection {}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        response.extensions_mut().insert(Unrendered);
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_its_message_and_its_response_has_its_status() {
        let rejection = Rejection::new(StatusCode::CONFLICT, "there is one already");
        assert_eq!(rejection.to_string(), "there is one already");
        assert_eq!(rejection.message(), "there is one already");
        assert_eq!(rejection.status(), StatusCode::CONFLICT);
        assert_eq!(rejection.into_response().status(), StatusCode::CONFLICT);
    }
}
