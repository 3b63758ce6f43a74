//! One request and its answer: what the access log and the report tell of it.

use std::time::Instant;

use http::StatusCode;

use crate::engine::deferred::Route;
use crate::engine::slow_calls::CallKey;

/// A request and its answer, in the accounting.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Of its answer, once there is one.
    pub(super) status: Option<StatusCode>,
    /// How much of its answer's body has been sent. The head counts less than
    /// nothing.
    pub(super) sent: i64,
    pub(super) began: Instant,
    pub(super) on_last_call: bool,
    /// Known once its head is.
    pub(super) route: Option<Route>,
    /// Known with the route.
    pub(super) call_key: CallKey,
}

impl Exchange {
    /// Its answer has a head of so many bytes.
    pub(super) fn count_answer(&mut self, status: StatusCode, head_bytes: usize) {
        self.status = Some(status);
        self.sent = -i64::try_from(head_bytes).unwrap_or(0);
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.sent += i64::try_from(bytes).unwrap_or(0);
    }
}
