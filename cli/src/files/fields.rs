//! `--header`: fields of every response of a folder.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

/// One `--header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    name: HeaderName,
    value: HeaderValue,
}

/// Fields that `--header` cannot set, with the reason.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "the server frames its responses itself",
        &[
            "connection",
            "content-length",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ],
    ),
    ("the server sends the time itself", &["date"]),
    (
        "it depends on the file and on the request",
        &[
            "accept-ranges",
            "allow",
            "content-encoding",
            "content-range",
            "content-type",
            "etag",
            "last-modified",
            "location",
            "retry-after",
        ],
    ),
    ("use --cache-control", &["cache-control"]),
    ("use --auth-file", &["www-authenticate"]),
];

/// Parses `Name: value`.
pub(super) fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("'{}' is not the name of a field", name.escape_debug()))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| "its value has control characters".to_owned())?;
    let refused = REFUSED
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()));
    match refused {
        Some((reason, _)) => Err(format!("{name} cannot be set: {reason}")),
        None => Ok(Field { name, value }),
    }
}

/// Adds the fields to a response. A response keeps its own fields: the policy of a
/// listing, for example, is stricter than one for the pages of DIR. Names in `Vary`
/// add up (RFC 9110 section 12.5.5).
pub(super) fn add(fields: &[Field], headers: &mut HeaderMap) {
    let is_own = |name: &HeaderName| headers.contains_key(name) && name != header::VARY;
    let names: BTreeSet<&str> = fields
        .iter()
        .filter(|field| !is_own(&field.name))
        .map(|field| field.name.as_str())
        .collect();
    for field in fields {
        if names.contains(field.name.as_str()) {
            headers.append(&field.name, field.value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        field(text).unwrap_err()
    }

    #[test]
    fn a_field_has_a_name_and_a_value() {
        for (text, name, value) in [
            ("X-A: b", "x-a", "b"),
            ("X-A:b:c ", "x-a", "b:c"),
            ("X-A:", "x-a", ""),
            ("Link: </a>; rel=preload", "link", "</a>; rel=preload"),
        ] {
            let field = field(text).unwrap();
            assert_eq!(
                (field.name.as_str(), field.value.to_str().unwrap()),
                (name, value)
            );
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        assert!(problem("X-A").contains("'Name: value'"));
        assert!(problem("").contains("'Name: value'"));
        for text in [": b", "X A: b", "X-A : b", "X\r\n: b", "\u{e4}: b"] {
            assert!(
                problem(text).contains("not the name of a field"),
                "{text:?}"
            );
        }
        for text in ["X: a\r\nSet-Cookie: b", "X: a\0b", "X: a\x7fb"] {
            assert!(problem(text).contains("control characters"), "{text:?}");
        }
    }

    #[test]
    fn fields_of_the_server_are_refused_with_the_reason() {
        for (text, reason) in [
            ("Content-Length: 1", "frames its responses"),
            ("TRANSFER-ENCODING: chunked", "frames its responses"),
            ("connection: close", "frames its responses"),
            ("Date: now", "the time"),
            ("ETag: \"a\"", "depends on the file"),
            ("Cache-Control: no-store", "--cache-control"),
        ] {
            assert!(problem(text).contains(reason), "{text}");
        }
    }

    #[test]
    fn a_response_keeps_its_own_fields_and_repeated_ones_are_all_sent() {
        let fields = ["A: 1", "A: 2", "B: 3", "Vary: Cookie"];
        let fields = fields.map(|text| field(text).unwrap());
        let mut headers = HeaderMap::new();
        headers.insert("b", HeaderValue::from_static("own"));
        headers.insert("vary", HeaderValue::from_static("accept-encoding"));
        add(&fields, &mut headers);
        let all = |name: &str| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("a"), ["1", "2"]);
        assert_eq!(all("b"), ["own"]);
        assert_eq!(all("vary"), ["accept-encoding", "Cookie"]);
    }
}
