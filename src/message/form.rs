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
    /// Percent-encoding is undone, and `+` is a space. No query is an empty one:
    /// a `T` whose fields are all optional takes it. A field that is there twice
    /// is an error, unless `T` is a sequence of pairs.
    ///
    /// # Errors
    ///
    /// 400: the query is not that of a `T`, or its encoding is not one of UTF-8
    /// text.
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
        parse(query.as_bytes()).map_err(|flaw| {
            Rejection::new(StatusCode::BAD_REQUEST, flaw.explain("the query", "valid"))
        })
    }

    /// The body, read as a form that a web page has sent
    /// (`application/x-www-form-urlencoded`). Needs the feature `form`.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], which is a response too:
    ///
    /// - 415: the `Content-Type` is another one, or missing.
    /// - 400: its encoding is not one of UTF-8 text.
    /// - 422: it is a form, and not that of a `T`.
    /// - Those of reading the body.
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
                "the body is to be application/x-www-form-urlencoded, with a Content-Type that says so",
            ));
        }
        parse(&self.bytes()?).map_err(|flaw| {
            let status = match flaw {
                Flaw::Encoding => StatusCode::BAD_REQUEST,
                Flaw::Data(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Rejection::new(status, flaw.explain("the form", "what is expected"))
        })
    }
}

#[derive(Debug, PartialEq)]
enum Flaw {
    /// A `%` without two digits, or no UTF-8 once it is decoded.
    Encoding,
    /// Well formed, and not what `T` needs.
    Data(serde_urlencoded::de::Error),
}

impl Flaw {
    fn explain(&self, what: &str, expected: &str) -> String {
        match self {
            Self::Encoding => format!("{what} is not percent-encoded UTF-8"),
            Self::Data(error) => format!("{what} is not {expected}: {error}"),
        }
    }
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Flaw> {
    // The parser takes everything, with replacement characters for what is no
    // text; nobody has meant those. What separates fields is ASCII, so the
    // whole is text exactly if each piece is.
    let text = str::from_utf8(text).map_err(|_| Flaw::Encoding)?;
    percent::decode(text).ok_or(Flaw::Encoding)?;
    serde_urlencoded::from_str(text).map_err(Flaw::Data)
}

#[cfg(test)]
mod tests {
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
    fn what_is_no_text_is_not_replaced_by_something_else() {
        for text in [&b"a=%FF"[..], b"a=%", b"%zz", b"a=\xff", b"a=%C3&%BC"] {
            assert_eq!(pairs(text), Err(Flaw::Encoding), "{text:?}");
        }
    }

    #[test]
    fn what_is_expected_and_missing_is_another_mistake() {
        assert!(matches!(
            parse::<[(String, u8); 1]>(b"a=256"),
            Err(Flaw::Data(_))
        ));
    }
}
