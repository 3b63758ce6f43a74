//! The ends of a connection: it is closed while idle, lingers until the client has
//! closed its side, or is cut. Each end enters an outcome in the accounting.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use super::Context;
use super::State;
use super::Step;
use super::UpgradeParts;
use super::common::Common;
use crate::engine::deferred::Deferred;
use crate::engine::linger::Linger;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
use crate::journal::note;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::phase::Phase;
use crate::net::stream::Received;

/// A connection that waits for the client to close its side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lingering {
    linger: Linger,
    outcome: ConnectionOutcome,
    /// The server decides to end the connection: bytes that the client sends may be a
    /// request.
    is_server_initiated: bool,
    /// The connection has waited for the EOF once, without events.
    has_waited: bool,
}

/// How long the connection waits for the client's EOF before it waits for events. Most
/// clients close their side at once, and a read after this delay costs less than the
/// wake-up for an event.
const EOF_DELAY: Duration = Duration::from_millis(5);

impl Lingering {
    /// Half-closes the connection, and lingers. A full close at once could destroy an
    /// answer that is on its way: if input is unread, the close resets the connection
    /// (RFC 9112 section 9.6).
    ///
    /// `is_server_initiated`: the server decides to end the connection, so the client
    /// may have sent a request before it notices the half-close.
    pub(super) fn half_close(
        outcome: ConnectionOutcome,
        is_server_initiated: bool,
        common: &Common,
        cx: &mut Context<'_>,
    ) -> Self {
        let crossed = is_server_initiated && cx.holds_request();
        cx.buffer.clear();
        // The error is ignored: it occurs only on a broken connection, and the next
        // read reports that.
        let _ = common.socket.stream.half_close();
        cx.services.accounting.lingering_begun();
        Self {
            linger: Linger::new(&cx.services.config, cx.now),
            outcome: if crossed {
                ConnectionOutcome::CrossedClose
            } else {
                outcome
            },
            is_server_initiated,
            has_waited: false,
        }
    }

    /// Reads and discards until the client's EOF, which confirms that the client has
    /// read everything.
    pub(super) fn step(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        cx.buffer.clear();
        let until = self.linger.until(cx.now, cx.aborting_since());
        let is_over = cx.now >= until || cx.services.life.abort_was_requested();
        if !is_over && common.has_nothing_to_read(cx) {
            return self.await_eof(until, common, cx);
        }
        let received = cx.buffer.fill(&common.socket.stream);
        cx.buffer.clear();
        match received {
            Received::Eof => Step::close(self.outcome),
            Received::Bytes(_)
                if self.is_server_initiated && self.outcome != ConnectionOutcome::CrossedClose =>
            {
                self.outcome = ConnectionOutcome::CrossedClose;
                Step::Continue
            }
            Received::Bytes(count) if !is_over => {
                self.linger.received(count, cx.now);
                Step::Continue
            }
            Received::Wait if !is_over => self.await_eof(until, common, cx),
            Received::Bytes(_) | Received::Wait | Received::Gone => Step::close(self.unconfirmed()),
        }
    }

    fn await_eof(&mut self, until: Instant, common: &mut Common, cx: &Context<'_>) -> Step {
        // The end must not be delayed if something waits for it. A drain waits for this
        // connection. At a limit of connections, a new connection waits for its place.
        let services = cx.services;
        let is_urgent = cx.phase >= Phase::Draining
            || services.peers.are_limited()
            || !services.places.has_room();
        if self.has_waited || is_urgent {
            return cx.suspend(Wait::Input, Some(until));
        }
        self.has_waited = true;
        common.deregister();
        let due = until.min(cx.now + EOF_DELAY);
        cx.suspend(Wait::Time, Some(due))
    }

    /// Returns the outcome if the client has not closed its side.
    fn unconfirmed(&self) -> ConnectionOutcome {
        match self.outcome {
            ConnectionOutcome::Completed => ConnectionOutcome::DeliveryUnconfirmed,
            other => other,
        }
    }
}

impl Connection {
    /// Closes the connection at once, in any state.
    pub(crate) fn close_now(
        mut self: Box<Self>,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) {
        let Self { common, state } = &mut *self;
        let outcome = match state {
            State::Idle(_) => ConnectionOutcome::ClosedIdle,
            State::Head(_) | State::Body(_) | State::Handling(_) => {
                if matches!(state, State::Head(_)) {
                    // The part of the head that has arrived.
                    common.count_received(common.unused_input.len());
                }
                let handler_running =
                    matches!(state, State::Handling(handling) if handling.own.is_none());
                common.cut_exchange(handler_running, None, services);
                ConnectionOutcome::Cut
            }
            State::Writing(writing) => writing.close_now(common, services, deferred),
            State::Lingering(lingering) => lingering.unconfirmed(),
        };
        self.close(outcome, services, deferred);
    }

    /// Takes the connection apart for an upgrade.
    pub(crate) fn into_parts(self) -> UpgradeParts {
        let mut common = self.common;
        debug_assert!(common.exchange.is_none(), "its request is answered");
        common.deregister();
        UpgradeParts {
            stream: common.socket.stream,
            peer: common.peer,
            local: common.local,
            input: Bytes::from(common.unused_input),
            guard: common.guard,
            place: common.place,
            share: common.share,
            after_delivery: common.after_delivery,
        }
    }

    /// Closes the socket, and then enters the outcome in the accounting. In this order,
    /// the count of open connections reaches zero only after the last socket is closed.
    /// The application's call after the delivery is deferred.
    pub(crate) fn close(
        self: Box<Self>,
        outcome: ConnectionOutcome,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) {
        let Self { common, state } = *self;
        let Common {
            socket,
            peer,
            exchange,
            after_delivery,
            shard,
            guard,
            place,
            share,
            ..
        } = common;
        debug_assert!(exchange.is_none(), "closed in the middle of an exchange");
        note!(services.journal, Debug, "{peer}: {outcome:?}");
        shard.remove(&socket);
        let stream = socket.stream;
        // A thread that waits for the socket, or sends a file to it, has another
        // handle. Then the drop of this handle does not close the socket.
        if stream.is_shared() {
            match &state {
                // The sending side is not shut down, because the client could take this
                // for the end of a complete answer. The drop of the last handle resets
                // the connection.
                State::Writing(writing) if writing.ends_by_reset(outcome) => stream.stop_reading(),
                _ => stream.shut_down(),
            }
        }
        drop(stream);
        drop(share);
        if matches!(state, State::Lingering(_)) {
            services.accounting.lingering_ended();
        }
        drop(state);
        guard.end(outcome);
        // Last, because the drop wakes the acceptor. The acceptor then finds in the
        // accounting that the connection has ended.
        drop(place);
        deferred.extend(after_delivery);
    }
}
