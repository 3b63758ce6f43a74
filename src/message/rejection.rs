//! The refusal of a request by its handler.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::LazyLock;

use http::Extensions;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;

use super::response::IntoResponse;
use super::response::Response;
use crate::escaped::Escaped;

/// Marks the response of a rejection, among its extensions, until it is rendered.
#[derive(Clone, Copy)]
struct Unrendered;

/// Marks the response of an error, or of a value that could not be a response, until it
/// leaves its handler or layer.
#[derive(Clone, Copy)]
struct Failed;

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
///     let number: i64 = request.param_as("number")?;
///     let square = number.checked_mul(number);
///     let square = square.ok_or(Rejection::new(StatusCode::NOT_FOUND, "too large"))?;
///     Ok(square.to_string())
/// }
/// # let _ = square;
/// ```
///
/// An API that answers errors in its own form has an error type, and `?` converts
/// rejections and other errors into it:
///
/// ```
/// # #[cfg(feature = "json")] fn main() -> Result<(), farewell::Error> {
/// use farewell::{IntoResponse, Json, Rejection, Request, Response, StatusCode};
///
/// enum ApiError {
///     Refused(Rejection),
///     NoSuchNote(u64),
/// }
///
/// impl From<Rejection> for ApiError {
///     fn from(rejection: Rejection) -> Self {
///         Self::Refused(rejection)
///     }
/// }
///
/// impl From<std::io::Error> for ApiError {
///     fn from(error: std::io::Error) -> Self {
///         Self::Refused(error.into()) // logged, and a 500 that does not name it
///     }
/// }
///
/// impl IntoResponse for ApiError {
///     fn into_response(self) -> Response {
///         let (status, message) = match &self {
///             Self::Refused(rejection) => (rejection.status(), rejection.message().to_owned()),
///             Self::NoSuchNote(id) => (StatusCode::NOT_FOUND, format!("no note {id}")),
///         };
///         (status, Json(serde_json::json!({ "error": message }))).into_response()
///     }
/// }
///
/// fn read(request: Request) -> Result<String, ApiError> {
///     let id: u64 = request.param_as("id")?;
///     if id != 7 {
///         return Err(ApiError::NoSuchNote(id));
///     }
///     Ok(std::fs::read_to_string("note-7.txt")?)
/// }
/// # let routes = farewell::Router::new().get("/notes/{id}", read).build()?;
/// # Ok(()) }
/// # #[cfg(not(feature = "json"))] fn main() {}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    status: StatusCode,
    message: Cow<'static, str>,
    /// Boxed, because most rejections have none, and results should stay small.
    headers: Option<Box<HeaderMap>>,
}

impl Rejection {
    /// A rejection with this status and this line: lower case, no full stop,
    /// no line end.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: None,
        }
    }

    /// Adds a header field to the response, such as `Retry-After`. A name that is added
    /// twice is repeated. A name or a value that is not valid makes this the rejection of
    /// [`internal`](Self::internal).
    ///
    /// [`Server::render_rejections`](crate::Server::render_rejections) keeps the field,
    /// unless its function sets another one of that name, or the field describes the body.
    ///
    /// ```
    /// use farewell::{Rejection, StatusCode, header};
    ///
    /// let full = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "the queue is full")
    ///     .with_header(header::RETRY_AFTER, "10");
    /// assert_eq!(full.headers()["retry-after"], "10");
    /// ```
    #[must_use]
    pub fn with_header<K, V>(mut self, name: K, value: V) -> Self
    where
        K: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        match field(name, value) {
            Ok((name, value)) => {
                self.headers.get_or_insert_default().append(name, value);
                self
            }
            Err(internal) => internal,
        }
    }

    /// The rejection for a failure that is not the client's: a 500 whose line is
    /// `internal server error`. It logs `error`, which the client does not see.
    ///
    /// ```
    /// use farewell::{Rejection, Request};
    ///
    /// fn limit(_: Request) -> Result<String, Rejection> {
    ///     std::env::var("LIMIT").map_err(Rejection::internal)
    /// }
    /// # let _ = limit;
    /// ```
    pub fn internal(error: impl fmt::Display) -> Self {
        // The error may quote what the client has sent.
        log::error!("cannot answer a request: {}", Escaped(error));
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
    }

    /// The same rejection with another line.
    #[cfg(feature = "files")]
    pub(crate) fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { message, ..self }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The response in place of a value that cannot be one. A status or header fields
    /// beside that value do not change it.
    pub(super) fn instead(self) -> Response {
        Self::in_place_of_value(self.into_response())
    }

    /// The response of an error. A status or header fields beside it, which are meant for
    /// a success, do not change it.
    pub(super) fn in_place_of_value(mut response: Response) -> Response {
        response.extensions_mut().insert(Failed);
        response
    }

    /// Whether `response` is one of [`instead`](Self::instead) or
    /// [`in_place_of_value`](Self::in_place_of_value), and has not left its handler or
    /// layer. A layer may change one that comes from inside.
    pub(super) fn is_instead(response: &Response) -> bool {
        response.extensions().get::<Failed>().is_some()
    }

    /// Removes the marks that a response has until it leaves its handler or layer. Whether
    /// it is that of a rejection, which has to be rendered.
    pub(super) fn remove_marks(extensions: &mut Extensions) -> bool {
        extensions.remove::<Failed>();
        extensions.remove::<Unrendered>().is_some()
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong with the request.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The header fields of [`with_header`](Self::with_header), for a response that
    /// replaces that of the rejection.
    pub fn headers(&self) -> &HeaderMap {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        self.headers.as_deref().unwrap_or(&NONE)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Rejection {}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        if let Some(fields) = &self.headers {
            // They replace those of the same name.
            response.headers_mut().extend(HeaderMap::clone(fields));
        }
        response.extensions_mut().insert(Unrendered);
        response.extensions_mut().insert(self);
        response
    }
}

/// The name and the value of a header field.
pub(super) fn field<K, V>(name: K, value: V) -> Result<(HeaderName, HeaderValue), Rejection>
where
    K: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
{
    let name = name.try_into().map_err(|error| {
        Rejection::internal(format_args!("a header field of its response: {error}"))
    })?;
    let value = value.try_into().map_err(|error| {
        Rejection::internal(format_args!("header field {name} of its response: {error}"))
    })?;
    Ok((name, value))
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
        let response = rejection.clone().into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.extensions().get(), Some(&rejection));
    }

    #[test]
    fn its_fields_are_those_of_its_response() {
        let bare = Rejection::new(StatusCode::UNAUTHORIZED, "log in");
        assert!(bare.headers().is_empty());
        let rejection = bare
            .with_header("www-authenticate", "Bearer")
            .with_header(http::header::WWW_AUTHENTICATE, "Basic realm=\"notes\"")
            .with_header(http::header::CONTENT_TYPE, "text/html");
        let response = rejection.clone().into_response();
        let both: Vec<_> = response
            .headers()
            .get_all("www-authenticate")
            .into_iter()
            .collect();
        assert_eq!(both, ["Bearer", "Basic realm=\"notes\""]);
        assert_eq!(response.headers().get_all("content-type").iter().count(), 1);
        assert_eq!(rejection.headers().len(), 3);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_field_that_is_not_valid_makes_it_a_500_that_does_not_show_it() {
        let rejection = Rejection::new(StatusCode::CONFLICT, "there is one already");
        for broken in [
            rejection.clone().with_header("allow", "a\r\nset-cookie: b"),
            rejection.clone().with_header("no name", "a"),
            rejection.with_header("", "a").with_header("allow", "GET"),
        ] {
            assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(broken.message(), "internal server error");
            assert!(!broken.into_response().headers().contains_key("set-cookie"));
        }
    }
}
