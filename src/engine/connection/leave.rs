//! Every way out: hanging up, lingering until the client has closed its side,
//! being cut, and the entry in the books that each ends with.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use super::Context;
use super::Parts;
use super::State;
use super::Step;
use super::access_log;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::drain::report::CutRequest;
use crate::engine::deferred;
use crate::engine::deferred::Deferred;
use crate::engine::linger::Linger;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
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
const EOF_TAKES: Duration = Duration::from_millis(5);

impl Connection {
    /// Nothing is in progress, and nothing began in time.
    pub(super) fn close_idle(&mut self, cx: &mut Context<'_>) -> Step {
        self.half_close(ConnectionOutcome::HungUp, true, cx)
    }

    /// Half-closes. Closing at once could destroy what is on its way: a close
    /// with unread input resets the connection (RFC 9112 section 9.6).
    ///
    /// `unasked`: it is we who want to end it, and the client may not know.
    pub(super) fn half_close(
        &mut self,
        outcome: ConnectionOutcome,
        unasked: bool,
        cx: &mut Context<'_>,
    ) -> Step {
        let crossed = unasked && cx.holds_request();
        cx.buffer.clear();
        // It fails only on a connection that is broken, which the next read finds.
        let _ = self.stream.half_close();
        cx.services.accounting.lingering_begun();
        self.state = State::Lingering(Lingering {
            linger: Linger::new(&cx.services.config, cx.now),
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
    pub(super) fn linger(&mut self, cx: &mut Context<'_>) -> Step {
        cx.buffer.clear();
        let nothing_to_read = self.nothing_to_read(cx);
        let State::Lingering(lingering) = &mut self.state else {
            unreachable!("called in Lingering only");
        };
        let until = lingering.linger.until(cx.now, cx.aborting_since());
        let outcome = lingering.outcome;
        let given_up = cx.now >= until || cx.services.life.aborts_on_demand();
        if !given_up && nothing_to_read {
            return self.await_eof(until, cx);
        }
        let received = cx.buffer.fill(&self.stream);
        cx.buffer.clear();
        match received {
            Received::Eof => Step::close(outcome),
            Received::Bytes(_) if lingering.unasked && outcome != ConnectionOutcome::Crossed => {
                lingering.outcome = ConnectionOutcome::Crossed;
                Step::Go
            }
            Received::Bytes(count) if !given_up => {
                lingering.linger.received(count, cx.now);
                Step::Go
            }
            Received::Wait if !given_up => self.await_eof(until, cx),
            Received::Bytes(_) | Received::Wait | Received::Gone => {
                Step::close(unconfirmed(outcome))
            }
        }
    }

    fn await_eof(&mut self, until: Instant, cx: &Context<'_>) -> Step {
        let State::Lingering(lingering) = &mut self.state else {
            unreachable!("called in Lingering only");
        };
        // In a drain the stop waits for this connection, and elsewhere others
        // may wait for its place.
        let services = cx.services;
        let wanted = cx.phase >= Phase::Draining
            || services.peers.are_limited()
            || !services.places.has_room();
        if lingering.had_time || wanted {
            return cx.suspend(Wait::Input, Some(until));
        }
        lingering.had_time = true;
        self.deregister();
        let due = until.min(cx.now + EOF_TAKES);
        cx.suspend(Wait::Time, Some(due))
    }

    /// We end it, before its answer is complete.
    pub(super) fn cut(&mut self, cx: &mut Context<'_>) -> Step {
        self.break_off(RequestOutcome::Cut, ConnectionOutcome::Cut, cx)
    }

    pub(super) fn break_off(
        &mut self,
        request: RequestOutcome,
        connection: ConnectionOutcome,
        cx: &mut Context<'_>,
    ) -> Step {
        self.end_exchange(request, cx.services, cx.deferred);
        self.make_the_end_plain(connection);
        Step::close(connection)
    }

    /// Enters how the request in progress ended. What is left of the
    /// application's answer is to be dropped later.
    pub(super) fn end_exchange(
        &mut self,
        outcome: RequestOutcome,
        services: &Services,
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
        services.refusals.tell_if_due(&services.journal);
        if services.config.access_log {
            access_log::write(&services.journal, self.peer, &exchange);
        }
        if outcome == RequestOutcome::Cut {
            services.name_cut(CutRequest {
                route: deferred::named(exchange.route.as_ref()),
                peer: self.peer,
                age: exchange.began.elapsed(),
                handler_running: matches!(self.state, State::Handling(_)),
            });
        }
    }

    /// Ends it wherever it is, and closes it.
    pub(crate) fn give_up(mut self: Box<Self>, services: &Services, deferred: &mut Vec<Deferred>) {
        let (request, connection) = match &self.state {
            State::Idle { .. } => {
                return self.close(ConnectionOutcome::HungUp, services, deferred);
            }
            State::Lingering(lingering) => {
                let outcome = unconfirmed(lingering.outcome);
                return self.close(outcome, services, deferred);
            }
            State::Writing(writing) if writing.nature == Nature::Follower => {
                (RequestOutcome::Stalled, ConnectionOutcome::Stalled)
            }
            State::Head { .. } | State::Body(_) | State::Handling(_) | State::Writing(_) => {
                (RequestOutcome::Cut, ConnectionOutcome::Cut)
            }
        };
        self.end_exchange(request, services, deferred);
        self.make_the_end_plain(connection);
        self.close(connection, services, deferred);
    }

    /// The client must not take an answer that is cut for a whole one: where
    /// the framing does not tell, a reset does. And the kernel must not go on
    /// feeding what it holds to a client that was too slow for us.
    fn make_the_end_plain(&self, outcome: ConnectionOutcome) {
        if self.ends_by_reset(outcome) {
            self.stream.reset_on_close();
        }
    }

    fn ends_by_reset(&self, outcome: ConnectionOutcome) -> bool {
        let unclear = matches!(&self.state, State::Writing(writing) if writing.ends_by_close());
        unclear || outcome == ConnectionOutcome::Stalled
    }

    /// It is no HTTP any more: what is left of it.
    pub(crate) fn into_parts(mut self) -> Parts {
        debug_assert!(self.exchange.is_none(), "its request is answered");
        self.deregister();
        Parts {
            stream: self.stream,
            peer: self.peer,
            local: self.local,
            input: Bytes::from(self.leftover),
            ticket: self.ticket,
            place: self.place,
            share: self.share,
            after_delivery: self.after_delivery,
        }
    }

    /// Closes the socket and enters the outcome, in this order: so no connection
    /// is open any more when none is counted. The call that the application wants
    /// after the delivery is left to run.
    pub(crate) fn close(
        self: Box<Self>,
        outcome: ConnectionOutcome,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) {
        debug_assert!(
            self.exchange.is_none(),
            "closed in the middle of an exchange"
        );
        let is_reset = self.ends_by_reset(outcome);
        let Self {
            stream,
            peer,
            state,
            shard,
            key,
            ticket,
            place,
            share,
            after_delivery,
            ..
        } = *self;
        note!(services.journal, Debug, "{peer}: {outcome:?}");
        if let Some(key) = key {
            shard.remove(key);
        }
        // A thread that waits for the socket, or sends a file to it, has it too.
        if stream.is_shared() {
            match is_reset {
                // Not with our half of the close, which the client could take for
                // the end of a whole answer: the reset comes with the last handle.
                true => stream.stop_reading(),
                false => stream.shut_down(),
            }
        }
        drop(stream);
        drop(share);
        if matches!(state, State::Lingering(_)) {
            services.accounting.lingering_ended();
        }
        drop(state);
        ticket.end(outcome);
        // Last: the acceptor that it wakes finds the connection ended.
        drop(place);
        deferred.extend(after_delivery);
    }
}

/// How a connection ended whose client did not close its side.
fn unconfirmed(outcome: ConnectionOutcome) -> ConnectionOutcome {
    match outcome {
        ConnectionOutcome::Completed => ConnectionOutcome::Unconfirmed,
        other => other,
    }
}
