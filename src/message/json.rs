//! JSON bodies (RFC 8259), with the feature `json`.

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::body::Body;
use super::media_type::media_type;
use super::rejection::Rejection;
use super::request::Request;
use super::response::IntoResponse;
use super::response::Response;

/// A value that is sent as JSON: `application/json`, status 200. Needs the
/// feature `json`.
///
/// If JSON cannot express the value, such as a map whose keys are tuples, the
/// server logs an error and the client gets a 500.
///
/// ```
/// use farewell::{Json, Request};
///
/// let routes = farewell::Router::new()
///     .get("/sum", |_: Request| Json(serde_json::json!({ "sum": 3 })))
///     .build()?;
/// # let _ = routes;
/// # Ok::<(), farewell::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let text = match serde_json::to_vec(&self.0) {
            Ok(text) => text,
            Err(error) => {
                let name = std::any::type_name::<T>();
                let problem = format_args!("cannot write {name} as JSON: {error}");
                return Rejection::internal(problem).instead();
            }
        };
        let mut response = Response::new(Body::from(text));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

impl IntoResponse for serde_json::Value {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl Request {
    /// The body, read as JSON. Needs the feature `json`.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], which a handler can return as its response:
    ///
    /// - 415: the `Content-Type` is not `application/json` and does not end with
    ///   `+json`. A missing one is refused too, because a web page of another site can
    ///   send such a body without a CORS preflight.
    /// - 400: the body is not valid JSON; the message names the line and column.
    /// - 422: the body is JSON, but does not match `T`.
    /// - Those of [`bytes`](Self::bytes).
    ///
    /// ```
    /// use farewell::{Json, Rejection, Request};
    ///
    /// fn sum(mut request: Request) -> Result<Json<i64>, Rejection> {
    ///     let numbers: Vec<i64> = request.json()?;
    ///     Ok(Json(numbers.into_iter().fold(0, i64::wrapping_add)))
    /// }
    /// # let _ = sum;
    /// ```
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, Rejection> {
        if !is_json(&media_type(self.headers())) {
            return Err(Rejection::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected Content-Type: application/json",
            ));
        }
        parse(&self.bytes()?)
    }
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Rejection> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // The first error may be one of type, although the text behind it is not JSON.
    let flaw = match error.classify() {
        Category::Data => serde_json::from_slice::<IgnoredAny>(body).err(),
        Category::Syntax | Category::Eof | Category::Io => return Err(not_json(&error)),
    };
    Err(match flaw {
        Some(flaw) => not_json(&flaw),
        None => Rejection::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("request body does not match the expected type: {error}"),
        ),
    })
}

fn not_json(error: &serde_json::Error) -> Rejection {
    let message = format!("request body is not valid JSON: {error}");
    Rejection::new(StatusCode::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_media_types_are_json() {
        for json in ["application/json", "application/problem+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "text/json", "application/jsonp", "text/plain", "json"] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn a_value_is_sent_as_json() {
        let response = serde_json::json!({"a": [1, null]}).into_response();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.body().content.length(), Some(14));
    }

    #[test]
    fn a_value_that_is_no_json_is_a_500_whatever_its_status() {
        let impossible = std::collections::HashMap::from([((1, 2), 3)]);
        let response = (StatusCode::CREATED, Json(impossible)).into_response();
        assert_eq!(response.status(), 500);
    }

    #[test]
    fn invalid_json_is_told_from_json_of_another_type() {
        let parse = |body: &'static str| parse::<Vec<u8>>(&Bytes::from(body));
        assert_eq!(parse("[1, 2]"), Ok(vec![1, 2]));
        for (body, status) in [
            ("", 400),
            ("[1,\n2", 400),
            ("[1] 2", 400),
            ("{}", 422),
            ("[256]", 422),
            ("[256", 400),
            ("{} {}", 400),
        ] {
            assert_eq!(parse(body).unwrap_err().status(), status, "{body}");
        }
        let error = parse("[1,\n x]").unwrap_err();
        assert!(error.message().contains("line 2 column 2"), "{error}");
    }
}
