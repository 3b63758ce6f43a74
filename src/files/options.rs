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
