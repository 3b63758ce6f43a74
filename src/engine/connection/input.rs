//! From silence to a whole request: `Idle`, `Head`, `Body`.

use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use http::Version;

use super::Asked;
use super::Connection;
use super::Exchange;
use super::State;
use super::Step;
use super::Turn;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::engine::connection::Answer;
use crate::engine::lot::Wait;
use crate::http::Refusal;
use crate::http::framing;
use crate::http::head;
use crate::http::head::Head;
use crate::http::head::Parsed;
use crate::http::persist::CloseReason;
use crate::http::persist::Persist;
use crate::net::stream::Received;

/// The most that is set aside for a body before its bytes are there: a claim
/// of the client's costs nothing.
const BODY_RESERVE_MAX: usize = 16 * 1024;

/// A head, and what has come of its body.
#[derive(Debug)]
pub(super) struct PartialBody {
    head: Head,
    body: Vec<u8>,
    length: usize,
    /// When it has to have made progress.
    until: Instant,
}

impl Connection {
    /// `Idle`: a byte begins a request.
    pub(super) fn await_request(&mut self, since: Instant, turn: &mut Turn<'_>) -> Step {
        turn.buffer.skip_empty_lines();
        if !turn.buffer.is_empty() {
            self.begin_exchange(turn);
            return Step::Go;
        }
        let until = idle_until(since, turn);
        match turn.buffer.fill(&mut self.stream) {
            // Empty lines are no request: they do not keep a connection open.
            Received::Bytes(_) if turn.now < until || turn.holds_request() => Step::Go,
            Received::Eof => Step::close(ConnectionOutcome::Completed),
            Received::Gone => Step::close(ConnectionOutcome::Unconfirmed),
            Received::Wait if turn.now < until && !turn.aborting() => {
                turn.park(Wait::Input, Some(until))
            }
            Received::Bytes(_) | Received::Wait => self.hang_up(turn),
        }
    }

    fn begin_exchange(&mut self, turn: &Turn<'_>) {
        turn.engine.books.request_begun();
        self.exchange = Some(Exchange {
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
        let lines = unused.iter().filter(|&&byte| byte == b'\n').count();
        if lines != *parsed_lines || *parsed_lines == 0 {
            *parsed_lines = lines;
            match head::parse(unused, &turn.engine.config.head_limits()) {
                Ok(Parsed::Complete { head, length }) => {
                    turn.buffer.use_up(length);
                    return self.take_head(head, turn);
                }
                Ok(Parsed::Partial) => {}
                Err(refusal) => return self.refuse(refusal, turn),
            }
        } else if unused.len() >= turn.engine.config.head_bytes_max {
            return self.refuse(head::TOO_LARGE, turn);
        }
        match turn.buffer.fill(&mut self.stream) {
            Received::Bytes(_) => Step::Go,
            Received::Eof | Received::Gone => self.abandon(turn),
            Received::Wait => self.await_rest(until, "the head was not complete in time", turn),
        }
    }

    /// The head is whole: what follows it?
    fn take_head(&mut self, head: Head, turn: &mut Turn<'_>) -> Step {
        if let Some(exchange) = &mut self.exchange {
            exchange.route = Some((head.method.clone(), head.uri.clone()));
        }
        if head.method == Method::CONNECT {
            return self.refuse(NO_TUNNELS, turn);
        }
        let length = match framing::content_length(&head.headers) {
            Ok(0) => return self.call(head, Bytes::new(), turn),
            Ok(length) => length,
            Err(refusal) => return self.refuse(refusal, turn),
        };
        match usize::try_from(length) {
            Ok(fits) if length <= turn.engine.config.body_bytes_max => {
                self.state = State::Body(Box::new(PartialBody {
                    head,
                    body: Vec::with_capacity(fits.min(BODY_RESERVE_MAX)),
                    length: fits,
                    until: turn.now + turn.engine.config.body_timeout,
                }));
                Step::Go
            }
            _ => self.refuse(BODY_TOO_LARGE, turn),
        }
    }

    /// `Body`: reads until it is whole.
    pub(super) fn read_body(&mut self, turn: &mut Turn<'_>) -> Step {
        let State::Body(partial) = &mut self.state else {
            unreachable!("called in Body only");
        };
        let missing = partial.length - partial.body.len();
        let here = missing.min(turn.buffer.unused().len());
        if here > 0 {
            partial
                .body
                .extend_from_slice(&turn.buffer.unused()[..here]);
            partial.until = turn.now + turn.engine.config.body_timeout;
            turn.buffer.use_up(here);
        }
        if here == missing {
            let State::Body(whole) =
                std::mem::replace(&mut self.state, State::Idle { since: turn.now })
            else {
                unreachable!("it was Body just now");
            };
            let PartialBody { head, body, .. } = *whole;
            return self.call(head, body.into(), turn);
        }
        let until = partial.until;
        match turn.buffer.fill(&mut self.stream) {
            Received::Bytes(_) => Step::Go,
            Received::Eof | Received::Gone => self.abandon(turn),
            Received::Wait => self.await_rest(until, "the body made no progress", turn),
        }
    }

    /// A request that has begun waits for its rest: until its deadline (408)
    /// or the server's (503).
    fn await_rest(&mut self, until: Instant, late: &'static str, turn: &mut Turn<'_>) -> Step {
        if turn.aborting() {
            return self.turn_away(turn);
        }
        if turn.now < until {
            return turn.park(Wait::Input, Some(until));
        }
        self.refuse(Refusal::new(StatusCode::REQUEST_TIMEOUT, late), turn)
    }

    /// The server itself answers, and closes.
    fn refuse(&mut self, refusal: Refusal, turn: &mut Turn<'_>) -> Step {
        let Refusal { status, reason } = refusal;
        log::info!("refused with {status}: {reason} ({})", self.peer);
        self.state = State::Handling(self.asked_in_vain());
        self.answer(Answer::refusal(refusal), turn);
        Step::Go
    }

    /// No handler has started the request, and none will: the server stops.
    fn turn_away(&mut self, turn: &mut Turn<'_>) -> Step {
        self.state = State::Handling(self.asked_in_vain());
        self.answer(Answer::turned_away(), turn);
        Step::Go
    }

    /// What is known of a request that no handler gets.
    fn asked_in_vain(&self) -> Asked {
        let route = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.route.as_ref());
        Asked {
            method: route.map_or(Method::GET, |(method, _)| method.clone()),
            version: Version::HTTP_11,
            persist: Persist::Close(CloseReason::Refused),
        }
    }

    /// The client is gone in the middle of its request.
    fn abandon(&mut self, turn: &Turn<'_>) -> Step {
        self.end_exchange(RequestOutcome::Abandoned, &turn.engine.books);
        Step::close(ConnectionOutcome::Vanished)
    }
}

const NO_TUNNELS: Refusal =
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "this server opens no tunnels");

const BODY_TOO_LARGE: Refusal =
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");

impl Turn<'_> {
    fn holds_request(&mut self) -> bool {
        self.buffer.skip_empty_lines();
        !self.buffer.is_empty()
    }
}

/// How long a connection may be idle: its idle timeout, or the last call, which
/// each has from the start of the drain, or from when it became idle if that
/// was later (accepted by the sweep, say).
fn idle_until(since: Instant, turn: &Turn<'_>) -> Instant {
    let config = &turn.engine.config;
    let timeout = since + config.idle_timeout;
    match turn.engine.life.draining_since() {
        Some(began) => timeout.min(began.max(since) + config.last_call),
        None => timeout,
    }
}
