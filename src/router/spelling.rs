//! Recognizes parameters that are written as other routers have them. Here they would be
//! literal text, or a parameter with an odd name, and the route would match no request
//! that its author has in mind.

/// What to write instead, if a path has a parameter in the spelling of another router.
pub(super) fn flaw(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').collect();
    let found = |at: usize| Foreign::find(segments[at], at + 1 == segments.len());
    let all: Vec<Option<Foreign>> = (0..segments.len()).map(found).collect();
    let (at, first) = all.iter().enumerate().find(|(_, found)| found.is_some())?;
    let Foreign { kind, wrong, right } = first.as_ref()?;
    let spelled_right = segments.iter().zip(&all).map(|(segment, found)| {
        let right = found.as_ref().map(|found| found.right.clone());
        right.unwrap_or_else(|| (*segment).to_owned())
    });
    let path = spelled_right.collect::<Vec<_>>().join("/");
    let what = match right.starts_with("{*") {
        true => "catch-all",
        false => "parameter",
    };
    Some(match kind {
        Kind::Segment => format!(
            "spells a {what} as '{}': write {path} (for this literal text, compare Request::param)",
            segments[at]
        ),
        Kind::Delimited => format!("spells a {what} as '{wrong}': write {path}"),
        Kind::Pattern => format!(
            "has {wrong}, but a parameter has no pattern: write {right} and parse it with Request::param_as"
        ),
        Kind::Optional => format!(
            "has {wrong}, but no parameter is optional: write {right}, and add a route without it"
        ),
    })
}

struct Foreign {
    kind: Kind,
    wrong: String,
    /// What to write instead of the whole segment; of `wrong` alone, for a pattern and an
    /// optional parameter.
    right: String,
}

enum Kind {
    /// `:id`, `*rest` or `*`.
    Segment,
    /// `<id>`, `<path:rest>`, `{rest...}` and the like.
    Delimited,
    /// `{id:[0-9]+}` or `{id:int}`.
    Pattern,
    /// `{id?}`.
    Optional,
}

impl Foreign {
    fn find(segment: &str, is_last: bool) -> Option<Self> {
        if let Some(rest) = segment.strip_prefix(':') {
            let (name, rest) = split_name(rest);
            let begins_name = |c: char| c.is_ascii_alphabetic() || c == '_';
            name.starts_with(begins_name).then(|| {
                let (kind, wrong) = (Kind::Segment, segment.to_owned());
                // What may follow is a pattern, or literal text.
                let rest = if rest.starts_with(['.', '-']) {
                    rest
                } else {
                    ""
                };
                let right = format!("{{{name}}}{rest}");
                Self { kind, wrong, right }
            })
        } else if let Some(rest) = segment.strip_prefix('*') {
            let (name, rest) = split_name(rest.trim_start_matches('*'));
            let name = if name.is_empty() { "rest" } else { name };
            let right = parameter(name, is_last && rest.is_empty()) + rest;
            let (kind, wrong) = (Kind::Segment, segment.to_owned());
            Some(Self { kind, wrong, right })
        } else if let Some((_, rest)) = segment.split_once('<') {
            let inside = rest.split('>').next()?;
            let (name, kind_of_value) = match inside.split_once(':') {
                Some((kind, name)) => (name, kind),
                None => (inside, ""),
            };
            let is_catch_all = is_last && (kind_of_value == "path" || name.ends_with(".."));
            let (name, _) = split_name(name);
            Self::delimited(segment, &format!("<{inside}>"), name, is_catch_all)
        } else if let Some((_, rest)) = segment.split_once('{') {
            Self::braced(segment, rest.split('}').next()?, is_last)
        } else {
            None
        }
    }

    /// `inside` follows the first brace.
    fn braced(segment: &str, inside: &str, is_last: bool) -> Option<Self> {
        let before = inside.trim_start_matches('.');
        let (name, rest) = split_name(before.trim_start_matches('*'));
        if name.is_empty() {
            return None;
        }
        let whole = |kind: Kind, right: String| {
            let (_, from_brace) = segment.split_at(segment.find('{')?);
            let wrong = from_brace.to_owned();
            Some(Self { kind, wrong, right })
        };
        match rest.chars().next() {
            Some(':') => {
                let takes_all = matches!(&rest[1..], ".*" | ".+" | "path");
                whole(Kind::Pattern, parameter(name, takes_all && is_last))
            }
            Some('?') => whole(Kind::Optional, parameter(name, false)),
            Some('.') if rest.trim_matches('.').is_empty() => {
                Self::delimited(segment, &format!("{{{inside}}}"), name, true)
            }
            None if before != inside => {
                Self::delimited(segment, &format!("{{{inside}}}"), name, true)
            }
            _ => None,
        }
    }

    fn delimited(segment: &str, wrong: &str, name: &str, is_catch_all: bool) -> Option<Self> {
        (!name.is_empty()).then(|| Self {
            kind: Kind::Delimited,
            wrong: wrong.to_owned(),
            right: segment.replace(wrong, &parameter(name, is_catch_all)),
        })
    }
}

fn parameter(name: &str, is_catch_all: bool) -> String {
    match is_catch_all {
        true => format!("{{*{name}}}"),
        false => format!("{{{name}}}"),
    }
}

/// The name at the beginning of a text, and the rest of the text.
fn split_name(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_the_spelling_of_this_router_are_fine() {
        for path in [
            "/",
            "/{id}",
            "/img-{id}.png",
            "/{user-id}/{*rest}",
            "/a:b",
            "/v1/things:batch",
            "/{id}:undelete",
            "/:",
            "/:8080",
            "/::1",
            "/a*",
            "/[id]",
            "/(x)",
            "/~{user}/$value",
            "/{}",
            "/{*}",
            "/{",
        ] {
            assert_eq!(flaw(path), None, "{path}");
        }
    }

    #[test]
    fn a_segment_of_another_router_and_what_to_write() {
        for (path, what, wrong, right) in [
            ("/users/:id", "parameter", ":id", "/users/{id}"),
            ("/:a/b/:c_d", "parameter", ":a", "/{a}/b/{c_d}"),
            ("/:id(\\d+)/x", "parameter", ":id(\\d+)", "/{id}/x"),
            ("/:id?", "parameter", ":id?", "/{id}"),
            ("/:file.png", "parameter", ":file.png", "/{file}.png"),
            ("/static/*rest", "catch-all", "*rest", "/static/{*rest}"),
            ("/static/*", "catch-all", "*", "/static/{*rest}"),
            ("/static/**", "catch-all", "**", "/static/{*rest}"),
            ("/*/b", "parameter", "*", "/{rest}/b"),
            ("/*.png", "parameter", "*.png", "/{rest}.png"),
            ("/:a/*b", "parameter", ":a", "/{a}/{*b}"),
        ] {
            let expected = format!(
                "spells a {what} as '{wrong}': write {right} (for this literal text, compare Request::param)"
            );
            assert_eq!(flaw(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_parameter_in_other_brackets_and_what_to_write() {
        for (path, what, wrong, right) in [
            ("/users/<id>", "parameter", "<id>", "/users/{id}"),
            ("/x-<int:id>.png", "parameter", "<int:id>", "/x-{id}.png"),
            ("/<path:rest>", "catch-all", "<path:rest>", "/{*rest}"),
            ("/<rest..>", "catch-all", "<rest..>", "/{*rest}"),
            ("/{rest...}", "catch-all", "{rest...}", "/{*rest}"),
            ("/{...rest}", "catch-all", "{...rest}", "/{*rest}"),
        ] {
            let expected = format!("spells a {what} as '{wrong}': write {right}");
            assert_eq!(flaw(path), Some(expected), "{path}");
        }
        assert_eq!(flaw("/<>"), None, "not a parameter");
    }

    #[test]
    fn a_parameter_has_no_pattern_and_is_not_optional() {
        for (path, wrong, right) in [
            ("/u/{id:[0-9]+}", "{id:[0-9]+}", "{id}"),
            ("/u/{id:int}/x", "{id:int}", "{id}"),
            ("/u/{id:[0-9]{4}}", "{id:[0-9]{4}}", "{id}"),
            ("/{tail:.*}", "{tail:.*}", "{*tail}"),
            ("/{id:", "{id:", "{id}"),
        ] {
            let expected = format!(
                "has {wrong}, but a parameter has no pattern: write {right} and parse it with Request::param_as"
            );
            assert_eq!(flaw(path), Some(expected), "{path}");
        }
        assert_eq!(
            flaw("/u/{id?}").as_deref(),
            Some("has {id?}, but no parameter is optional: write {id}, and add a route without it")
        );
    }
}
