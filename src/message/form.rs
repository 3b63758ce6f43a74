//! Queries and forms, with the feature `form`.

use http::StatusCode;
use serde::de::DeserializeOwned;

use super::media_type::media_type;
use super::percent;
use super::rejection::Rejection;
use super::request::Request;

impl Request {
    /// The query of the request target, read as `a=1&b=2`. Needs the feature
    /// `form`.
    ///
    /// Names and values are percent-decoded, and `+` is a space. A missing query
    /// counts as an empty one, which suits a `T` whose fields are all optional. If a
    /// field is repeated, a struct is refused, a map gets the last value, and a
    /// sequence of pairs gets all values. A field cannot be a sequence itself.
    ///
    /// # Errors
    ///
    /// 400: the query does not match `T`, or is not percent-encoded UTF-8.
    ///
    /// ```
    /// use farewell::{Rejection, Request};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Page {
    ///     from: usize,
    ///     count: Option<usize>,
    /// }
    ///
    /// fn list(request: Request) -> Result<String, Rejection> {
    ///     let page: Page = request.query()?;
    ///     Ok(format!("{} from {}", page.count.unwrap_or(10), page.from))
    /// }
    /// # let _ = list;
    /// ```
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        let query = self.uri().query().unwrap_or_default();
        parse(query.as_bytes())
            .map_err(|flaw| Rejection::new(StatusCode::BAD_REQUEST, flaw.explain("query string")))
    }

    /// The body, read as the form of a web page
    /// (`application/x-www-form-urlencoded`). Needs the feature `form`.
    ///
    /// [`query`](Self::query) says how fields are decoded, and what happens to
    /// repeated ones.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], which a handler can return as its response:
    ///
    /// - 415: the `Content-Type` is another one, or missing.
    /// - 400: the body is not percent-encoded UTF-8.
    /// - 422: the body is a form, but does not match `T`.
    /// - Those of [`bytes`](Self::bytes).
    ///
    /// ```
    /// use farewell::{Rejection, Request};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Comment {
    ///     text: String,
    /// }
    ///
    /// fn comment(mut request: Request) -> Result<String, Rejection> {
    ///     let comment: Comment = request.form()?;
    ///     Ok(comment.text)
    /// }
    /// # let _ = comment;
    /// ```
    pub fn form<T: DeserializeOwned>(&mut self) -> Result<T, Rejection> {
        if media_type(self.headers()) != "application/x-www-form-urlencoded" {
            return Err(Rejection::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected Content-Type: application/x-www-form-urlencoded",
            ));
        }
        parse(&self.bytes()?).map_err(|flaw| {
            let status = match flaw {
                Flaw::Encoding => StatusCode::BAD_REQUEST,
                Flaw::Data(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Rejection::new(status, flaw.explain("request body"))
        })
    }
}

#[derive(Debug, PartialEq)]
enum Flaw {
    /// A `%` without two digits, or not UTF-8 after decoding.
    Encoding,
    /// Well-formed, but does not match `T`.
    Data(serde_urlencoded::de::Error),
}

impl Flaw {
    fn explain(&self, what: &str) -> String {
        match self {
            Self::Encoding => format!("{what} is not percent-encoded UTF-8"),
            Self::Data(error) => format!("{what} does not match the expected type: {error}"),
        }
    }
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Flaw> {
    // The parser accepts any bytes, and replaces those that are not UTF-8, so they are
    // refused before. One check of the whole text is enough: the separators are ASCII.
    let text = str::from_utf8(text).map_err(|_| Flaw::Encoding)?;
    percent::decode(text).ok_or(Flaw::Encoding)?;
    serde_urlencoded::from_str(text).map_err(Flaw::Data)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Flaw> {
        parse(text)
    }

    #[test]
    fn fields_are_decoded() {
        let expected = [("a b", "1&2"), ("ü", ""), ("a b", "3")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = pairs(b"a+b=1%262&%C3%BC&a%20b=3").unwrap();
        assert_eq!(found, expected);
        assert_eq!(pairs(b"").unwrap(), []);
    }

    #[test]
    fn a_repeated_field_is_refused_by_a_struct_and_replaced_in_a_map() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct One {
            a: u8,
        }
        assert_eq!(parse(b"a=1&b=2"), Ok(One { a: 1 }));
        assert!(matches!(parse::<One>(b"a=1&a=2"), Err(Flaw::Data(_))));
        let map: HashMap<String, u8> = parse(b"a=1&a=2").unwrap();
        assert_eq!(map["a"], 2);
        let lists = parse::<HashMap<String, Vec<u8>>>(b"a=1");
        assert!(matches!(lists, Err(Flaw::Data(_))));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() {
        for text in [&b"a=%FF"[..], b"a=%", b"%zz", b"a=\xff", b"a=%C3&%BC"] {
            assert_eq!(pairs(text), Err(Flaw::Encoding), "{text:?}");
        }
    }

    #[test]
    fn a_form_of_another_type_is_told_from_a_wrong_encoding() {
        assert!(matches!(
            parse::<[(String, u8); 1]>(b"a=256"),
            Err(Flaw::Data(_))
        ));
    }
}
