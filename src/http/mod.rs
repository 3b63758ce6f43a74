//! The protocol without I/O: bytes in, values out. Nothing in here knows of
//! sockets, threads, clocks or logs.

pub(crate) mod body;
pub(crate) mod encode;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod persist;

use ::http::StatusCode;

/// Why the server itself answers a request, instead of a handler. The
/// connection closes after it: where the next message begins is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// One sentence for the client's developer: lower case, no full stop.
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    pub(crate) const fn bad_request(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}
