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
    /// counts as an empty one, which suits a `T` whose fields are all optional.
    ///
    /// A field that may be repeated is a `Vec`, with `#[serde(default)]` if it may be
    /// missing; it has the values in their order. Any other field that is repeated is
    /// refused, in a struct as in a map. A sequence of pairs gets all fields, in their
    /// order.
    ///
    /// `a=` is an empty string. For an `Option` of a number or a `bool` it is `None`,
    /// because a web page sends an empty input like that. A `bool` is `true`, `on` or
    /// `false`.
    ///
    /// # Errors
    ///
    /// 400: the query does not match `T`, or is not percent-encoded UTF-8. The line says
    /// which field does not match, and why.
    ///
    /// ```
    /// use farewell::{Rejection, Request};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Page {
    ///     from: usize,
    ///     count: Option<usize>,
    ///     #[serde(default)]
    ///     tag: Vec<String>, // as in `?from=0&tag=red&tag=green`
    /// }
    ///
    /// fn list(request: Request) -> Result<String, Rejection> {
    ///     let page: Page = request.query()?;
    ///     let count = page.count.unwrap_or(10);
    ///     Ok(format!("{count} from {}, tagged {:?}", page.from, page.tag))
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
    Data(String),
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
    let fields = serde_html_form::Deserializer::from_bytes(text.as_bytes());
    serde_path_to_error::deserialize(fields).map_err(|error| {
        // It begins with the name of the field. It may quote what the client sent, so it
        // is reduced to one line.
        let text = error.to_string().replace(char::is_control, " ");
        Flaw::Data(match text.strip_suffix(UNSUPPORTED) {
            Some(field) => format!("{field}it is repeated"),
            None => text,
        })
    })
}

/// What the parser says of a field that is repeated, if its type is no sequence.
const UNSUPPORTED: &str = "unsupported value";

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
    fn a_repeated_field_is_a_sequence_and_nothing_else() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct One {
            a: u8,
        }
        assert_eq!(parse(b"a=1&b=2&b=3"), Ok(One { a: 1 }));
        assert!(matches!(parse::<One>(b"a=1&a=2"), Err(Flaw::Data(_))));
        let map = parse::<HashMap<String, u8>>(b"a=1&a=2");
        assert!(matches!(map, Err(Flaw::Data(_))), "{map:?}");

        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Many {
            #[serde(default)]
            a: Vec<u8>,
            b: Option<u8>,
        }
        let many = |a: &[u8], b| {
            let a = a.to_vec();
            Ok(Many { a, b })
        };
        assert_eq!(parse(b"a=3&b=7&a=1&a=2"), many(&[3, 1, 2], Some(7)));
        assert_eq!(parse(b"a=1&b="), many(&[1], None));
        assert_eq!(parse(b""), many(&[], None));
        let lists: HashMap<String, Vec<u8>> = parse(b"a=1&b=2&a=3").unwrap();
        assert_eq!(lists["a"], [1, 3]);
        assert!(matches!(parse::<Many>(b"a=1&a=x"), Err(Flaw::Data(_))));
    }

    #[test]
    fn a_refusal_names_the_field_and_the_reason() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Page {
            from: u8,
            #[serde(default)]
            tag: Vec<u8>,
        }
        for (query, why) in [
            (&b""[..], "missing field `from`"),
            (b"from=300", "from: number too large to fit in target type"),
            (b"from=x", "from: invalid digit found in string"),
            (
                b"from=1&tag=2&tag=",
                "tag[1]: cannot parse integer from empty string",
            ),
            (b"from=1&from=2", "from: it is repeated"),
        ] {
            assert_eq!(parse::<Page>(query), Err(Flaw::Data(why.to_owned())));
        }
        let Err(Flaw::Data(why)) = parse::<HashMap<String, u8>>(b"a%0D%0Ab=x") else {
            panic!("x is no number");
        };
        assert!(!why.contains(char::is_control), "{why:?}");
    }

    #[test]
    fn many_fields_are_read_or_refused_in_a_short_time() {
        let repeated = "a=1&".repeat(10_000);
        let lists: HashMap<String, Vec<u8>> = parse(repeated.as_bytes()).unwrap();
        assert_eq!(lists["a"].len(), 10_000);
        let different: String = (0..10_000).map(|n| format!("a{n}={n}&")).collect();
        let map: HashMap<String, u16> = parse(different.as_bytes()).unwrap();
        assert_eq!(map.len(), 10_000);
        assert_eq!(pairs(different.as_bytes()).unwrap().len(), 10_000);
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
