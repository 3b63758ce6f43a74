//! A bearer token (RFC 6750), and whether a request carries it.

use std::sync::Arc;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use super::credentials::Problem;
use super::credentials::credentials;
use crate::error::Error;

/// A secret. It has no `Debug`, so that it cannot get into the log.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    /// The token without whitespace around it. An empty one, or one that no field can
    /// have, is an error that does not quote it.
    pub(crate) fn new(token: &str) -> Result<Self, Error> {
        let token = token.trim();
        let problem = match token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true if token.is_empty() => "is empty: it must be one word of visible ASCII characters",
            true => return Ok(Self(Arc::from(token))),
            false => "must be one word of visible ASCII characters",
        };
        Err(Error::config("the token", problem))
    }

    /// Checks whether a request with these fields carries the token. The time that this
    /// takes depends on the length of what the request has, and not on its content.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = credentials(headers, "Bearer")?;
        match bool::from(given.ct_eq(self.0.as_bytes())) {
            true => Ok(()),
            false => Err(Problem::Wrong),
        }
    }
}

/// The value of `WWW-Authenticate` (RFC 6750 section 3). A request without a token gets no
/// error code.
pub(crate) fn challenge(problem: Problem) -> &'static str {
    match problem {
        Problem::Missing => "Bearer",
        Problem::Repeated => "Bearer error=\"invalid_request\"",
        Problem::Wrong => "Bearer error=\"invalid_token\"",
    }
}

/// The reason, for the client and for the log.
pub(crate) fn explain(problem: Problem) -> &'static str {
    match problem {
        Problem::Missing => "the request has no field Authorization: Bearer TOKEN",
        Problem::Repeated => "the request has more than one field Authorization",
        Problem::Wrong => "the token is wrong",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header;

    use super::*;

    #[test]
    fn it_must_match_completely() {
        let token = Token::new(" secret\r\n").ok().unwrap();
        let with = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            token.check(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]))
        };
        for right in ["Bearer secret", "bearer secret", "Bearer  secret "] {
            assert_eq!(with(right), Ok(()), "{right}");
        }
        for wrong in [
            "Bearer secre",
            "Bearer secrets",
            "Bearer Secret",
            "Bearer ",
            "Bearer secret, secret",
            "Bearer \"secret\"",
            "Bearer Bearer secret",
        ] {
            assert_eq!(with(wrong), Err(Problem::Wrong), "{wrong}");
        }
        assert_eq!(with("Basic secret"), Err(Problem::Missing));
        assert_eq!(token.check(&HeaderMap::new()), Err(Problem::Missing));
    }

    #[test]
    fn one_that_no_request_can_carry_is_refused_and_not_quoted() {
        for (token, problem) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("open sesame", "must be one word"),
            ("s\u{e9}same", "must be one word"),
            ("open\r\nsesame", "must be one word"),
        ] {
            let error = Token::new(token).err().unwrap();
            assert!(error.is_config());
            assert!(error.to_string().contains(problem), "{token:?}: {error}");
            assert!(!error.to_string().contains("same"), "{error}");
        }
    }
}
