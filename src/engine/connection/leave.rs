//! Every way out: hanging up, lingering until the client has closed its side,
//! being cut, and the entry in the books that each ends with.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use super::State;
use super::Step;
use super::Turn;
use super::access_log;
use super::exchange;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::drain::report::CutRequest;
use crate::engine::Engine;
use crate::engine::guests::Left;
use crate::engine::in_flight::Deferred;
use crate::engine::linger::Linger;
use crate::engine::lot::Wait;
use crate::journal::note;
use crate::net::stream::Received;
use crate::service::body::Nature;

/// How we wait for the client's goodbye.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lingering {
    linger: Linger,
    outcome: ConnectionOutcome,
    /// The client did not ask for the end: what it sends may be a request.
    unasked: bool,
    /// It has had time to say goodbye.
    had_time: bool,
}

/// A client that has its answer says goodbye at once, as a rule. To look for
/// that a little later costs less than to be woken for it.
const GOODBYE_TAKES: Duration = Duration::from_millis(5);

impl Connection {
    /// Nothing is in progress, and nothing began in time.
    pub(super) fn hang_up(&mut self, turn: &mut Turn<'_>) -> Step {
        self.say_goodbye(ConnectionOutcome::HungUp, true, turn)
    }

    /// Half-closes. Closing at once could destroy what is on its way: a close
    /// with unread input resets the connection (RFC 9112 section 9.6).
    ///
    /// `unasked`: it is we who want to end it, and the client may not know.
    pub(super) fn say_goodbye(
        &mut self,
        outcome: ConnectionOutcome,
        unasked: bool,
        turn: &mut Turn<'_>,
    ) -> Step {
        let crossed = unasked && turn.holds_request();
        turn.buffer.clear();
        // It fails only on a connection that is broken, which the next read finds.
        let _ = self.stream.half_close();
        turn.engine.books.lingering_begun();
        self.state = State::Lingering(Lingering {
            linger: Linger::new(&turn.engine.config, turn.now),
            outcome: if crossed {
                ConnectionOutcome::Crossed
            } else {
                outcome
            },
            unasked,
            had_time: false,
        });
        Step::Go
    }

    /// `Lingering`: reads and discards, until the client's EOF, which proves
    /// that it has everything.
    pub(super) fn linger(&mut self, turn: &mut Turn<'_>) -> Step {
        turn.buffer.clear();
        let nothing_to_read = self.nothing_to_read(turn);
        let State::Lingering(lingering) = &mut self.state else {
            unreachable!("called in Lingering only");
        };
        let until = lingering.linger.until(turn.now, turn.aborted());
        let outcome = lingering.outcome;
        let given_up = turn.now >= until || turn.engine.life.aborts_on_demand();
        if !given_up && nothing_to_read {
            return self.await_goodbye(until, turn);
        }
        let received = turn.buffer.fill(&self.stream);
        turn.buffer.clear();
        match received {
            Received::Eof => Step::close(outcome),
            Received::Bytes(_) if lingering.unasked && outcome != ConnectionOutcome::Crossed => {
                lingering.outcome = ConnectionOutcome::Crossed;
                Step::Go
            }
            Received::Bytes(count) if !given_up => {
                lingering.linger.received(count, turn.now);
                Step::Go
            }
            Received::Wait if !given_up => self.await_goodbye(until, turn),
            Received::Bytes(_) | Received::Wait | Received::Gone => {
                Step::close(unconfirmed(outcome))
            }
        }
    }

    fn await_goodbye(&mut self, until: Instant, turn: &Turn<'_>) -> Step {
        let State::Lingering(lingering) = &mut self.state else {
            unreachable!("called in Lingering only");
        };
        // In a drain the stop waits for this connection, and elsewhere others
        // may wait for its place.
        let engine = turn.engine;
        let wanted = turn.phase >= Phase::Draining
            || engine.peers.are_limited()
            || !engine.places.has_room();
        if lingering.had_time || wanted {
            return turn.park(Wait::Input, Some(until));
        }
        lingering.had_time = true;
        turn.engine.lot.leave(self);
        let due = until.min(turn.now + GOODBYE_TAKES);
        turn.park(Wait::Soon, Some(due))
    }

    /// We end it, before its answer is complete.
    pub(super) fn cut(&mut self, turn: &mut Turn<'_>) -> Step {
        self.break_off(RequestOutcome::Cut, ConnectionOutcome::Cut, turn)
    }

    pub(super) fn break_off(
        &mut self,
        request: RequestOutcome,
        connection: ConnectionOutcome,
        turn: &mut Turn<'_>,
    ) -> Step {
        self.end_exchange(request, turn.engine, turn.deferred);
        self.make_the_end_plain(connection);
        Step::close(connection)
    }

    /// Enters how the request in progress ended. What is left of the
    /// application's answer is to be dropped later.
    pub(super) fn end_exchange(
        &mut self,
        outcome: RequestOutcome,
        engine: &Engine,
        deferred: &mut Vec<Deferred>,
    ) {
        if let State::Writing(writing) = &mut self.state
            && let Some(foreign) = writing.take_foreign()
        {
            deferred.push(Deferred::drop_of(foreign, self.subject()));
        }
        let Some(exchange) = self.exchange.take() else {
            debug_assert!(false, "an exchange ends once");
            return;
        };
        self.ticket.request_ended(outcome, exchange.on_last_call);
        engine.refusals.tell_if_due(&engine.journal);
        if engine.config.access_log {
            access_log::write(&engine.journal, self.peer, &exchange);
        }
        if outcome == RequestOutcome::Cut {
            engine.name_cut(CutRequest {
                route: exchange::named(exchange.route.as_ref()),
                peer: self.peer,
                age: exchange.began.elapsed(),
                handler_running: matches!(self.state, State::Handling(_)),
            });
        }
    }

    /// Ends it wherever it is; how, depends on that. The caller closes it.
    pub(crate) fn give_up(
        &mut self,
        engine: &Engine,
        deferred: &mut Vec<Deferred>,
    ) -> ConnectionOutcome {
        let (request, connection) = match &self.state {
            State::Idle { .. } => return ConnectionOutcome::HungUp,
            State::Lingering(lingering) => return unconfirmed(lingering.outcome),
            State::Writing(writing) if writing.nature == Nature::Follower => {
                (RequestOutcome::Stalled, ConnectionOutcome::Stalled)
            }
            State::Head { .. } | State::Body(_) | State::Handling(_) | State::Writing(_) => {
                (RequestOutcome::Cut, ConnectionOutcome::Cut)
            }
        };
        self.end_exchange(request, engine, deferred);
        self.make_the_end_plain(connection);
        connection
    }

    /// The client must not take an answer that is cut for a whole one: where
    /// the framing does not tell, a reset does. And the kernel must not go on
    /// feeding what it holds to a client that was too slow for us.
    fn make_the_end_plain(&self, outcome: ConnectionOutcome) {
        let unclear = matches!(&self.state, State::Writing(writing) if writing.ends_by_close());
        if unclear || outcome == ConnectionOutcome::Stalled {
            self.stream.reset_on_close();
        }
    }

    /// A handler takes it over: what it has then.
    pub(crate) fn leave_http(self) -> Left {
        debug_assert!(self.exchange.is_none(), "its request is answered");
        Left {
            stream: self.stream,
            peer: self.peer,
            local: self.local,
            input: Bytes::from(self.leftover),
            ticket: self.ticket,
            place: self.place,
            after_delivery: self.after_delivery,
        }
    }

    /// Closes the socket and enters the outcome, in this order. What is left is
    /// the call that the application wants after the delivery.
    pub(crate) fn close(self, outcome: ConnectionOutcome, engine: &Engine) -> Option<Deferred> {
        debug_assert!(
            self.exchange.is_none(),
            "closed in the middle of an exchange"
        );
        let Self {
            stream,
            peer,
            state,
            ticket,
            place,
            after_delivery,
            ..
        } = self;
        note!(engine.journal, Debug, "{peer}: {outcome:?}");
        drop(stream);
        if matches!(state, State::Lingering(_)) {
            engine.books.lingering_ended();
        }
        drop(state);
        ticket.end(outcome);
        // Last: the acceptor that it wakes finds the connection ended.
        drop(place);
        after_delivery
    }
}

/// How a connection ended whose client did not close its side.
fn unconfirmed(outcome: ConnectionOutcome) -> ConnectionOutcome {
    match outcome {
        ConnectionOutcome::Completed => ConnectionOutcome::Unconfirmed,
        other => other,
    }
}
