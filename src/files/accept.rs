//! Which of the types that a server has a client wants (RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::header;

use super::encoding::thousandths;

/// A media type that is compared with `Accept`: `["text", "html"]`.
pub(super) type MediaType = [&'static str; 2];

pub(super) const HTML: MediaType = ["text", "html"];
pub(super) const JSON: MediaType = ["application", "json"];

/// How much a client wants a media type: first by weight, then by how closely `Accept`
/// names it. `application/json, */*` wants JSON, and `*/*` each type alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wish {
    weight: Weight,
    closeness: Closeness,
}

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

impl Wish {
    /// The wish for this type. Elements that are malformed are ignored.
    pub(super) fn of(headers: &HeaderMap, media_type: MediaType) -> Self {
        let mut wish = Self {
            weight: 0,
            closeness: Closeness::NotNamed,
        };
        let values = headers.get_all(header::ACCEPT).iter();
        for element in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
        {
            if let Some((range, weight)) = parse(element) {
                wish.consider(range, weight, media_type);
            }
        }
        wish
    }

    /// Whether the client names the very type, and accepts it. Many programs that want no
    /// page send `*/*`; a browser that shows a page names `text/html`.
    pub(super) fn is_named(self) -> bool {
        self.weight > 0 && self.closeness == Closeness::Named
    }

    /// The closest range decides the weight of a type; of two as close, the larger one.
    fn consider(&mut self, range: [&str; 2], weight: Weight, of: MediaType) {
        let is = |place: usize| range[place].eq_ignore_ascii_case(of[place]);
        let closeness = match range {
            ["*", "*"] => Closeness::Any,
            [_, "*"] if is(0) => Closeness::Type,
            _ if is(0) && is(1) => Closeness::Named,
            _ => return,
        };
        if (closeness, weight) > (self.closeness, self.weight) {
            *self = Self { weight, closeness };
        }
    }
}

/// Whether a client prefers JSON to a page. One that accepts neither gets the page.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let json = Wish::of(headers, JSON);
    json.weight > 0 && json > Wish::of(headers, HTML)
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
    fn a_type_is_named_by_itself_and_with_a_weight() {
        let is_named = |accept: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            Wish::of(&headers, HTML).is_named()
        };
        for accept in [
            "text/html",
            "Text/HTML;q=0.1",
            "application/xhtml+xml, text/html; charset=utf-8, */*;q=0.8",
        ] {
            assert!(is_named(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "text/html; q=0.000, */*",
            "text/html-sandboxed",
            "x-text/html",
            "image/png;alt=text/html",
        ] {
            assert!(!is_named(accept), "{accept}");
        }
        assert!(!Wish::of(&HeaderMap::new(), HTML).is_named());
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
