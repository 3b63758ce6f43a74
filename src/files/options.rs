//! What a [`Files`](super::Files) serves, and how.

use http::HeaderValue;

/// See the methods of [`Files`](super::Files).
#[derive(Debug, Default)]
pub(super) struct Options {
    /// The prefix of every path: empty, or `/static`.
    pub(super) prefix: String,
    pub(super) lists_folders: bool,
    pub(super) serves_hidden: bool,
    pub(super) serves_precompressed: bool,
    pub(super) is_single_page: bool,
    pub(super) cache_control: Option<HeaderValue>,
    pub(super) caches_hashed_names: bool,
}

impl Options {
    /// What follows the prefix in the path of a request: nothing, or a path. `None` for a
    /// path that is not under the prefix.
    pub(super) fn below_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = path.strip_prefix(&*self.prefix);
        below.filter(|below| below.is_empty() || below.starts_with('/'))
    }
}
