//! The paths of routes: which are valid (RFC 3986 section 3.3).

use super::spelling;
use crate::route_table::params;

/// Why `path` is invalid; `None` if it is not. The tree of paths checks more: where
/// parameters may stand.
pub(crate) fn flaw(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some("does not begin with '/'".to_owned());
    }
    if let Some(flaw) = spelling::flaw(path) {
        return Some(flaw);
    }
    // Clients send these percent-encoded, or end the path before them. The server
    // encodes backticks itself (`Request::uri`).
    let never = |c: char| matches!(c, '?' | '#' | '"' | '<' | '>' | '`') || !c.is_ascii_graphic();
    if let Some(c) = path.chars().find(|&c| never(c)) {
        return Some(format!(
            "contains {c:?}, which must be percent-encoded in a path"
        ));
    }
    // The tree would read a doubled brace as a literal one.
    if path.contains("{{") || path.contains("}}") {
        return Some("contains a doubled brace: write a literal one as %7B or %7D".to_owned());
    }
    let names = params::names(path);
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Some(format!("has two parameters named {name}"));
        }
    }
    None
}

/// The whole path of a route in a nested router. The path `/` becomes the prefix
/// itself.
pub(crate) fn join(prefix: &str, path: &str) -> String {
    match path {
        "/" if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{prefix}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_paths_and_why() {
        for fine in ["/", "/a/b/", "/%7Bx%7D", "/{a}/b-{c}.png", "/{a}/{*b}"] {
            assert_eq!(flaw(fine), None, "{fine}");
        }
        for (path, expected) in [
            ("", "does not begin with '/'"),
            ("a", "does not begin with '/'"),
            ("*", "does not begin with '/'"),
            (
                "/a?b",
                "contains '?', which must be percent-encoded in a path",
            ),
            (
                "/`",
                "contains '`', which must be percent-encoded in a path",
            ),
            (
                "/<",
                "contains '<', which must be percent-encoded in a path",
            ),
            (
                "/\"",
                "contains '\"', which must be percent-encoded in a path",
            ),
            (
                "/a b",
                "contains ' ', which must be percent-encoded in a path",
            ),
            (
                "/ü",
                "contains 'ü', which must be percent-encoded in a path",
            ),
            (
                "/a\n",
                "contains '\\n', which must be percent-encoded in a path",
            ),
            (
                "/{{a}}",
                "contains a doubled brace: write a literal one as %7B or %7D",
            ),
            ("/{a}/{b}/{*a}", "has two parameters named a"),
        ] {
            assert_eq!(flaw(path).as_deref(), Some(expected), "{path}");
        }
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
