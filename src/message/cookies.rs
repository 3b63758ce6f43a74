//! Cookies (RFC 6265), by the crate `cookie`, with the feature `cookies`.

use cookie::Cookie;
use cookie::CookieJar;
use http::HeaderValue;
use http::header;

use super::rejection::Rejection;
use super::request::Request;
use super::response::IntoResponse;
use super::response::Response;

impl Request {
    /// The cookies of the request (RFC 6265 section 4.2). Needs the feature `cookies`.
    ///
    /// Return the jar beside a response, `(jar, T)`: the response sets the cookies that
    /// you have added or removed meanwhile.
    ///
    /// Names and values are percent-decoded here, and percent-encoded in the response,
    /// so that a value may be any text. A client can send anything: a cookie that has
    /// no name or no `=`, or that is not UTF-8, is left out. If two cookies have one
    /// name, the jar has the first, because browsers send that of the longest path
    /// first.
    ///
    /// The client can read and change the value of a cookie. The features `signed` and
    /// `private` of the crate `cookie` add jars against that; turn them on in your
    /// `Cargo.toml`.
    ///
    /// ```
    /// use farewell::cookie::{Cookie, SameSite};
    /// use farewell::{IntoResponse, Request};
    ///
    /// fn visit(request: Request) -> impl IntoResponse {
    ///     let mut jar = request.cookies();
    ///     let visits = jar.get("visits").and_then(|cookie| cookie.value().parse().ok());
    ///     let visits: u32 = visits.unwrap_or(0_u32).saturating_add(1);
    ///     let cookie = Cookie::build(("visits", visits.to_string()));
    ///     jar.add(cookie.path("/").http_only(true).same_site(SameSite::Lax));
    ///     (jar, format!("visit {visits}\n"))
    /// }
    /// # let _ = farewell::Router::new().get("/", visit);
    /// ```
    pub fn cookies(&self) -> CookieJar {
        let mut jar = CookieJar::new();
        let fields = self.headers().get_all(header::COOKIE).iter();
        // An invalid cookie spoils those of its own field alone if the field is not UTF-8.
        let pairs = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b';'));
        for pair in pairs {
            let parsed = str::from_utf8(pair).map(|pair| Cookie::parse_encoded(pair.to_owned()));
            if let Ok(Ok(cookie)) = parsed
                && jar.get(cookie.name()).is_none()
            {
                jar.add_original(cookie);
            }
        }
        jar
    }
}

impl<T: IntoResponse> IntoResponse for (CookieJar, T) {
    fn into_response(self) -> Response {
        let (jar, rest) = self;
        let mut response = rest.into_response();
        if Rejection::is_instead(&response) {
            return response;
        }
        for cookie in jar.delta() {
            match field_value(cookie) {
                Some(value) => response.headers_mut().append(header::SET_COOKIE, value),
                None => {
                    let problem = format_args!("cannot set the cookie {:?}", cookie.name());
                    return Rejection::internal(problem).instead();
                }
            };
        }
        response
    }
}

/// The value of `Set-Cookie`; `None` if an attribute cannot be written. The name and
/// the value of the cookie always can, because they are percent-encoded.
fn field_value(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut attributes = [cookie.path(), cookie.domain()].into_iter().flatten();
    // It would begin another attribute.
    if attributes.any(|attribute| attribute.contains(';')) {
        return None;
    }
    HeaderValue::try_from(cookie.encoded().to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cookie: Cookie<'static>) -> Response {
        let mut jar = CookieJar::new();
        jar.add(cookie);
        (jar, "text").into_response()
    }

    #[test]
    fn a_value_may_be_any_text_and_adds_no_attribute() {
        let response = set(Cookie::new("a b", "x; Domain=evil\r\nü"));
        assert_eq!(
            response.headers()[header::SET_COOKIE],
            "a%20b=x%3B%20Domain%3Devil%0D%0A%C3%BC"
        );
    }

    #[test]
    fn an_attribute_that_would_add_another_is_a_500() {
        for cookie in [
            Cookie::build(("a", "b")).path("/; Domain=evil"),
            Cookie::build(("a", "b")).domain("a; Secure"),
            Cookie::build(("a", "b")).path("/\r\nx-evil: 1"),
        ] {
            let response = set(cookie.build());
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers().get(header::SET_COOKIE), None);
        }
    }

    #[test]
    fn only_changes_are_sent() {
        let mut jar = CookieJar::new();
        jar.add_original(("old", "1"));
        jar.add_original(("gone", "1"));
        jar.add(("new", "2"));
        jar.remove("gone");
        let response = (jar, ()).into_response();
        let values = response.headers().get_all(header::SET_COOKIE).iter();
        let mut values: Vec<&str> = values.map(|value| value.to_str().unwrap()).collect();
        values.sort_unstable();
        assert_eq!(values.len(), 2);
        assert!(values[0].starts_with("gone=; Max-Age=0; Expires="));
        assert_eq!(values[1], "new=2");
    }
}
