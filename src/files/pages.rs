//! The memory of listings that clients have not read yet.
//!
//! A listing can have megabytes, and a client may take as long to read it as the minimum rate
//! allows. So all listings of a [`Files`](super::Files) that are being sent have a limit.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::StatusCode;
use http::header;

use crate::message::rejection::Rejection;

/// The most memory of all listings that are being sent, in bytes. A listing of 10 000 entries
/// has some 2.5 MB.
const BYTES_MAX: usize = 64 << 20;

/// How many bytes are held.
#[derive(Debug, Default)]
pub(super) struct Pages {
    held: Arc<AtomicUsize>,
}

/// A page that is being sent. Its drop, when it is sent or its connection has ended, gives
/// its memory back.
struct Page {
    bytes: Bytes,
    held: Arc<AtomicUsize>,
}

impl Pages {
    /// Counts a page until it is dropped. `None` if there is no room for it.
    pub(super) fn hold(&self, bytes: Bytes) -> Option<Bytes> {
        let length = bytes.len();
        let before = self.held.fetch_add(length, Relaxed);
        let held = Arc::clone(&self.held);
        let page = Page { bytes, held };
        // One page is always sent, however long it is.
        (before == 0 || before.saturating_add(length) <= BYTES_MAX).then(|| Bytes::from_owner(page))
    }
}

/// The response without room for another page.
pub(super) fn too_many() -> Rejection {
    let text = "too many listings are being sent: try again";
    Rejection::new(StatusCode::SERVICE_UNAVAILABLE, text).with_header(header::RETRY_AFTER, "2")
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn pages_are_held_up_to_the_limit_and_given_back() {
        let pages = Pages::default();
        let half = pages.hold(page(BYTES_MAX / 2)).unwrap();
        assert_eq!(half.len(), BYTES_MAX / 2);
        let other = pages.hold(page(BYTES_MAX / 2)).unwrap();
        assert!(pages.hold(page(1)).is_none());
        drop(half);
        let small = pages.hold(page(1)).unwrap();
        assert!(pages.hold(page(BYTES_MAX / 2)).is_none());
        drop((other, small));
        assert_eq!(pages.held.load(Relaxed), 0);
    }

    #[test]
    fn a_page_beyond_the_limit_is_sent_alone() {
        let pages = Pages::default();
        let large = pages.hold(page(BYTES_MAX + 1)).unwrap();
        assert!(pages.hold(page(1)).is_none());
        drop(large);
        assert!(pages.hold(page(1)).is_some());
    }
}
