//! Every way to the end of a connection: it is closed while idle, lingers until the
//! client has closed its side, or is cut. Each enters an outcome in the accounting.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use super::Context;
use super::State;
use super::Step;
use super::UpgradeParts;
use super::access_log;
use crate::engine::deferred;
use crate::engine::deferred::Deferred;
use crate::engine::linger::Linger;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
use crate::journal::note;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::CutRequest;
use crate::message::body::source::BodyKind;
use crate::net::stream::Received;

/// A connection that waits for the client to close its side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lingering {
    linger: Linger,
    outcome: ConnectionOutcome,
    /// The server ends the connection: what the client sends may be a request.
    is_server_initiated: bool,
    /// The connection has waited for the EOF once, without events.
    has_waited: bool,
}

/// How long to wait for the client's EOF before an event is asked for. As a rule a
/// client closes its side at once, and a read after a while costs less than the
/// wake-up for an event.
const EOF_DELAY: Duration = Duration::from_millis(5);

impl Connection {
    /// Half-closes an idle connection: no request began in time.
    pub(super) fn close_idle(&mut self, cx: &mut Context<'_>) -> Step {
        self.half_close(ConnectionOutcome::ClosedIdle, true, cx)
    }

    /// Half-closes the connection, and lingers. A close at once could destroy an
    /// answer on its way: with unread input, it resets the connection
    /// (RFC 9112 section 9.6).
    ///
    /// `is_server_initiated`: the server ends the connection, so the client may have
    /// sent a request before it learns of that.
    pub(super) fn half_close(
        &mut self,
        outcome: ConnectionOutcome,
        is_server_initiated: bool,
        cx: &mut Context<'_>,
    ) -> Step {
        let crossed = is_server_initiated && cx.holds_request();
        cx.buffer.clear();
        // This fails only on a broken connection, which the next read finds.
        let _ = self.socket.stream.half_close();
        cx.services.accounting.lingering_begun();
        self.state = State::Lingering(Lingering {
            linger: Linger::new(&cx.services.config, cx.now),
            outcome: if crossed {
                ConnectionOutcome::CrossedClose
            } else {
                outcome
            },
            is_server_initiated,
            has_waited: false,
        });
        Step::Continue
    }

    /// `Lingering`: reads and discards until the client's EOF, which confirms that
    /// the client has read everything.
    pub(super) fn linger(&mut self, cx: &mut Context<'_>) -> Step {
        cx.buffer.clear();
        let has_nothing_to_read = self.has_nothing_to_read(cx);
        let State::Lingering(lingering) = &mut self.state else {
            unreachable!("called in Lingering only");
        };
        let until = lingering.linger.until(cx.now, cx.aborting_since());
        let outcome = lingering.outcome;
        let is_over = cx.now >= until || cx.services.life.abort_was_requested();
        if !is_over && has_nothing_to_read {
            return self.await_eof(until, cx);
        }
        let received = cx.buffer.fill(&self.socket.stream);
        cx.buffer.clear();
        match received {
            Received::Eof => Step::close(outcome),
            Received::Bytes(_)
                if lingering.is_server_initiated && outcome != ConnectionOutcome::CrossedClose =>
            {
                lingering.outcome = ConnectionOutcome::CrossedClose;
                Step::Continue
            }
            Received::Bytes(count) if !is_over => {
                lingering.linger.received(count, cx.now);
                Step::Continue
            }
            Received::Wait if !is_over => self.await_eof(until, cx),
            Received::Bytes(_) | Received::Wait | Received::Gone => {
                Step::close(unconfirmed(outcome))
            }
        }
    }

    fn await_eof(&mut self, until: Instant, cx: &Context<'_>) -> Step {
        let State::Lingering(lingering) = &mut self.state else {
            unreachable!("called in Lingering only");
        };
        // A drain waits for this connection, and at a limit of connections others
        // wait for its place: then its end must not be delayed.
        let services = cx.services;
        let is_urgent = cx.phase >= Phase::Draining
            || services.peers.are_limited()
            || !services.places.has_room();
        if lingering.has_waited || is_urgent {
            return cx.suspend(Wait::Input, Some(until));
        }
        lingering.has_waited = true;
        self.deregister();
        let due = until.min(cx.now + EOF_DELAY);
        cx.suspend(Wait::Time, Some(due))
    }

    /// Cuts the answer: the server ends the connection before the answer is complete.
    pub(super) fn cut_answer(&mut self, cx: &mut Context<'_>) -> Step {
        self.close_mid_exchange(RequestOutcome::Cut, ConnectionOutcome::Cut, cx)
    }

    /// Ends the request in progress and the connection, with these outcomes.
    pub(super) fn close_mid_exchange(
        &mut self,
        request: RequestOutcome,
        connection: ConnectionOutcome,
        cx: &mut Context<'_>,
    ) -> Step {
        self.end_exchange(request, cx.services, cx.deferred);
        self.reset_if_end_is_unclear(connection);
        Step::close(connection)
    }

    /// Enters the outcome of the request in progress. What is left of the
    /// application's answer is dropped later.
    pub(super) fn end_exchange(
        &mut self,
        outcome: RequestOutcome,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) {
        if let State::Writing(writing) = &mut self.state
            && let Some(rest) = writing.take_user_rest()
        {
            deferred.push(Deferred::drop_of(rest, self.subject()));
        }
        let Some(exchange) = self.exchange.take() else {
            debug_assert!(false, "an exchange ends once");
            return;
        };
        self.guard.request_ended(outcome, exchange.on_last_call);
        services.refusals.log_if_due(&services.journal);
        if services.config.access_log {
            access_log::write(&services.journal, self.peer, &exchange);
        }
        if outcome == RequestOutcome::Cut {
            services.name_cut(CutRequest {
                route: deferred::named(exchange.request_line.as_ref()),
                peer: self.peer,
                age: exchange.began.elapsed(),
                handler_running: matches!(self.state, State::Handling(_)),
            });
        }
    }

    /// Closes the connection at once, in whatever state it is.
    pub(crate) fn close_now(
        mut self: Box<Self>,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) {
        let (request, connection) = match &self.state {
            State::Idle { .. } => {
                return self.close(ConnectionOutcome::ClosedIdle, services, deferred);
            }
            State::Lingering(lingering) => {
                let outcome = unconfirmed(lingering.outcome);
                return self.close(outcome, services, deferred);
            }
            State::Writing(writing) if writing.kind == BodyKind::Follower => (
                RequestOutcome::ClientStalled,
                ConnectionOutcome::ClientStalled,
            ),
            State::Head { .. } | State::Body(_) | State::Handling(_) | State::Writing(_) => {
                (RequestOutcome::Cut, ConnectionOutcome::Cut)
            }
        };
        self.end_exchange(request, services, deferred);
        self.reset_if_end_is_unclear(connection);
        self.close(connection, services, deferred);
    }

    /// Has the close reset the connection, where the client could take a cut answer
    /// for a whole one because the framing does not tell its end. The reset also
    /// discards what the kernel still holds for a client that was too slow.
    fn reset_if_end_is_unclear(&self, outcome: ConnectionOutcome) {
        if self.ends_by_reset(outcome) {
            self.socket.stream.reset_on_close();
        }
    }

    fn ends_by_reset(&self, outcome: ConnectionOutcome) -> bool {
        let is_unclear = matches!(&self.state, State::Writing(writing) if writing.ends_by_close());
        is_unclear || outcome == ConnectionOutcome::ClientStalled
    }

    /// Takes the connection apart for an upgrade.
    pub(crate) fn into_parts(mut self) -> UpgradeParts {
        debug_assert!(self.exchange.is_none(), "its request is answered");
        self.deregister();
        UpgradeParts {
            stream: self.socket.stream,
            peer: self.peer,
            local: self.local,
            input: Bytes::from(self.unused_input),
            guard: self.guard,
            place: self.place,
            share: self.share,
            after_delivery: self.after_delivery,
        }
    }

    /// Closes the socket and then enters the outcome: so the count of open
    /// connections reaches zero only after the last socket is closed. The
    /// application's call after the delivery is deferred.
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
            socket,
            peer,
            state,
            shard,
            guard,
            place,
            share,
            after_delivery,
            ..
        } = *self;
        note!(services.journal, Debug, "{peer}: {outcome:?}");
        shard.remove(&socket);
        let stream = socket.stream;
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
        guard.end(outcome);
        // Last, since the drop wakes the acceptor, which then finds the connection
        // ended in the accounting.
        drop(place);
        deferred.extend(after_delivery);
    }
}

/// The outcome if the client has not closed its side.
fn unconfirmed(outcome: ConnectionOutcome) -> ConnectionOutcome {
    match outcome {
        ConnectionOutcome::Completed => ConnectionOutcome::DeliveryUnconfirmed,
        other => other,
    }
}
