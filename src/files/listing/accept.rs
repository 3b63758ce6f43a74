//! Whether a client prefers JSON to a page (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header;

use crate::files::encoding::thousandths;

/// How much a client wants a media type: first by weight, then by how closely `Accept`
/// names it. `application/json, */*` wants JSON, and `*/*` the page.
type Wish = (Weight, Closeness);

/// A weight in thousandths. 0: not acceptable.
type Weight = u16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    NotNamed,
    /// `*/*`.
    Any,
    /// `application/*`.
    Type,
    /// `application/json`.
    Named,
}

/// A client that accepts neither gets the page. Elements that are malformed are ignored.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let mut json = (0, Closeness::NotNamed);
    let mut html = json;
    let values = headers.get_all(header::ACCEPT).iter();
    for element in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let Some((range, weight)) = parse(element) else {
            continue;
        };
        consider(&mut json, range, weight, ["application", "json"]);
        consider(&mut html, range, weight, ["text", "html"]);
    }
    let (weight, _) = json;
    weight > 0 && json > html
}

/// The closest range decides the weight of a type; of two as close, the larger one.
fn consider(wish: &mut Wish, range: [&str; 2], weight: Weight, of: [&str; 2]) {
    let is = |place: usize| range[place].eq_ignore_ascii_case(of[place]);
    let closeness = match range {
        ["*", "*"] => Closeness::Any,
        [_, "*"] if is(0) => Closeness::Type,
        _ if is(0) && is(1) => Closeness::Named,
        _ => return,
    };
    if (closeness, weight) > (wish.1, wish.0) {
        *wish = (weight, closeness);
    }
}

/// A media range and its weight. Other parameters are ignored: the types that are compared
/// have none that would matter.
fn parse(element: &str) -> Option<([&str; 2], Weight)> {
    let mut parts = element.split(';').map(str::trim);
    let (main, sub) = parts.next()?.split_once('/')?;
    let mut weight = 1000;
    for parameter in parts.filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=')?;
        if name.eq_ignore_ascii_case("q") {
            weight = thousandths(value.as_bytes())?;
        }
    }
    Some(([main, sub], weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        prefers_json(&headers)
    }

    #[test]
    fn json_is_for_clients_that_prefer_it_to_a_page() {
        for accept in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8;",
            "application/json, text/plain, */*",
            "*/*, application/json",
            "application/*",
            "text/html;q=0.5, application/json",
            "text/html;q=0.5, application/json;q=0.501",
            "text/html;q=0, */*",
            "text/html; q=0.9 , application/json ; q=1.000",
            "application/json;q=0.1",
            "nonsense, application/json",
        ] {
            assert!(prefers(&[accept]), "{accept}");
        }
        assert!(prefers(&["text/html;q=0.1", "application/json"]));
    }

    #[test]
    fn a_page_is_for_all_others() {
        assert!(!prefers(&[]));
        for accept in [
            "",
            "*/*",
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "text/html, application/json",
            "application/json, text/html",
            "application/json;q=0",
            "application/json;q=0, text/plain",
            "application/json;q=0.5, text/html;q=0.6",
            "application/json;q=0.5, */*",
            "application/json;q=2",
            "application/json;q=0.1234",
            "application/json;q=",
            "application/json;q",
            "application/jsonp",
            "image/png",
            "/, ;, =, q=1, application, */",
        ] {
            assert!(!prefers(&[accept]), "{accept}");
        }
    }
}
