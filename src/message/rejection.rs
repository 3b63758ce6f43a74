//! The refusal of a request by its handler.

use std::borrow::Cow;
use std::fmt;
use std::io;

use http::StatusCode;

use super::request_body::BodyError;
use super::response::IntoResponse;
use super::response::Response;
use crate::escaped::Escaped;

/// Why a handler refuses a request: a status, and a line for the client's
/// developer.
///
/// It is both an error and a response, so a handler that returns
/// `Result<_, Rejection>` can use `?`. The body of the response is the line, as
/// plain text. The server does not log it.
///
/// ```
/// use farewell::{Rejection, Request};
/// use http::StatusCode;
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

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<io::Error> for Rejection {
    /// The error of a read of the request's body becomes the rejection of its
    /// [`BodyError`]. Any other error is logged, and becomes a 500 that does not
    /// name it.
    fn from(error: io::Error) -> Self {
        if let Some(error) = BodyError::of(&error) {
            return error.into();
        }
        // The error may quote what the client has sent.
        log::error!("cannot answer a request: {}", Escaped(&error));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.message)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_is_not_shown_to_the_client() {
        let internal = Rejection::from(io::Error::other("secret path"));
        assert_eq!(internal.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!internal.message().contains("secret"));
        let slow_body = Rejection::from(io::Error::from(BodyError::TOO_SLOW));
        assert_eq!(slow_body.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn its_text_is_its_message_and_its_response_has_its_status() {
        let rejection = Rejection::new(StatusCode::CONFLICT, "there is one already");
        assert_eq!(rejection.to_string(), "there is one already");
        assert_eq!(rejection.message(), "there is one already");
        assert_eq!(rejection.status(), StatusCode::CONFLICT);
        assert_eq!(rejection.into_response().status(), StatusCode::CONFLICT);
    }
}
