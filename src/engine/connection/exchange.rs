//! A request and its answer, as the access log and the report describe them.

use std::time::Duration;
use std::time::Instant;

use http::StatusCode;

use crate::engine::slow_calls::CallKey;
use crate::http1::request_line::RequestLine;
use crate::lifecycle::numbers::Ended;
use crate::lifecycle::numbers::NO_ROUTE;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::report::HowFar;

/// A request and its answer, in the accounting.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The status of the answer; `None` if there is no answer yet.
    pub(super) status: Option<StatusCode>,
    /// How many bytes of the request have been used: its head, and its body with the
    /// framing.
    pub(super) received_bytes: u64,
    /// How many bytes of the answer have been sent, its head among them.
    pub(super) sent_bytes: u64,
    /// How many bytes are sent before the first byte of the answer's body.
    pub(super) sent_before_body: u64,
    pub(super) began: Instant,
    /// The request began after the drain had begun.
    pub(super) on_last_call: bool,
    /// `None` until the head is complete.
    pub(super) request_line: Option<RequestLine>,
    /// Known with the request line.
    pub(super) call_key: CallKey,
    /// The index of the route in the [`RouteTable`](crate::RouteTable) of the server,
    /// if there is one and a route matches.
    pub(super) route: Option<usize>,
    /// The index of the method in [`METHODS`](crate::lifecycle::method_label::METHODS).
    pub(super) method: usize,
    /// The route is urgent.
    pub(super) is_urgent: bool,
}

impl Exchange {
    /// Notes the status of the answer, and the length of its head in bytes.
    pub(super) fn set_answer_head(&mut self, status: StatusCode, head_bytes: usize) {
        self.status = Some(status);
        self.sent_before_body = self.sent_bytes + head_bytes as u64;
    }

    /// How many bytes of the answer's body have been sent. A `100 Continue` is no part of
    /// one.
    pub(super) fn body_bytes_sent(&self) -> u64 {
        match self.status {
            Some(_) => self.sent_bytes.saturating_sub(self.sent_before_body),
            None => 0,
        }
    }

    /// How far the answer has come. `total`: the length of its body, if that is known.
    pub(super) fn how_far(&self, total: Option<u64>) -> HowFar {
        HowFar {
            sent: self.body_bytes_sent(),
            total,
            took: self.began.elapsed(),
        }
    }

    /// The place of its route in the numbers.
    fn route_index(&self) -> usize {
        self.route.map_or(NO_ROUTE, |endpoint| endpoint + 1)
    }

    /// What is counted when it ends now, after this time.
    pub(super) fn ended(&self, outcome: RequestOutcome, took: Duration) -> Ended {
        Ended {
            outcome,
            on_last_call: self.on_last_call,
            status: self.status,
            route: self.route_index(),
            method: self.method,
            took,
            received_bytes: self.received_bytes,
            sent_bytes: self.sent_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::method_label;

    #[test]
    fn a_100_continue_is_no_part_of_the_body_of_an_answer() {
        let mut exchange = Exchange {
            status: None,
            received_bytes: 100,
            sent_bytes: 25,
            sent_before_body: 0,
            began: Instant::now(),
            on_last_call: false,
            request_line: None,
            call_key: CallKey::default(),
            route: None,
            method: method_label::OTHER,
            is_urgent: false,
        };
        assert_eq!(exchange.body_bytes_sent(), 0);
        exchange.set_answer_head(StatusCode::OK, 50);
        exchange.sent_bytes += 50 + 7;
        assert_eq!(exchange.body_bytes_sent(), 7);
    }
}
