//! What a handler returns beside a body: a status, header fields.

use std::fmt;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::rejection::Rejection;
use super::rejection::field;
use super::response::IntoResponse;
use super::response::Response;

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let (status, rest) = self;
        let mut response = rest.into_response();
        if !Rejection::is_instead(&response) {
            *response.status_mut() = status;
        }
        response
    }
}

impl IntoResponse for HeaderMap {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl<T: IntoResponse> IntoResponse for (HeaderMap, T) {
    fn into_response(self) -> Response {
        let (fields, rest) = self;
        with_fields(rest.into_response(), fields)
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, HeaderMap, T) {
    fn into_response(self) -> Response {
        let (status, fields, rest) = self;
        (status, (fields, rest)).into_response()
    }
}

impl<K, V, const N: usize> IntoResponse for [(K, V); N]
where
    K: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
{
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}

impl<K, V, T, const N: usize> IntoResponse for ([(K, V); N], T)
where
    K: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
    T: IntoResponse,
{
    fn into_response(self) -> Response {
        let (fields, rest) = self;
        match map_of(fields) {
            Ok(fields) => with_fields(rest.into_response(), fields),
            Err(rejection) => rejection.instead(),
        }
    }
}

impl<K, V, T, const N: usize> IntoResponse for (StatusCode, [(K, V); N], T)
where
    K: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
    T: IntoResponse,
{
    fn into_response(self) -> Response {
        let (status, fields, rest) = self;
        (status, (fields, rest)).into_response()
    }
}

fn map_of<K, V, const N: usize>(fields: [(K, V); N]) -> Result<HeaderMap, Rejection>
where
    K: TryInto<HeaderName, Error: fmt::Display>,
    V: TryInto<HeaderValue, Error: fmt::Display>,
{
    let mut map = HeaderMap::with_capacity(N);
    for (name, value) in fields {
        let (name, value) = field(name, value)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Adds header fields to a response. They replace those of the same name.
fn with_fields(mut response: Response, fields: HeaderMap) -> Response {
    if Rejection::is_instead(&response) {
        return response;
    }
    let present = response.headers_mut();
    // The iterator gives a name for the first of its values only.
    let mut last: Option<HeaderName> = None;
    for (name, value) in fields {
        let is_first = name.is_some();
        last = name.or(last);
        let Some(name) = &last else { continue };
        if is_first && *name != header::SET_COOKIE {
            present.insert(name, value);
        } else {
            present.append(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::request_body::BodyError;

    fn all(response: &Response, name: HeaderName) -> Vec<&str> {
        let values = response.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn fields_replace_those_of_the_same_name_and_are_repeated_as_given() {
        let inner = (
            [
                (header::VARY, "a"),
                (header::SET_COOKIE, "a=1"),
                (header::ETAG, "\"1\""),
            ],
            "text",
        );
        let fields = [
            ("content-type", "text/csv"),
            ("Vary", "b"),
            ("set-cookie", "b=2"),
            ("vary", "c"),
            ("set-cookie", "c=3"),
        ];
        let response = (StatusCode::ACCEPTED, fields, inner).into_response();
        assert_eq!(response.status(), 202);
        assert_eq!(all(&response, header::CONTENT_TYPE), ["text/csv"]);
        assert_eq!(all(&response, header::VARY), ["b", "c"]);
        assert_eq!(all(&response, header::SET_COOKIE), ["a=1", "b=2", "c=3"]);
        assert_eq!(all(&response, header::ETAG), ["\"1\""]);

        let mut map = HeaderMap::new();
        map.append(header::VARY, HeaderValue::from_static("d"));
        map.append(header::VARY, HeaderValue::from_static("e"));
        let response = (StatusCode::CREATED, map.clone(), response).into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(all(&response, header::VARY), ["d", "e"]);
        assert_eq!(all(&response, header::SET_COOKIE), ["a=1", "b=2", "c=3"]);
        assert_eq!(all(&map.into_response(), header::VARY), ["d", "e"]);
    }

    #[test]
    fn names_and_values_of_many_types_are_accepted() {
        let response = [(header::CONTENT_LENGTH, 7_u64)].into_response();
        assert_eq!(all(&response, header::CONTENT_LENGTH), ["7"]);
        let owned = [("x-a".to_owned(), "1".to_owned())].into_response();
        assert_eq!(owned.headers()["x-a"], "1");
        let none: [(&str, &str); 0] = [];
        assert!((none, ()).into_response().headers().is_empty());
    }

    #[test]
    fn an_invalid_field_makes_the_whole_response_a_500() {
        for (name, value) in [
            ("x-a", "1\r\nset-cookie: evil=1"),
            ("x-a", "1\n"),
            ("x-a", "\0"),
            ("x-a", "\x7f"),
            ("x-a\r\nx-b: 1\r\nx-c", "1"),
            ("x a", "1"),
            ("", "1"),
        ] {
            let fields = [("x-first", "1"), (name, value)];
            let response = (StatusCode::OK, fields, "secret").into_response();
            assert_eq!(response.status(), 500, "{name:?} {value:?}");
            assert_eq!(response.headers().len(), 1, "{response:?}");
            assert!(Rejection::is_instead(&response));
        }
    }

    #[test]
    fn what_is_beside_a_value_that_cannot_be_a_response_is_ignored() {
        let fields = || [(header::CONTENT_TYPE, "image/png")];
        let error = || std::io::Error::other("secret");
        let refused = || Rejection::new(StatusCode::GONE, "gone");
        for (response, status) in [
            ((StatusCode::OK, None::<()>).into_response(), 404),
            (
                (StatusCode::OK, fields(), Err::<(), _>(error())).into_response(),
                500,
            ),
            ((HeaderMap::new(), (fields(), error())).into_response(), 500),
            (
                (StatusCode::CREATED, fields(), Err::<(), _>(refused())).into_response(),
                410,
            ),
            (
                (
                    StatusCode::CREATED,
                    Err::<(), _>((StatusCode::GONE, "gone")),
                )
                    .into_response(),
                410,
            ),
            (
                (
                    StatusCode::OK,
                    Ok::<_, ()>(Err::<(), _>(BodyError::TOO_SLOW)),
                )
                    .into_response(),
                408,
            ),
        ] {
            assert_eq!(response.status(), status);
            let types = all(&response, header::CONTENT_TYPE);
            assert_eq!(types, ["text/plain; charset=utf-8"]);
        }
    }

    #[test]
    fn a_rejection_is_changed_as_any_response() {
        let gone = Rejection::new(StatusCode::GONE, "gone");
        let response = (StatusCode::CONFLICT, [("x-a", "1")], gone).into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()["x-a"], "1");
    }
}
