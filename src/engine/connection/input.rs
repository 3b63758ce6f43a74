//! From silence to a whole head: `Idle`, `Head`.

use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::Version;

use super::Asked;
use super::Connection;
use super::State;
use super::Step;
use super::Turn;
use super::exchange::Exchange;
use super::exchange::Route;
use super::incoming::Incoming;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::engine::Engine;
use crate::engine::connection::Answer;
use crate::engine::lot::Wait;
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
    pub(super) fn await_request(&mut self, since: Instant, turn: &mut Turn<'_>) -> Step {
        if turn.holds_request() {
            if !turn.deferred.is_empty() {
                // What the answer before has left to run may block, and this
                // request is not to wait for it: any worker may take it up.
                return turn.park(Wait::Turn, None);
            }
            self.begin_exchange(turn);
            if self.over_limit {
                return self.refuse(TOO_MANY_CONNECTIONS, turn);
            }
            return Step::Go;
        }
        let until = idle_until(since, turn.engine);
        let waits = turn.now < until && !turn.aborting();
        if waits && self.nothing_to_read(turn) {
            return turn.park(Wait::Input, Some(until));
        }
        match turn.buffer.fill(&self.stream) {
            // Empty lines are no request: they do not keep a connection open.
            Received::Bytes(_) if turn.now < until || turn.holds_request() => Step::Go,
            Received::Eof => Step::close(ConnectionOutcome::Completed),
            Received::Gone => Step::close(ConnectionOutcome::Unconfirmed),
            Received::Wait if waits => turn.park(Wait::Input, Some(until)),
            // At an abort there is no time for a last call, nor for a goodbye.
            Received::Wait if turn.aborting() => Step::close(ConnectionOutcome::HungUp),
            Received::Bytes(_) | Received::Wait => self.hang_up(turn),
        }
    }

    fn begin_exchange(&mut self, turn: &Turn<'_>) {
        self.ticket.request_begun();
        self.exchanges += 1;
        self.exchange = Some(Exchange {
            status: None,
            sent: 0,
            began: turn.now,
            // Not `turn.phase`: the turn may have begun with the answer before.
            on_last_call: turn.engine.life.phase() >= Phase::Draining,
            route: None,
        });
        let until = turn.now + turn.engine.config.head_timeout;
        self.state = State::Head {
            until,
            parsed_lines: 0,
        };
    }

    /// `Head`: reads until it is whole or wrong.
    pub(super) fn read_head(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Head {
            until,
            ref mut parsed_lines,
        } = self.state
        else {
            unreachable!("called in Head only");
        };
        // Only a new line can complete a head, so a client that sends byte
        // after byte does not have the whole parsed again for each.
        let unused = turn.buffer.unused();
        let lines = || memchr::memchr_iter(b'\n', unused).count();
        let full = unused.len() >= turn.engine.config.head_bytes_max;
        if *parsed_lines == 0 || lines() != *parsed_lines || full {
            match head::parse(unused, &turn.engine.config.head_limits()) {
                Ok(Parsed::Complete { head, length }) => {
                    turn.buffer.use_up(length);
                    return self.take_head(head, turn);
                }
                Ok(Parsed::Partial) => *parsed_lines = lines(),
                Err(refusal) => return self.refuse(refusal, turn),
            }
        }
        match turn.buffer.fill(&self.stream) {
            Received::Bytes(_) => Step::Go,
            Received::Eof | Received::Gone => self.abandon(turn),
            Received::Wait => self.await_rest(until, "the head was not complete in time", turn),
        }
    }

    /// The head is whole: what follows it?
    fn take_head(&mut self, head: Head, turn: &mut Turn<'_>) -> Step {
        if let Some(exchange) = &mut self.exchange {
            exchange.route = Some(Route {
                method: head.method.clone(),
                uri: head.uri.clone(),
                version: head.version,
            });
        }
        if head.method == Method::CONNECT {
            return self.refuse(NO_TUNNELS, turn);
        }
        match Incoming::announced(&head, &turn.engine.config, turn.now) {
            Ok(None) => self.call(head, Bytes::new(), Some(0), None, None, turn),
            Ok(Some(incoming)) => self.take_body(head, incoming, turn),
            Err(refusal) => self.refuse(refusal, turn),
        }
    }

    /// A request that has begun waits for its rest: until its deadline (408)
    /// or the server's (503).
    pub(super) fn await_rest(
        &mut self,
        until: Instant,
        late: &'static str,
        turn: &mut Turn<'_>,
    ) -> Step {
        if turn.aborting() {
            return self.turn_away(turn);
        }
        if turn.now < until {
            return turn.park(Wait::Input, Some(until));
        }
        self.refuse(Refusal::new(StatusCode::REQUEST_TIMEOUT, late), turn)
    }

    /// The server itself answers, and closes.
    pub(super) fn refuse(&mut self, refusal: Refusal, turn: &mut Turn<'_>) -> Step {
        let Refusal { status, reason } = refusal;
        note!(
            turn.engine.journal,
            Debug,
            "{}: refused with {status}: {reason}",
            self.peer
        );
        turn.engine.refusals.note(status, turn.now);
        self.answer_without_handler(Answer::refusal(refusal), turn)
    }

    /// No handler has started the request, and none will: the server stops.
    pub(super) fn turn_away(&mut self, turn: &mut Turn<'_>) -> Step {
        self.answer_without_handler(Answer::turned_away(), turn)
    }

    /// A request that no handler gets is answered. If it is a HEAD, the answer has
    /// no body, whatever was read of the request (RFC 9110 section 9.3.2).
    fn answer_without_handler(&mut self, mut answer: Answer, turn: &mut Turn<'_>) -> Step {
        let route = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.route.as_ref());
        let method = match route {
            Some(route) => route.method.clone(),
            // What has come of the head is still in the buffer.
            None => match AsksForHead::of(turn.buffer.unused()) {
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
        self.answer(answer, turn);
        Step::Go
    }

    /// The client is gone in the middle of its request.
    pub(super) fn abandon(&mut self, turn: &mut Turn<'_>) -> Step {
        self.end_exchange(RequestOutcome::Abandoned, turn.engine, turn.deferred);
        Step::close(ConnectionOutcome::Vanished)
    }
}

const TOO_MANY_CONNECTIONS: Refusal = Refusal::new(
    StatusCode::TOO_MANY_REQUESTS,
    "this address has too many connections open",
);

impl Turn<'_> {
    /// Half an empty line is none yet, and no request either.
    pub(super) fn holds_request(&mut self) -> bool {
        self.buffer.skip_empty_lines();
        !matches!(self.buffer.unused(), [] | [b'\r'])
    }
}

/// How long a connection may be idle: its idle timeout, or the last call, which
/// each has from the start of the drain, or from when it became idle if that
/// was later (accepted by the sweep, say).
pub(super) fn idle_until(since: Instant, engine: &Engine) -> Instant {
    let timeout = since + engine.config.idle_timeout;
    match engine.life.draining_since() {
        Some(_) => timeout.min(last_call_ends(since, engine)),
        None => timeout,
    }
}

/// When the last call is over for who waits since then. Before the drain, and
/// for who comes later, that is a whole last call away.
pub(super) fn last_call_ends(since: Instant, engine: &Engine) -> Instant {
    let began = engine.life.draining_since();
    began.map_or(since, |began| began.max(since)) + engine.config.last_call
}
