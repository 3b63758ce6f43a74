//! `Idle` and `Head`: from the first byte of a request to its whole head.

use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::Version;

use super::Connection;
use super::Context;
use super::Handling;
use super::State;
use super::Step;
use super::exchange::Exchange;
use super::incoming::Incoming;
use crate::engine::connection::Answer;
use crate::engine::deferred::RequestLine;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
use crate::engine::slow_calls::CallKey;
use crate::http1::Refusal;
use crate::http1::head;
use crate::http1::head::Head;
use crate::http1::head::Parsed;
use crate::http1::persist::CloseReason;
use crate::http1::persist::Persist;
use crate::http1::request_line::AsksForHead;
use crate::http1::target::NO_TUNNELS;
use crate::journal::note;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::net::stream::Received;

impl Connection {
    /// `Idle`: waits for the first byte of a request.
    pub(super) fn await_request(&mut self, since: Instant, cx: &mut Context<'_>) -> Step {
        if cx.holds_request() {
            if !cx.deferred.is_empty() {
                // Code that the last answer has left to run may block. The request
                // does not wait for it: another worker can serve the connection.
                return cx.suspend(Wait::Turn, None);
            }
            self.begin_exchange(cx);
            if self.share.is_over_limit {
                return self.refuse(TOO_MANY_CONNECTIONS, cx);
            }
            return Step::Continue;
        }
        let until = idle_until(since, cx.services);
        let waits = cx.now < until && !cx.is_aborting();
        if waits && self.has_nothing_to_read(cx) {
            return cx.suspend(Wait::Input, Some(until));
        }
        match cx.buffer.fill(&self.socket.stream) {
            // Empty lines do not keep a connection open.
            Received::Bytes(_) if cx.now < until || cx.holds_request() => Step::Continue,
            Received::Eof => Step::close(ConnectionOutcome::Completed),
            Received::Gone => Step::close(ConnectionOutcome::DeliveryUnconfirmed),
            Received::Wait if waits => cx.suspend(Wait::Input, Some(until)),
            // At an abort there is no time for a last call, nor to linger.
            Received::Wait if cx.is_aborting() => Step::close(ConnectionOutcome::ClosedIdle),
            Received::Bytes(_) | Received::Wait => self.close_idle(cx),
        }
    }

    fn begin_exchange(&mut self, cx: &Context<'_>) {
        self.guard.request_begun();
        self.exchange_count += 1;
        self.exchange = Some(Exchange {
            status: None,
            body_bytes_sent: 0,
            began: cx.now,
            // Not `cx.phase`: the drain may have begun since the turn began.
            on_last_call: cx.services.life.phase() >= Phase::Draining,
            request_line: None,
            call_key: CallKey::default(),
        });
        let until = cx.now + cx.services.config.head_timeout;
        self.state = State::Head {
            until,
            parsed_lines: 0,
        };
    }

    /// `Head`: reads until the head is whole, or refused.
    pub(super) fn read_head(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Head {
            until,
            ref mut parsed_lines,
        } = self.state
        else {
            unreachable!("called in Head only");
        };
        // Only a new line can complete a head. So the head is not parsed again for
        // every byte of a client that sends byte by byte.
        let unused = cx.buffer.unused();
        let lines = || memchr::memchr_iter(b'\n', unused).count();
        let is_full = unused.len() >= cx.services.config.head_bytes_max;
        if *parsed_lines == 0 || lines() != *parsed_lines || is_full {
            match head::parse(unused, &cx.services.config.head_limits()) {
                Ok(Parsed::Complete { head, length }) => {
                    cx.buffer.consume(length);
                    return self.process_head(head, cx);
                }
                Ok(Parsed::Partial) => *parsed_lines = lines(),
                Err(refusal) => return self.refuse(refusal, cx),
            }
        }
        match cx.buffer.fill(&self.socket.stream) {
            Received::Bytes(_) => Step::Continue,
            Received::Eof | Received::Gone => self.close_disconnected_request(cx),
            Received::Wait => {
                self.await_rest_of_request(until, "the head was not complete in time", cx)
            }
        }
    }

    /// The head is whole: refuses the request, reads its body, or has its handler
    /// called.
    fn process_head(&mut self, head: Head, cx: &mut Context<'_>) -> Step {
        if let Some(exchange) = &mut self.exchange {
            exchange.call_key = CallKey::of_request(&head.method, head.uri.path());
            exchange.request_line = Some(RequestLine {
                method: head.method.clone(),
                uri: head.uri.clone(),
                version: head.version,
            });
        }
        if head.method == Method::CONNECT {
            return self.refuse(NO_TUNNELS, cx);
        }
        match Incoming::announced(&head, &cx.services.config, cx.now) {
            Ok(None) => self.call_handler(head, Bytes::new(), Some(0), None, None, cx),
            Ok(Some(incoming)) => self.begin_body(head, incoming, cx),
            Err(refusal) => self.refuse(refusal, cx),
        }
    }

    /// Waits for the rest of a request that has begun. At the deadline the client
    /// gets a 408, at an abort a 503.
    pub(super) fn await_rest_of_request(
        &mut self,
        until: Instant,
        timeout_reason: &'static str,
        cx: &mut Context<'_>,
    ) -> Step {
        if cx.is_aborting() {
            return self.answer_unavailable(cx);
        }
        if cx.now < until {
            return cx.suspend(Wait::Input, Some(until));
        }
        self.refuse(
            Refusal::new(StatusCode::REQUEST_TIMEOUT, timeout_reason),
            cx,
        )
    }

    /// Answers for the server itself, and closes the connection after that.
    pub(super) fn refuse(&mut self, refusal: Refusal, cx: &mut Context<'_>) -> Step {
        let Refusal { status, reason } = refusal;
        note!(
            cx.services.journal,
            Debug,
            "{}: rejected with {status}: {reason}",
            self.peer
        );
        cx.services.refusals.count(status, cx.now);
        self.answer_without_handler(Answer::refusal(refusal), cx)
    }

    /// Answers with 503: no handler has started the request, and none will.
    pub(super) fn answer_unavailable(&mut self, cx: &mut Context<'_>) -> Step {
        self.answer_without_handler(Answer::unavailable(), cx)
    }

    /// Answers a request that no handler gets. The answer to a HEAD has no body,
    /// however little of the request has arrived (RFC 9110 section 9.3.2).
    fn answer_without_handler(&mut self, mut answer: Answer, cx: &mut Context<'_>) -> Step {
        let request_line = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.request_line.as_ref());
        let method = match request_line {
            Some(request_line) => request_line.method.clone(),
            // The part of the head that has arrived is still in the buffer.
            None => match AsksForHead::of(cx.buffer.unused()) {
                AsksForHead::Yes => Method::HEAD,
                AsksForHead::No => Method::GET,
                AsksForHead::Unknown => {
                    // An empty body is right for every method.
                    answer = answer.without_body();
                    Method::GET
                }
            },
        };
        self.state = State::Handling(Handling {
            method,
            version: Version::HTTP_11,
            persist: Persist::Close(CloseReason::Rejected),
            asks_for_upgrade: false,
            incoming: None,
        });
        self.answer(answer, cx);
        Step::Continue
    }

    /// Closes the connection: the client has closed it in the middle of its request.
    pub(super) fn close_disconnected_request(&mut self, cx: &mut Context<'_>) -> Step {
        self.end_exchange(RequestOutcome::ClientDisconnected, cx.services, cx.deferred);
        Step::close(ConnectionOutcome::ClientDisconnected)
    }
}

const TOO_MANY_CONNECTIONS: Refusal = Refusal::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too many connections from this address",
);

impl Context<'_> {
    /// Whether the buffer holds the beginning of a request. Empty lines are skipped, and
    /// half an empty line does not begin a request.
    pub(super) fn holds_request(&mut self) -> bool {
        self.buffer.skip_empty_lines();
        !matches!(self.buffer.unused(), [] | [b'\r'])
    }
}

/// How long a connection may be idle: until its idle timeout, and in a drain until
/// the end of its last call if that is earlier.
pub(super) fn idle_until(since: Instant, services: &Services) -> Instant {
    let timeout = since + services.config.idle_timeout;
    let last_call_ends = services.life.last_call_ends_for(since);
    last_call_ends.map_or(timeout, |ends| timeout.min(ends))
}
