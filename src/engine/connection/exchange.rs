//! A request and its answer, as the access log and the report describe them.

use std::time::Instant;

use http::StatusCode;

use crate::engine::deferred::RequestLine;
use crate::engine::slow_calls::CallKey;

/// A request and its answer, in the accounting.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The status of the answer; `None` if there is no answer yet.
    pub(super) status: Option<StatusCode>,
    /// How many bytes of the answer's body have been sent. A write also counts bytes of
    /// the head, so the count begins at minus the length of the head.
    pub(super) body_bytes_sent: i64,
    pub(super) began: Instant,
    /// The request began after the drain had begun.
    pub(super) on_last_call: bool,
    /// `None` until the head is complete.
    pub(super) request_line: Option<RequestLine>,
    /// Known with the request line.
    pub(super) call_key: CallKey,
}

impl Exchange {
    /// Notes the status of the answer, and the length of its head in bytes.
    pub(super) fn set_answer_head(&mut self, status: StatusCode, head_bytes: usize) {
        self.status = Some(status);
        self.body_bytes_sent = -i64::try_from(head_bytes).unwrap_or(0);
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.body_bytes_sent += i64::try_from(bytes).unwrap_or(0);
    }
}
