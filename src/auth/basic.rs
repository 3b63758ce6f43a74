//! A layer for requests with a name and a password (RFC 7617).

use std::sync::Arc;

use data_encoding::BASE64;
use http::HeaderMap;
use http::HeaderValue;
use http::header;

use super::credentials::Problem;
use super::credentials::credentials;
use crate::error::Error;
use crate::handler::Handler;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// The most bytes of a name and a password together, encoded. A hash for passwords may
/// take a time that grows with their length.
const ENCODED_BYTES_MAX: usize = 1024;

/// A layer that lets requests pass whose name and password `check` accepts
/// (`Authorization: Basic`, RFC 7617). Needs the feature `auth`.
///
/// ```
/// use farewell::{Handler, Request, Router, basic_auth, http};
/// use subtle::ConstantTimeEq; // the crate `subtle`
///
/// // A real password comes from a file or from the environment.
/// let password = "open sesame".to_owned();
/// let check = move |name: &str, given: &str| {
///     // `==` would tell by its time how much of the password is right.
///     name == "ali" && bool::from(given.as_bytes().ct_eq(password.as_bytes()))
/// };
/// let routes = Router::new()
///     .get("/note", |_: Request| "milk\n")
///     .layer(basic_auth("notes", check)?)
///     .build()?;
///
/// let get = |credentials: &str| {
///     let request = http::Request::get("/note").header("authorization", credentials);
///     routes.handle(Request::from_http(request.body(()).unwrap()))
/// };
/// assert_eq!(get("Basic YWxpOm9wZW4gc2VzYW1l").status(), 200); // ali:open sesame
/// assert_eq!(get("Basic YWxpOnNlc2FtZQ==").status(), 401);
/// # Ok::<(), farewell::Error>(())
/// ```
///
/// Other requests get a [`Rejection`]: a 401 with the field
/// `WWW-Authenticate: Basic realm="REALM", charset="UTF-8"`, at which a browser asks its
/// user for a name and a password. It shows the realm, and sends the same password for
/// what has the same realm.
///
/// # The check
///
/// `check` gets the name and the password. It runs on the worker of each request, also of
/// those with a wrong password, and may block, as to compute the hash of a password. What
/// that takes is added to every response, and meanwhile the request holds a worker: so
/// remember in memory what a slow check has accepted. If it answers faster for a name that
/// does not exist, its time tells which names do. A panic in it is a 500.
///
/// It is not called for credentials that are malformed, which are a 401 too:
///
/// - They are not base64 in its one form with padding (RFC 4648 section 4), are not UTF-8,
///   or have no colon. The name ends at the first colon; the password may have more.
/// - They have control characters, which RFC 7617 section 2 forbids.
/// - They have more than 1024 bytes in base64, 768 decoded.
///
/// A request with more than one `Authorization` is a 400.
///
/// **Not promised.** Nothing limits how many passwords a client may try. Without TLS, which
/// the server does not have, the password crosses the network in the clear. Names and
/// passwords are given as the client sent them: whether in Unicode's form NFC, as RFC 7617
/// section 2.1 wants, is up to the client. A browser asks for other origins' permission
/// with an `OPTIONS` without credentials: put a layer for CORS outside of this one.
///
/// # Errors
///
/// The realm has characters other than visible ASCII and blanks; [`Error::is_config`] is
/// true. Quotes and backslashes are escaped.
pub fn basic_auth<F>(
    realm: &str,
    check: F,
) -> Result<impl Fn(Request, &dyn Handler) -> Response + Clone + Send + Sync + use<F>, Error>
where
    F: Fn(&str, &str) -> bool + Send + Sync + 'static,
{
    let challenge = challenge(realm)?;
    let check = Arc::new(check);
    Ok(move |request: Request, next: &dyn Handler| {
        let Err(problem) = allows(&*check, request.headers()) else {
            return next.handle(request);
        };
        Rejection::new(problem.status(), explain(problem))
            .with_header(header::WWW_AUTHENTICATE, challenge.clone())
            .into_response()
    })
}

/// The value of `WWW-Authenticate`. The realm is a quoted string (RFC 9110 section 5.6.4).
fn challenge(realm: &str) -> Result<HeaderValue, Error> {
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !realm.bytes().all(is_plain) {
        let problem = "must have visible ASCII characters and blanks alone";
        return Err(Error::config("the realm", problem));
    }
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    Ok(HeaderValue::try_from(challenge).expect("visible ASCII characters and blanks are valid"))
}

fn allows(check: &impl Fn(&str, &str) -> bool, headers: &HeaderMap) -> Result<(), Problem> {
    let decoded = decoded(credentials(headers, "Basic")?).ok_or(Problem::Wrong)?;
    match decoded.split_once(':') {
        Some((name, password)) if check(name, password) => Ok(()),
        _ => Err(Problem::Wrong),
    }
}

/// The text of the credentials, if they are well formed.
fn decoded(encoded: &[u8]) -> Option<String> {
    if encoded.len() > ENCODED_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let has_controls = text.bytes().any(|byte| byte.is_ascii_control());
    (!has_controls).then_some(text)
}

/// The reason. It does not say whether the name or the password is wrong.
fn explain(problem: Problem) -> &'static str {
    match problem {
        Problem::Missing => "the request has no name and password",
        Problem::Repeated => "the request has more than one field Authorization",
        Problem::Wrong => "the name or the password is wrong",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::router::Router;

    /// The status of a request with these fields, and what the check has got.
    fn ask(fields: &[&[u8]]) -> (u16, Vec<(String, String)>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&seen);
        let check = move |name: &str, password: &str| {
            asked
                .lock()
                .unwrap()
                .push((name.to_owned(), password.to_owned()));
            name != "mallory"
        };
        let routes = Router::new().get("/", |_: Request| "in");
        let routes = routes.layer(basic_auth("the \"notes\"", check).unwrap());
        let routes = routes.build().unwrap();
        let mut request = http::Request::get("/");
        for &field in fields {
            request = request.header(header::AUTHORIZATION, field);
        }
        let response = routes.handle(Request::from_http(request.body(()).unwrap()));
        let status = response.status().as_u16();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        let expected = "Basic realm=\"the \\\"notes\\\"\", charset=\"UTF-8\"";
        assert_eq!(challenge.is_some(), status != 200);
        assert!(challenge.is_none_or(|challenge| challenge == expected));
        let seen = seen.lock().unwrap().clone();
        (status, seen)
    }

    fn with(credentials: impl AsRef<[u8]>) -> (u16, Vec<(String, String)>) {
        ask(&[format!("Basic {}", BASE64.encode(credentials.as_ref())).as_bytes()])
    }

    #[test]
    fn the_check_gets_what_stands_before_and_behind_the_first_colon() {
        for (credentials, name, password) in [
            // The examples of RFC 7617 sections 2 and 2.1.
            ("Aladdin:open sesame", "Aladdin", "open sesame"),
            ("test:123\u{a3}", "test", "123\u{a3}"),
            ("a:b:c:", "a", "b:c:"),
            (":", "", ""),
            (":secret", "", "secret"),
            ("ali:", "ali", ""),
            (" ali : secret ", " ali ", " secret "),
        ] {
            let expected = vec![(name.to_owned(), password.to_owned())];
            assert_eq!(with(credentials), (200, expected), "{credentials:?}");
        }
        assert_eq!(ask(&[b"bAsIc  QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]).0, 200);
        assert_eq!(with("mallory:x").0, 401);
    }

    #[test]
    fn malformed_credentials_are_refused_and_the_check_does_not_see_them() {
        let refused = (401, Vec::new());
        assert_eq!(ask(&[]), refused);
        for field in [
            &b"Basic"[..],
            b"Basic ",
            b"Bearer YTpi",
            b"YTpi",
            b"Basic YTpi, Basic YTpi",
            b"Basic YTp",    // without padding: `a:` and some bits
            b"Basic YTpiYw", // `a:bc` without its padding
            b"Basic YTpiYw=",
            b"Basic YTpiYw===",
            b"Basic YTpiYx==", // bits behind the last byte
            b"Basic YT pi",
            b"Basic Y_-i", // the alphabet for URLs
            b"Basic \"YTpi\"",
            b"Basic user=YTpi",
            b"Basic \xff\xfe",
            b"Basic a:b",
        ] {
            let shown = String::from_utf8_lossy(field);
            assert_eq!(ask(&[field]), refused, "{shown}");
        }
        for credentials in [
            &b"no colon"[..],
            b"",
            b"a:\xff",
            b"a:\xc3",
            b"a:\xed\xa0\x80", // a surrogate
            b"a:b\n",
            b"a\0:b",
            b"a:\x7f",
        ] {
            assert_eq!(with(credentials), refused, "{credentials:?}");
        }
    }

    #[test]
    fn a_repeated_field_is_a_400() {
        let fields: [&[u8]; 2] = [b"Basic YTpi", b"Basic YTpi"];
        assert_eq!(ask(&fields), (400, Vec::new()));
    }

    #[test]
    fn the_length_of_the_credentials_is_bounded() {
        let longest = format!("a:{}", "x".repeat(766));
        assert_eq!(with(&longest).0, 200);
        assert_eq!(with(longest + "x"), (401, Vec::new()));
    }

    #[test]
    fn the_realm_cannot_leave_its_quotes() {
        // The layer does not borrow the realm.
        let realm = "my notes".to_owned();
        let layer = basic_auth(&realm, |_, _| true).unwrap();
        drop(realm);
        assert!(Router::new().layer(layer).build().is_ok());
        for (realm, quoted) in [
            ("", r#""""#),
            ("my notes", r#""my notes""#),
            (r#"a", charset="x"#, r#""a\", charset=\"x""#),
            (r"a\", r#""a\\""#),
            (r#"\""#, r#""\\\"""#),
        ] {
            let value = challenge(realm).unwrap();
            let expected = format!("Basic realm={quoted}, charset=\"UTF-8\"");
            assert_eq!(value.to_str().unwrap(), expected);
        }
        for realm in ["a\r\nset-cookie: b", "a\tb", "caf\u{e9}", "\0", "\u{7f}"] {
            let error = basic_auth(realm, |_, _| true).err().unwrap();
            assert!(error.is_config(), "{realm:?}: {error}");
        }
    }
}
