//! One request and its answer: what the access log and the report tell of it.

use std::time::Instant;

use http::StatusCode;

use crate::engine::deferred::RequestLine;
use crate::engine::slow_calls::CallKey;

/// A request and its answer, in the accounting.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The status of the answer, once there is one.
    pub(super) status: Option<StatusCode>,
    /// How many bytes of the answer's body have been sent. A write counts bytes of
    /// the head too, so the count begins at minus the length of the head.
    pub(super) body_bytes_sent: i64,
    pub(super) began: Instant,
    /// The request began after the drain had begun.
    pub(super) on_last_call: bool,
    /// Known once the head is whole.
    pub(super) request_line: Option<RequestLine>,
    /// Known with the request line.
    pub(super) call_key: CallKey,
}

impl Exchange {
    /// The answer has this status, and a head of so many bytes.
    pub(super) fn set_answer_head(&mut self, status: StatusCode, head_bytes: usize) {
        self.status = Some(status);
        self.body_bytes_sent = -i64::try_from(head_bytes).unwrap_or(0);
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.body_bytes_sent += i64::try_from(bytes).unwrap_or(0);
    }
}
