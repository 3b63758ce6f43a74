//! Cookies (RFC 6265), by the crate `cookie`, with the feature `cookies`.

use std::borrow::Cow;

use cookie::Cookie;
use cookie::CookieJar;
use http::HeaderName;
use http::HeaderValue;
use http::header;
use percent_encoding::percent_decode_str;

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
    /// Values are percent-decoded here, and percent-encoded in the response, so that a
    /// value may be any text. Names are taken as they are: `%5F%5FHost-id` is not
    /// `__Host-id`, a name by which a browser promises that the site itself has set the
    /// cookie. In a response a name has to be a token (RFC 9110 section 5.6.2); otherwise
    /// the response is a logged 500.
    ///
    /// A client can send anything: a cookie that has no name or no `=`, or that is not
    /// UTF-8, is left out. If two cookies have one name, the jar has the first, because
    /// browsers send that of the longest path first.
    ///
    /// To remove a cookie, name the path and the domain that it was set with:
    /// `jar.remove(Cookie::build("visits").path("/"))`. The browser keeps a cookie of
    /// another path, and without a path takes the folder of the request.
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
            if let Some((name, value)) = parse(pair)
                && jar.get(name).is_none()
            {
                jar.add_original(Cookie::new(name.to_owned(), value.into_owned()));
            }
        }
        jar
    }
}

/// The name of a cookie, and its decoded value. The name must not become another one by
/// what is removed from it, or a client could forge the prefix `__Host-`: so only blanks
/// and tabs are, and not all that Unicode calls a space.
fn parse(pair: &[u8]) -> Option<(&str, Cow<'_, str>)> {
    let (name, value) = str::from_utf8(pair).ok()?.split_once('=')?;
    let [name, value] = [name, value].map(|text| text.trim_matches([' ', '\t']));
    let value = percent_decode_str(value).decode_utf8().ok()?;
    (!name.is_empty()).then_some((name, value))
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

/// The value of `Set-Cookie`; `None` if the name or an attribute cannot be written. The
/// value of the cookie always can, because it is percent-encoded.
fn field_value(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    // The name of a field is a token too.
    HeaderName::from_bytes(cookie.name().as_bytes()).ok()?;
    let mut attributes = [cookie.path(), cookie.domain()].into_iter().flatten();
    // It would begin another attribute.
    if attributes.any(|attribute| attribute.contains(';')) {
        return None;
    }
    let mut encoded = cookie.clone();
    let pair = Cookie::new("", cookie.value()).encoded().to_string();
    encoded.set_value(pair.trim_start_matches('=').to_owned());
    HeaderValue::try_from(encoded.to_string()).ok()
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
        let response = set(Cookie::new("a%20b", "=x; Domain=evil\r\nü"));
        assert_eq!(
            response.headers()[header::SET_COOKIE],
            "a%20b=%3Dx%3B%20Domain%3Devil%0D%0A%C3%BC"
        );
    }

    #[test]
    fn a_name_that_is_no_token_is_a_500() {
        for name in ["", "a b", "a=b", "a;b", "a\r\nx-evil: 1", "\u{fc}"] {
            let response = set(Cookie::new(name, "1"));
            assert_eq!(response.status(), 500, "{name:?}");
            assert_eq!(response.headers().get(header::SET_COOKIE), None);
        }
    }

    #[test]
    fn no_spelling_of_a_name_is_taken_for_another_name() {
        for forged in [
            "%5F%5FHost-id=evil",
            "\u{2000}__Host-id=evil",
            "\u{a0}__Host-id\u{3000}=evil",
            "\x0b__Host-id=evil",
        ] {
            let cookies = format!("{forged}; __Host-id=good; text=a%20b%3B; none; =1; x=%ff");
            let field = HeaderValue::from_bytes(cookies.as_bytes());
            let Ok(field) = field else { continue };
            let request = http::Request::get("/").header(header::COOKIE, field);
            let jar = Request::from_http(request.body(()).unwrap()).cookies();
            let value = |name| jar.get(name).map(|cookie| cookie.value().to_owned());
            assert_eq!(value("__Host-id").as_deref(), Some("good"), "{forged:?}");
            assert_eq!(value("text").as_deref(), Some("a b;"));
            assert_eq!(jar.iter().count(), 3, "{jar:?}");
        }
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
