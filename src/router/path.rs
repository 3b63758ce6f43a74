//! Paths with parameters as routes have them, and their values in the path of
//! a request (RFC 3986 sections 2.1 and 3.3).

use std::sync::Arc;

use crate::message::percent;
use crate::message::route_match::Params;

/// Why no route can have this path, if that is so. What it lets through, the
/// tree may still refuse: parameters in places where it cannot have them.
pub(crate) fn flaw(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some("does not begin with '/'".to_owned());
    }
    // A client sends these encoded, or ends the path before them; a backtick is
    // encoded when it arrives (`Request::uri`).
    let never = |c: char| matches!(c, '?' | '#' | '"' | '<' | '>' | '`') || !c.is_ascii_graphic();
    if let Some(c) = path.chars().find(|&c| never(c)) {
        return Some(format!("holds {c:?}, which is percent-encoded in a path"));
    }
    // The tree would take a doubled brace for a literal one.
    if path.contains("{{") || path.contains("}}") {
        return Some("holds a doubled brace: a literal one is %7B or %7D".to_owned());
    }
    let names = names(path);
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Some(format!("has two parameters {{{name}}}"));
        }
    }
    None
}

/// The names of a path's parameters, in its order.
pub(crate) fn names(path: &str) -> Vec<Arc<str>> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| Arc::from(name.trim_start_matches('*')))
        .collect()
}

/// A route of a nested router, as a route of the whole. A path of `/` alone is
/// the prefix itself.
pub(crate) fn join(prefix: &str, path: &str) -> String {
    match path {
        "/" if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{prefix}{path}"),
    }
}

/// The values that were found for `names`, decoded. `None` if one of them is
/// not the encoding of any text.
pub(crate) fn values(names: &[Arc<str>], found: &matchit::Params<'_, '_>) -> Option<Params> {
    // By position: those of an area have one at their end that is nobody's.
    let found = names.iter().zip(found.iter());
    found
        .map(|(name, (_, value))| Some((Arc::clone(name), percent::decode(value)?.into_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_path() {
        for fine in ["/", "/a/b/", "/%7Bx%7D", "/{a}/b-{c}.png", "/{a}/{*b}"] {
            assert_eq!(flaw(fine), None, "{fine}");
        }
        for (path, expected) in [
            ("", "does not begin with '/'"),
            ("a", "does not begin with '/'"),
            ("*", "does not begin with '/'"),
            ("/a?b", "holds '?', which is percent-encoded in a path"),
            ("/`", "holds '`', which is percent-encoded in a path"),
            ("/<a>", "holds '<', which is percent-encoded in a path"),
            ("/\"", "holds '\"', which is percent-encoded in a path"),
            ("/a b", "holds ' ', which is percent-encoded in a path"),
            ("/ü", "holds 'ü', which is percent-encoded in a path"),
            ("/a\n", "holds '\\n', which is percent-encoded in a path"),
            (
                "/{{a}}",
                "holds a doubled brace: a literal one is %7B or %7D",
            ),
            ("/{a}/{b}/{*a}", "has two parameters {a}"),
        ] {
            assert_eq!(flaw(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn names_are_in_the_order_of_the_path() {
        let found = names("/a/{b}/c-{d}.e/{*f}");
        let found: Vec<&str> = found.iter().map(|name| &**name).collect();
        assert_eq!(found, ["b", "d", "f"]);
        assert!(names("/a/b").is_empty());
    }

    #[test]
    fn a_prefix_goes_before_a_path() {
        assert_eq!(join("", "/"), "/");
        assert_eq!(join("", "/a"), "/a");
        assert_eq!(join("/api", "/"), "/api");
        assert_eq!(join("/api", "/users/{id}"), "/api/users/{id}");
        assert_eq!(join("/api", "/users/"), "/api/users/");
    }
}
