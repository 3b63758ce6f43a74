//! A layer for requests with a token.

use http::header;

use super::token::Token;
use super::token::challenge;
use super::token::explain;
use crate::error::Error;
use crate::handler::Handler;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// A layer that lets requests pass which carry `token` as `Authorization: Bearer TOKEN`
/// (RFC 6750 section 2.1). Needs the feature `auth`.
///
/// ```
/// use farewell::{Handler, Request, Router, bearer_auth, http};
///
/// // A real token is random, and comes from a file or from the environment.
/// let token = "open-sesame";
/// let changes = Router::new()
///     .put("/note", |_: Request| "changed\n")
///     .layer(bearer_auth(token)?);
/// let routes = Router::new()
///     .get("/note", |_: Request| "milk\n") // for all
///     .merge(changes)
///     .build()?;
///
/// let put = |token: &str| {
///     let request = http::Request::put("/note").header("authorization", token);
///     routes.handle(Request::from_http(request.body(()).unwrap()))
/// };
/// assert_eq!(put("Bearer open-sesame").status(), 200);
/// assert_eq!(put("Bearer sesame").status(), 401);
/// # Ok::<(), farewell::Error>(())
/// ```
///
/// Other requests get a [`Rejection`] with a `WWW-Authenticate` (RFC 6750 section 3):
///
/// | status | field | the request |
/// |---|---|---|
/// | 401 | `Bearer` | has no token |
/// | 401 | `Bearer error="invalid_token"` | has another token |
/// | 400 | `Bearer error="invalid_request"` | has more than one `Authorization` |
///
/// Whitespace around the token is removed, such as the end of the line in a file. The
/// comparison takes the same time wherever a wrong token of the same length differs; the
/// length is no secret. The layer is cheap to clone, for several routers.
///
/// **Not promised.** Nothing limits how many tokens a client may try, so use a random one:
/// `openssl rand -hex 32`. Without TLS, which the server does not have, the token crosses
/// the network in the clear. A browser asks for other origins' permission with an
/// `OPTIONS` that carries no token: put a layer for CORS outside of this one.
///
/// # Errors
///
/// The token is empty, or is not one word of visible ASCII characters;
/// [`Error::is_config`] is true. The text does not quote the token.
pub fn bearer_auth(
    token: &str,
) -> Result<impl Fn(Request, &dyn Handler) -> Response + Clone + Send + Sync + use<>, Error> {
    let token = Token::new(token)?;
    Ok(move |request: Request, next: &dyn Handler| {
        let Err(problem) = token.check(request.headers()) else {
            return next.handle(request);
        };
        Rejection::new(problem.status(), explain(problem))
            .with_header(header::WWW_AUTHENTICATE, challenge(problem))
            .into_response()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Router;

    #[test]
    fn each_refusal_has_the_challenge_of_its_reason() {
        let layer = bearer_auth("secret").unwrap();
        let routes = Router::new().get("/", |_: Request| "in").layer(layer);
        let routes = routes.build().unwrap();
        for (fields, status, challenge) in [
            (&["Bearer secret"][..], 200, None),
            (&[], 401, Some("Bearer")),
            (&["Basic c2VjcmV0"], 401, Some("Bearer")),
            (
                &["Bearer other"],
                401,
                Some("Bearer error=\"invalid_token\""),
            ),
            (
                &["Bearer secret", "Bearer secret"],
                400,
                Some("Bearer error=\"invalid_request\""),
            ),
        ] {
            let mut request = http::Request::get("/");
            for &field in fields {
                request = request.header(header::AUTHORIZATION, field);
            }
            let response = routes.handle(Request::from_http(request.body(()).unwrap()));
            assert_eq!(response.status(), status, "{fields:?}");
            let found = response.headers().get(header::WWW_AUTHENTICATE);
            let found = found.map(|found| found.to_str().unwrap());
            assert_eq!(found, challenge, "{fields:?}");
        }
    }

    #[test]
    fn the_error_for_a_token_does_not_quote_it() {
        let error = bearer_auth("open sesame").err().unwrap();
        assert!(error.is_config());
        assert!(!error.to_string().contains("sesame"), "{error}");
    }
}
