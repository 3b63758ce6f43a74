//! The values of `Allow` (RFC 9110 section 10.2.1).

pub(super) const OF_FILES: &str = "GET, HEAD, OPTIONS, PUT";
pub(super) const OF_FOLDERS: &str = "GET, HEAD, OPTIONS, POST";
/// For `OPTIONS *`, and for a path that is neither.
pub(super) const OF_ALL: &str = "GET, HEAD, OPTIONS, POST, PUT";
