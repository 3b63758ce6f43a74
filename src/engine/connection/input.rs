//! From silence to a whole head: `Idle`, `Head`.

use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::Version;

use super::Asked;
use super::Connection;
use super::Context;
use super::State;
use super::Step;
use super::exchange::Exchange;
use super::incoming::Incoming;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::engine::connection::Answer;
use crate::engine::deferred::Route;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
use crate::engine::slow_calls::CallKey;
use crate::http::Refusal;
use crate::http::head;
use crate::http::head::Head;
use crate::http::head::Parsed;
use crate::http::persist::CloseReason;
use crate::http::persist::Persist;
use crate::http::request_line::AsksForHead;
use crate::http::target::NO_TUNNELS;
use crate::journal::note;
use crate::net::stream::Received;

impl Connection {
    /// `Idle`: a byte begins a request.
    pub(super) fn await_request(&mut self, since: Instant, cx: &mut Context<'_>) -> Step {
        if cx.holds_request() {
            if !cx.deferred.is_empty() {
                // What the answer before has left to run may block, and this
                // request is not to wait for it: any worker may take it up.
                return cx.suspend(Wait::Turn, None);
            }
            self.begin_exchange(cx);
            if self.share.is_over_limit {
                return self.refuse(TOO_MANY_CONNECTIONS, cx);
            }
            return Step::Go;
        }
        let until = idle_until(since, cx.services);
        let waits = cx.now < until && !cx.aborting();
        if waits && self.nothing_to_read(cx) {
            return cx.suspend(Wait::Input, Some(until));
        }
        match cx.buffer.fill(&self.stream) {
            // Empty lines are no request: they do not keep a connection open.
            Received::Bytes(_) if cx.now < until || cx.holds_request() => Step::Go,
            Received::Eof => Step::close(ConnectionOutcome::Completed),
            Received::Gone => Step::close(ConnectionOutcome::Unconfirmed),
            Received::Wait if waits => cx.suspend(Wait::Input, Some(until)),
            // At an abort there is no time for a last call, nor for a goodbye.
            Received::Wait if cx.aborting() => Step::close(ConnectionOutcome::HungUp),
            Received::Bytes(_) | Received::Wait => self.close_idle(cx),
        }
    }

    fn begin_exchange(&mut self, cx: &Context<'_>) {
        self.ticket.request_begun();
        self.exchanges += 1;
        self.exchange = Some(Exchange {
            status: None,
            sent: 0,
            began: cx.now,
            // Not `cx.phase`: the turn may have begun with the answer before.
            on_last_call: cx.services.life.phase() >= Phase::Draining,
            route: None,
            call_key: CallKey::default(),
        });
        let until = cx.now + cx.services.config.head_timeout;
        self.state = State::Head {
            until,
            parsed_lines: 0,
        };
    }

    /// `Head`: reads until it is whole or wrong.
    pub(super) fn read_head(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Head {
            until,
            ref mut parsed_lines,
        } = self.state
        else {
            unreachable!("called in Head only");
        };
        // Only a new line can complete a head, so a client that sends byte
        // after byte does not have the whole parsed again for each.
        let unused = cx.buffer.unused();
        let lines = || memchr::memchr_iter(b'\n', unused).count();
        let full = unused.len() >= cx.services.config.head_bytes_max;
        if *parsed_lines == 0 || lines() != *parsed_lines || full {
            match head::parse(unused, &cx.services.config.head_limits()) {
                Ok(Parsed::Complete { head, length }) => {
                    cx.buffer.use_up(length);
                    return self.take_head(head, cx);
                }
                Ok(Parsed::Partial) => *parsed_lines = lines(),
                Err(refusal) => return self.refuse(refusal, cx),
            }
        }
        match cx.buffer.fill(&self.stream) {
            Received::Bytes(_) => Step::Go,
            Received::Eof | Received::Gone => self.abandon(cx),
            Received::Wait => self.await_rest(until, "the head was not complete in time", cx),
        }
    }

    /// The head is whole: what follows it?
    fn take_head(&mut self, head: Head, cx: &mut Context<'_>) -> Step {
        if let Some(exchange) = &mut self.exchange {
            exchange.call_key = CallKey::of_request(&head.method, head.uri.path());
            exchange.route = Some(Route {
                method: head.method.clone(),
                uri: head.uri.clone(),
                version: head.version,
            });
        }
        if head.method == Method::CONNECT {
            return self.refuse(NO_TUNNELS, cx);
        }
        match Incoming::announced(&head, &cx.services.config, cx.now) {
            Ok(None) => self.call(head, Bytes::new(), Some(0), None, None, cx),
            Ok(Some(incoming)) => self.take_body(head, incoming, cx),
            Err(refusal) => self.refuse(refusal, cx),
        }
    }

    /// A request that has begun waits for its rest: until its deadline (408)
    /// or the server's (503).
    pub(super) fn await_rest(
        &mut self,
        until: Instant,
        late: &'static str,
        cx: &mut Context<'_>,
    ) -> Step {
        if cx.aborting() {
            return self.turn_away(cx);
        }
        if cx.now < until {
            return cx.suspend(Wait::Input, Some(until));
        }
        self.refuse(Refusal::new(StatusCode::REQUEST_TIMEOUT, late), cx)
    }

    /// The server itself answers, and closes.
    pub(super) fn refuse(&mut self, refusal: Refusal, cx: &mut Context<'_>) -> Step {
        let Refusal { status, reason } = refusal;
        note!(
            cx.services.journal,
            Debug,
            "{}: refused with {status}: {reason}",
            self.peer
        );
        cx.services.refusals.note(status, cx.now);
        self.answer_without_handler(Answer::refusal(refusal), cx)
    }

    /// No handler has started the request, and none will: the server stops.
    pub(super) fn turn_away(&mut self, cx: &mut Context<'_>) -> Step {
        self.answer_without_handler(Answer::turned_away(), cx)
    }

    /// A request that no handler gets is answered. If it is a HEAD, the answer has
    /// no body, whatever was read of the request (RFC 9110 section 9.3.2).
    fn answer_without_handler(&mut self, mut answer: Answer, cx: &mut Context<'_>) -> Step {
        let route = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.route.as_ref());
        let method = match route {
            Some(route) => route.method.clone(),
            // What has come of the head is still in the buffer.
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
        self.state = State::Handling(Asked {
            method,
            version: Version::HTTP_11,
            persist: Persist::Close(CloseReason::Refused),
            upgrade: false,
            incoming: None,
        });
        self.answer(answer, cx);
        Step::Go
    }

    /// The client is gone in the middle of its request.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_>) -> Step {
        self.end_exchange(RequestOutcome::Abandoned, cx.services, cx.deferred);
        Step::close(ConnectionOutcome::Vanished)
    }
}

const TOO_MANY_CONNECTIONS: Refusal = Refusal::new(
    StatusCode::TOO_MANY_REQUESTS,
    "this address has too many connections open",
);

impl Context<'_> {
    /// Half an empty line is none yet, and no request either.
    pub(super) fn holds_request(&mut self) -> bool {
        self.buffer.skip_empty_lines();
        !matches!(self.buffer.unused(), [] | [b'\r'])
    }
}

/// How long a connection may be idle: its idle timeout, or the last call, which
/// each has from the start of the drain, or from when it became idle if that
/// was later (accepted by the sweep, say).
pub(super) fn idle_until(since: Instant, services: &Services) -> Instant {
    let timeout = since + services.config.idle_timeout;
    match services.life.draining_since() {
        Some(_) => timeout.min(last_call_ends(since, services)),
        None => timeout,
    }
}

/// When the last call is over for who waits since then. Before the drain, and
/// for who comes later, that is a whole last call away.
pub(super) fn last_call_ends(since: Instant, services: &Services) -> Instant {
    let began = services.life.draining_since();
    began.map_or(since, |began| began.max(since)) + services.config.last_call
}
