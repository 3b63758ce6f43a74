//! `Idle` and `Head`: from the first byte of a request to its complete head.

use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;

use super::Context;
use super::Step;
use super::common::Common;
use super::handling::Handling;
use super::incoming::Incoming;
use super::partial_body::PartialBody;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
use crate::engine::slow_calls::CallKey;
use crate::http1::Refusal;
use crate::http1::head;
use crate::http1::head::Head;
use crate::http1::head::Parsed;
use crate::http1::target::NO_TUNNELS;
use crate::lifecycle::method_label;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::message::request_body::RequestBody;
use crate::message::route_match::RouteMatch;
use crate::net::stream::Received;

/// No request is in progress.
pub(super) struct Idle {
    pub(super) since: Instant,
}

/// A part of a head has arrived.
pub(super) struct PartialHead {
    /// The deadline for the rest.
    until: Instant,
    /// The number of line ends in the buffer at the last parse.
    parsed_lines: usize,
}

impl Idle {
    /// Waits for the first byte of a request.
    pub(super) fn step(&self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        if cx.holds_request() {
            if !cx.deferred.is_empty() {
                // The last answer has deferred code to the end of this turn, and this
                // code may block. So the request waits for another turn, and another
                // worker can serve it.
                return cx.suspend(Wait::Turn, None);
            }
            common.begin_exchange(cx);
            return match common.share.is_over_limit {
                true => Step::Refuse(TOO_MANY_CONNECTIONS),
                false => Step::ReadHead,
            };
        }
        let until = self.until(cx.services);
        let waits = cx.now < until && !cx.is_aborting();
        if waits && common.has_nothing_to_read(cx) {
            return cx.suspend(Wait::Input, Some(until));
        }
        match cx.buffer.fill(&common.socket.stream) {
            // Empty lines do not keep a connection open.
            Received::Bytes(_) if cx.now < until || cx.holds_request() => Step::Continue,
            Received::Eof => Step::close(ConnectionOutcome::Completed),
            Received::Gone => Step::close(ConnectionOutcome::DeliveryUnconfirmed),
            Received::Wait if waits => cx.suspend(Wait::Input, Some(until)),
            // At an abort, there is no time for a last call or for a linger.
            Received::Wait if cx.is_aborting() => Step::close(ConnectionOutcome::ClosedIdle),
            // No request began in time.
            Received::Bytes(_) | Received::Wait => Step::HalfClose {
                outcome: ConnectionOutcome::ClosedIdle,
                is_server_initiated: true,
            },
        }
    }

    /// Returns how long the connection may be idle: until its idle timeout, or in a
    /// drain until the end of its last call if that is earlier.
    pub(super) fn until(&self, services: &Services) -> Instant {
        let timeout = self.since + services.config.idle_timeout;
        let last_call_ends = services.life.last_call_ends_for(self.since);
        last_call_ends.map_or(timeout, |ends| timeout.min(ends))
    }
}

impl PartialHead {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        Self {
            until: cx.now + cx.services.config.head_timeout,
            parsed_lines: 0,
        }
    }

    /// Reads until the head is complete, or is refused.
    // Not inlined, because the parse reserves some KiB of stack, which the other steps
    // do not need.
    #[inline(never)]
    pub(super) fn step(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        // Only a new line can complete a head. So the head is not parsed again for
        // every byte of a client that sends byte by byte.
        let unused = cx.buffer.unused();
        let lines = || memchr::memchr_iter(b'\n', unused).count();
        let is_full = unused.len() >= cx.services.config.head_bytes_max;
        if self.parsed_lines == 0 || lines() != self.parsed_lines || is_full {
            match head::parse(unused, &cx.services.config.head_limits()) {
                Ok(Parsed::Complete { head, length }) => {
                    cx.buffer.consume(length);
                    return process_head(head, length, common, cx);
                }
                Ok(Parsed::Partial) => self.parsed_lines = lines(),
                Err(refusal) => return Step::Refuse(refusal),
            }
        }
        match cx.buffer.fill(&common.socket.stream) {
            Received::Bytes(_) => Step::Continue,
            Received::Eof | Received::Gone => {
                common.count_received(cx.buffer.unused().len());
                common.close_disconnected_request(cx)
            }
            Received::Wait => {
                cx.await_rest_of_request(self.until, "request head was not complete in time")
            }
        }
    }
}

/// The head is complete: refuses the request, reads its body, or has its handler
/// called. `length` is the length of the head, in bytes.
fn process_head(head: Head, length: usize, common: &mut Common, cx: &Context<'_>) -> Step {
    let (method, path) = (&head.method, head.uri.path());
    let (mut target, mut route_match) = (None, RouteMatch::default());
    if let Some(routes) = &cx.services.routes {
        let (found, matched) = routes.look_up(method, path);
        target = Some(found);
        route_match = matched;
    }
    if let Some(exchange) = &mut common.exchange {
        exchange.received_bytes = length as u64;
        exchange.method = method_label::index(method);
        match target {
            Some(target) => {
                exchange.call_key = CallKey::of_route(method, target);
                exchange.route = target.endpoint();
                exchange.is_urgent = cx.services.is_urgent(target, method);
            }
            None => exchange.call_key = CallKey::of_request(method, path),
        }
        exchange.request_line = Some(head.request_line());
    }
    if head.method == Method::CONNECT {
        return Step::Refuse(NO_TUNNELS);
    }
    let limits = || cx.services.body_limits(target, &head.method);
    match Incoming::announced(&head, limits, &cx.services.config, cx.now) {
        Ok(None) if cx.holds(common) => {
            Step::ReadBody(PartialBody::without_body(head, route_match))
        }
        Ok(None) => {
            let body = RequestBody::new(Bytes::new(), Some(0), None);
            Handling::call(common.request(head, route_match, body, cx), None)
        }
        Ok(Some(incoming)) => Step::ReadBody(PartialBody::new(head, route_match, incoming, cx)),
        Err(refusal) => Step::Refuse(refusal),
    }
}

const TOO_MANY_CONNECTIONS: Refusal = Refusal::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too many connections from this address",
);

impl Context<'_> {
    /// Skips empty lines. True if the buffer then holds the beginning of a request.
    /// Half an empty line, which is a CR alone, does not begin a request.
    pub(super) fn holds_request(&mut self) -> bool {
        self.buffer.skip_empty_lines();
        !matches!(self.buffer.unused(), [] | [b'\r'])
    }

    /// Waits for the rest of a request that has begun. At the deadline, the client gets
    /// a 408; at an abort, it gets a 503.
    pub(super) fn await_rest_of_request(
        &self,
        until: Instant,
        timeout_reason: &'static str,
    ) -> Step {
        if self.is_aborting() {
            return Step::Unavailable;
        }
        if self.now < until {
            return self.suspend(Wait::Input, Some(until));
        }
        Step::Refuse(Refusal::new(StatusCode::REQUEST_TIMEOUT, timeout_reason))
    }
}
