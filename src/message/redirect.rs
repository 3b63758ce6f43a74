//! Responses with a `Location` (RFC 9110 section 10.2.2): redirects, and 201.

use std::fmt::Write;

use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::rejection::Rejection;
use super::response::IntoResponse;
use super::response::Response;

/// Sends the client to another location.
///
/// The location is a URI or a path (RFC 9110 section 10.2.2), and percent-encoded
/// where it has to be: `/a%20b`. Characters beyond ASCII are percent-encoded here. A
/// location that is empty, or that has a blank or a control character, is a logged 500
/// instead: so a location with a line end adds no header field.
///
/// A location that comes from a client can lead to another site:
/// `//evil.example`, `/\evil.example` and `https:evil.example` do. Compare it with
/// what you know.
///
/// `(StatusCode, Redirect)` is a redirect with another status, such as 302.
///
/// ```
/// use farewell::{IntoResponse, Redirect, Request};
///
/// fn create(_: Request) -> impl IntoResponse {
///     Redirect::see_other(format!("/notes/{}", 7))
/// }
/// # let _ = farewell::Router::new().post("/notes", create);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    status: StatusCode,
    location: String,
}

impl Redirect {
    /// 303: the client gets `location` with `GET`, whatever the method was. The usual
    /// response to a form.
    pub fn see_other(location: impl Into<String>) -> Self {
        Self::with(StatusCode::SEE_OTHER, location)
    }

    /// 307: the client sends the same request, with its method and body, to
    /// `location`; next time it asks here again.
    pub fn temporary(location: impl Into<String>) -> Self {
        Self::with(StatusCode::TEMPORARY_REDIRECT, location)
    }

    /// 308: like [`temporary`](Self::temporary), and the client may remember it for
    /// ever.
    pub fn permanent(location: impl Into<String>) -> Self {
        Self::with(StatusCode::PERMANENT_REDIRECT, location)
    }

    fn with(status: StatusCode, location: impl Into<String>) -> Self {
        Self {
            status,
            location: location.into(),
        }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        let Some(location) = field_value(&self.location) else {
            let problem = format_args!("not a location for a redirect: {:?}", self.location);
            return Rejection::internal(problem).instead();
        };
        let mut response = self.status.into_response();
        response.headers_mut().insert(header::LOCATION, location);
        response
    }
}

/// Something new: status 201, with its location as `Location` (RFC 9110 section 15.3.2),
/// and a response, of which the body and the fields are sent.
///
/// The location is written as that of a [`Redirect`]. One that is not valid is a logged
/// 500.
///
/// ```
/// use farewell::{Created, IntoResponse, Rejection, Request};
///
/// fn create(mut request: Request) -> Result<Created<String>, Rejection> {
///     let note = request.text()?;
///     Ok(Created(format!("/notes/{}", 7), note))
/// }
/// # let _ = farewell::Router::new().post("/notes", create);
/// let response = Created("/notes/7".to_owned(), "milk").into_response();
/// assert_eq!(response.status(), 201);
/// assert_eq!(response.headers()["location"], "/notes/7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created<T>(pub String, pub T);

impl<T: IntoResponse> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let Self(location, rest) = self;
        match field_value(&location) {
            Some(value) => (StatusCode::CREATED, [(header::LOCATION, value)], rest).into_response(),
            None => {
                let problem = format_args!("not a location for a 201: {location:?}");
                Rejection::internal(problem).instead()
            }
        }
    }
}

/// The value of `Location`; `None` if `location` is not one.
fn field_value(location: &str) -> Option<HeaderValue> {
    let mut encoded = String::with_capacity(location.len());
    for character in location.chars() {
        match character {
            '!'..='~' => encoded.push(character),
            '\0'..='\x7f' => return None,
            _ => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    write!(encoded, "%{byte:02X}").ok()?;
                }
            }
        }
    }
    let value = HeaderValue::try_from(encoded).ok()?;
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_redirect_has_its_status() {
        for (redirect, status) in [
            (Redirect::see_other("/a?b=c#d"), 303),
            (Redirect::temporary("/a?b=c#d"), 307),
            (Redirect::permanent("/a?b=c#d"), 308),
        ] {
            let response = redirect.into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::LOCATION], "/a?b=c#d");
        }
        let found = (StatusCode::FOUND, Redirect::see_other("/")).into_response();
        assert_eq!(found.status(), 302);
    }

    #[test]
    fn characters_beyond_ascii_are_percent_encoded() {
        let response = Redirect::see_other("/grüße%20").into_response();
        let location = &response.headers()[header::LOCATION];
        assert_eq!(location, "/gr%C3%BC%C3%9Fe%20");
    }

    #[test]
    fn an_invalid_location_is_a_500_without_a_location() {
        for location in [
            "",
            "/a\r\nset-cookie: evil=1",
            "/a\nb",
            "/a\rb",
            "/a b",
            "/a\tb",
            "/\0",
            "/\x7f",
        ] {
            let response = (StatusCode::FOUND, Redirect::see_other(location)).into_response();
            assert_eq!(response.status(), 500, "{location:?}");
            assert_eq!(response.headers().len(), 1, "{response:?}");
            let created = Created(location.to_owned(), "milk").into_response();
            assert_eq!(created.status(), 500, "{location:?}");
            assert!(!created.headers().contains_key(header::LOCATION));
        }
    }

    #[test]
    fn something_new_has_its_location_and_the_fields_of_its_body() {
        let body = ([("etag", "\"1\"")], "milk");
        let response = Created("/n\u{f6}te".to_owned(), body).into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[header::LOCATION], "/n%C3%B6te");
        assert_eq!(response.headers()[header::ETAG], "\"1\"");
        assert_eq!(response.into_body().into_bytes(10).unwrap(), "milk");
        let missing = Created("/1".to_owned(), None::<String>).into_response();
        assert_eq!(missing.status(), 404);
        assert!(!missing.headers().contains_key(header::LOCATION));
    }
}
