//! The field `Authorization` of a request (RFC 9110 section 11.6.2).

use http::HeaderMap;
use http::StatusCode;
use http::header;

/// Why a request is not allowed what needs credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is no `Authorization`, or one of another scheme.
    Missing,
    /// There are two. To take one of them would be a guess, and a proxy that checks the
    /// credentials too may guess otherwise.
    Repeated,
    /// The credentials are not the right ones, or cannot be read.
    Wrong,
}

impl Problem {
    /// 401, unless other credentials do not help.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::Repeated => StatusCode::BAD_REQUEST,
        }
    }
}

/// What stands behind the name of this scheme, which has any case.
pub(crate) fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Result<&'a [u8], Problem> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = fields.next().ok_or(Problem::Missing)?.as_bytes();
    if fields.next().is_some() {
        return Err(Problem::Repeated);
    }
    let space = field.iter().position(|&byte| byte == b' ');
    let (name, rest) = field.split_at(space.ok_or(Problem::Missing)?);
    match name.eq_ignore_ascii_case(scheme.as_bytes()) {
        true => Ok(rest.trim_ascii()),
        false => Err(Problem::Missing),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(fields: &[&[u8]]) -> Result<Vec<u8>, Problem> {
        let mut headers = HeaderMap::new();
        for field in fields {
            let value = HeaderValue::from_bytes(field).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        credentials(&headers, "Bearer").map(<[u8]>::to_vec)
    }

    #[test]
    fn the_scheme_has_any_case_and_ends_at_a_space() {
        for field in ["Bearer a=b", "bearer a=b", "BEARER   a=b "] {
            assert_eq!(of(&[field.as_bytes()]), Ok(b"a=b".to_vec()), "{field}");
        }
        assert_eq!(of(&[b"Bearer a b"]), Ok(b"a b".to_vec()));
        assert_eq!(of(&[b"Bearer \xff"]), Ok(b"\xff".to_vec()));
    }

    #[test]
    fn another_scheme_is_as_good_as_none() {
        for field in [
            "",
            "Bearer",
            "Bearera b",
            "Basic a",
            "Bearer\ta",
            " Bearer a",
            "a",
        ] {
            assert_eq!(of(&[field.as_bytes()]), Err(Problem::Missing), "{field:?}");
        }
        assert_eq!(of(&[]), Err(Problem::Missing));
    }

    #[test]
    fn a_repeated_field_is_refused_even_if_both_are_the_same() {
        for second in ["Bearer a", "Bearer b", "Basic a", ""] {
            let fields: [&[u8]; 2] = [b"Bearer a", second.as_bytes()];
            assert_eq!(of(&fields), Err(Problem::Repeated), "{second:?}");
        }
    }
}
