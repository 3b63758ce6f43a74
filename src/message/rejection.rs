//! Why a request is not what its handler needs.

use std::borrow::Cow;
use std::fmt;
use std::io;

use http::StatusCode;

use super::request_body::BodyError;
use super::response::IntoResponse;
use super::response::Response;
use crate::escaped::Escaped;

/// Why a request is not what its handler needs: a status, and a line for the
/// client's developer.
///
/// It is an error and a response, so a handler that returns
/// `Result<_, Rejection>` can use `?`. As a response it is the line, as plain
/// text. It is no failure of the server, and is not logged.
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

    /// The status of the response that it becomes.
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
    /// What a read of the body failed with is the client's to know
    /// ([`BodyError`]); anything else is ours: it is logged, and a 500 says
    /// no more than that.
    fn from(error: io::Error) -> Self {
        if let Some(error) = BodyError::of(&error) {
            return error.into();
        }
        // What the client has sent may be in it.
        log::error!("a request failed: {}", Escaped(&error));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")
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
    fn an_error_of_ours_says_nothing_to_the_client() {
        let ours = Rejection::from(io::Error::other("secret path"));
        assert_eq!(ours.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!ours.message().contains("secret"));
        let theirs = Rejection::from(io::Error::from(BodyError::TOO_SLOW));
        assert_eq!(theirs.status(), StatusCode::REQUEST_TIMEOUT);
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
