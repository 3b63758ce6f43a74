//! Finds the nested router for a path that matches no route.

use matchit::InsertError;
use matchit::Match;

/// Maps the prefixes of nested routers to the indices of their areas.
///
/// There is one tree for each number of segments. One tree with catch-alls would
/// not do: it cannot hold `/{*rest}` beside `/{tenant}`, and prefixes can overlap
/// like that.
#[derive(Default)]
pub(crate) struct Prefixes(Vec<matchit::Router<usize>>);

impl Prefixes {
    /// `prefix` is empty, or a path that does not end with `/`.
    pub(crate) fn insert(&mut self, prefix: &str, place: usize) -> Result<(), InsertError> {
        let depth = prefix.matches('/').count();
        if self.0.len() <= depth {
            self.0.resize_with(depth + 1, matchit::Router::new);
        }
        self.0[depth].insert(cut(prefix, depth), place)
    }

    /// The place of the empty prefix, if there is no other.
    pub(crate) fn only(&self) -> Option<usize> {
        match &*self.0 {
            [empty] => empty.at("/").ok().map(|found| *found.value),
            _ => None,
        }
    }

    /// The prefix of `path` with the most segments.
    pub(crate) fn deepest<'a>(&'a self, path: &'a str) -> Option<Match<'a, 'a, &'a usize>> {
        let trees = self.0.iter().enumerate().rev();
        trees
            .map(|(depth, tree)| tree.at(cut(path, depth)))
            .find_map(Result::ok)
    }
}

/// The first `depth` segments of a path; the whole path if it has fewer. Without
/// segments it is `/`, because a tree holds no empty path.
fn cut(path: &str, depth: usize) -> &str {
    match path.match_indices('/').nth(depth) {
        _ if depth == 0 => "/",
        Some((end, _)) => &path[..end],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_before_a_slash() {
        for (path, depth, expected) in [
            ("", 0, "/"),
            ("*", 0, "/"),
            ("/a", 0, "/"),
            ("/a", 1, "/a"),
            ("/a/", 1, "/a"),
            ("/a/", 2, "/a/"),
            ("/a//b", 2, "/a/"),
            ("/a/b", 3, "/a/b"),
        ] {
            assert_eq!(cut(path, depth), expected, "{path} {depth}");
        }
    }

    #[test]
    fn the_deepest_prefix_is_found() {
        let mut prefixes = Prefixes::default();
        assert!(prefixes.deepest("/a").is_none());
        assert_eq!(prefixes.only(), None);
        let all = [
            "/{tenant}",
            "/admin",
            "/admin/users",
            "/{tenant}/b/{id}",
            "",
        ];
        for (place, prefix) in all.iter().enumerate() {
            prefixes.insert(prefix, place).unwrap();
        }
        assert_eq!(prefixes.only(), None);
        let mut empty = Prefixes::default();
        empty.insert("", 7).unwrap();
        assert_eq!(empty.only(), Some(7));
        for (path, expected) in [
            ("/", ""),
            ("*", ""),
            ("//x", ""),
            ("/x", "/{tenant}"),
            ("/x/", "/{tenant}"),
            ("/x/b/", "/{tenant}"),
            ("/x/b/c", "/{tenant}/b/{id}"),
            ("/x/b/c/d", "/{tenant}/b/{id}"),
            ("/admin", "/admin"),
            ("/admin/x", "/admin"),
            ("/admin/users/x", "/admin/users"),
            ("/admin/b/c", "/{tenant}/b/{id}"),
            ("/administer", "/{tenant}"),
        ] {
            let found = prefixes.deepest(path).unwrap();
            assert_eq!(all[*found.value], expected, "{path}");
        }
    }
}
