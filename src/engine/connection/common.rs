//! The data that a connection has in every state: its socket, its unused input, the
//! request in progress, and its entries in the accounting.

use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::StatusCode;
use http::Version;

use super::Admitted;
use super::Connection;
use super::Context;
use super::Step;
use super::access_log;
use super::exchange::Exchange;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::engine::deferred;
use crate::engine::deferred::Deferred;
use crate::engine::deferred::Subject;
use crate::engine::peers::PeerShare;
use crate::engine::places::Place;
use crate::engine::services::Services;
use crate::engine::shard::Shard;
use crate::engine::shard::Socket;
use crate::engine::slow_calls::CallKey;
use crate::http1::request_line::RequestLine;
use crate::lifecycle::accounting::ConnectionGuard;
use crate::lifecycle::method_label;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::CutRequest;
use crate::message::body::source::Waker;

/// See the module.
pub(super) struct Common {
    pub(super) socket: Socket,
    pub(super) peer: PeerAddr,
    pub(super) local: LocalAddr,
    /// Input that was read in an earlier turn and is not used yet.
    pub(super) unused_input: Box<[u8]>,
    /// How many bytes of the unused input arrived before the end of the last call.
    /// Requests in these bytes are answered. `None` until this number is decided, in a
    /// drain after the last call.
    pub(super) in_time_bytes: Option<usize>,
    /// The request in progress, from its first byte to the end of its answer.
    pub(super) exchange: Option<Exchange>,
    /// How many requests have begun on this connection.
    pub(super) exchange_count: u64,
    /// When a poll found that the connection is ready for its turn. `None` once a handler
    /// has been called in this turn: a further request of the turn does not wait.
    pub(super) ready_since: Option<Instant>,
    /// An event has reported that the client has closed its side.
    pub(super) may_be_at_eof: bool,
    /// The function of the application that is called when the connection has ended.
    pub(super) after_delivery: Option<Deferred>,
    /// The shard in which the connection is suspended.
    pub(super) shard: Arc<Shard<Connection>>,
    pub(super) guard: ConnectionGuard,
    pub(super) place: Place,
    pub(super) share: PeerShare,
}

impl Common {
    pub(super) fn new(admitted: Admitted, shard: Arc<Shard<Connection>>) -> Self {
        let Admitted {
            stream,
            peer,
            local,
            guard,
            place,
            share,
        } = admitted;
        Self {
            socket: Socket::new(stream),
            peer,
            local,
            unused_input: Box::default(),
            in_time_bytes: None,
            exchange: None,
            exchange_count: 0,
            ready_since: None,
            may_be_at_eof: false,
            after_delivery: None,
            shard,
            guard,
            place,
            share,
        }
    }

    /// Moves the unused input into the worker's buffer.
    pub(super) fn load_input(&mut self, cx: &mut Context<'_>) {
        let unused_input = mem::take(&mut self.unused_input);
        cx.buffer
            .load(&unused_input, self.in_time_bytes.unwrap_or(0));
    }

    /// Copies the unused bytes out of the worker's buffer.
    pub(super) fn store_input(&mut self, cx: &Context<'_>) {
        self.unused_input = cx.buffer.to_unused();
        self.in_time_bytes = self.in_time_bytes.map(|_| cx.buffer.in_time_bytes());
    }

    /// Whether another read would find nothing, so that the connection can wait for an
    /// event at once. An EOF that arrives together with bytes causes no further event
    /// after these bytes are read, so the EOF has to be read too.
    pub(super) fn has_nothing_to_read(&self, cx: &Context<'_>) -> bool {
        cx.buffer.is_empty() && cx.buffer.has_emptied_socket() && !self.may_be_at_eof
    }

    /// Returns a waker, which ends a wait for [`Wait::Wake`].
    ///
    /// [`Wait::Wake`]: crate::engine::shard::Wait::Wake
    pub(super) fn waker(&mut self) -> Waker {
        self.shard.waker(&mut self.socket)
    }

    /// Ends the events of this connection, until it is suspended again.
    pub(super) fn deregister(&mut self) {
        self.shard.deregister(&mut self.socket);
    }

    pub(super) fn begin_exchange(&mut self, cx: &Context<'_>) {
        self.guard.request_begun();
        self.exchange_count += 1;
        self.exchange = Some(Exchange {
            status: None,
            received_bytes: 0,
            sent_bytes: 0,
            sent_before_body: 0,
            began: cx.now,
            // Not `cx.phase`, because the drain may have begun since the turn began.
            on_last_call: cx.services.life.phase() >= Phase::Draining,
            request_line: None,
            call_key: CallKey::default(),
            route: None,
            method: method_label::OTHER,
            is_urgent: false,
        });
    }

    /// Whether the request in progress is for an urgent route.
    pub(super) fn is_urgent(&self) -> bool {
        let exchange = self.exchange.as_ref();
        exchange.is_some_and(|exchange| exchange.is_urgent)
    }

    /// Ends the exchange, and enters its outcome in the accounting.
    ///
    /// `now` may be the time of the turn, which saves a look at the clock. Usually
    /// that is the end of the call before the last write.
    pub(super) fn end_exchange(
        &mut self,
        outcome: RequestOutcome,
        now: Instant,
        services: &Services,
    ) {
        if let Some(exchange) = self.take_exchange() {
            let took = now.saturating_duration_since(exchange.began);
            self.enter(&exchange, outcome, took, services);
        }
    }

    /// Ends the exchange with the outcome `Cut`, and names its request in the report.
    /// `total`: the length of the answer's body, if there is an answer and it is known.
    pub(super) fn cut_exchange(
        &mut self,
        handler_running: bool,
        total: Option<u64>,
        services: &Services,
    ) {
        if let Some(exchange) = self.take_exchange() {
            let took = exchange.began.elapsed();
            self.enter(&exchange, RequestOutcome::Cut, took, services);
            services.name_cut(CutRequest {
                route: deferred::named(exchange.request_line.as_ref()),
                peer: self.peer,
                age: took,
                handler_running,
                response_bytes_sent: exchange.body_bytes_sent(),
                response_bytes_total: total,
            });
        }
    }

    fn take_exchange(&mut self) -> Option<Exchange> {
        let exchange = self.exchange.take();
        debug_assert!(exchange.is_some(), "an exchange ends once");
        exchange
    }

    fn enter(
        &mut self,
        exchange: &Exchange,
        outcome: RequestOutcome,
        took: Duration,
        services: &Services,
    ) {
        self.guard.request_ended(&exchange.ended(outcome, took));
        services.refusals.log_if_due(&services.journal);
        if services.config.access_log {
            let format = services.config.access_log_format;
            access_log::write(&services.journal, format, self.peer, exchange, outcome);
        }
    }

    /// Closes the connection, because the client has closed it in the middle of its
    /// request.
    pub(super) fn close_disconnected_request(&mut self, cx: &Context<'_>) -> Step {
        self.end_exchange(RequestOutcome::ClientDisconnected, cx.now, cx.services);
        Step::close(ConnectionOutcome::ClientDisconnected)
    }

    /// Notes the status of the answer, and the length of its head in bytes.
    pub(super) fn set_answer_head(&mut self, status: StatusCode, head_bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.set_answer_head(status, head_bytes);
        }
    }

    /// The version of the request in progress. HTTP/1.0 if it is not known: any client
    /// understands an answer that the end of the connection ends.
    pub(super) fn asked_version(&self) -> Version {
        let exchange = self.exchange.as_ref();
        let request_line = exchange.and_then(|exchange| exchange.request_line.as_ref());
        request_line.map_or(Version::HTTP_10, RequestLine::version)
    }

    pub(super) fn count_received(&mut self, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.received_bytes += bytes as u64;
        }
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.sent_bytes += bytes as u64;
        }
    }

    /// The method and the target of the request in progress, for the log.
    pub(super) fn route(&self) -> String {
        let exchange = self.exchange.as_ref();
        deferred::named(exchange.and_then(|exchange| exchange.request_line.as_ref()))
    }

    /// Whether a part of the answer's body has been sent.
    pub(super) fn has_sent_body(&self) -> bool {
        let exchange = self.exchange.as_ref();
        exchange.is_some_and(|exchange| exchange.body_bytes_sent() > 0)
    }

    /// Counts what is left of the answer's body, which has this length.
    pub(super) fn count_left(&mut self, length: u64) {
        if let Some(exchange) = &self.exchange {
            let left = length.saturating_sub(exchange.body_bytes_sent());
            self.guard.response_bytes_left(left);
        }
    }

    /// Returns the request in progress, for the report and the log.
    pub(super) fn subject(&self) -> Subject {
        let exchange = self.exchange.as_ref();
        Subject {
            request_line: exchange.and_then(|exchange| exchange.request_line.clone().map(Box::new)),
            peer: self.peer,
            call_key: exchange.map_or_else(CallKey::default, |exchange| exchange.call_key),
            route: exchange.and_then(|exchange| exchange.route),
            since: exchange.map_or_else(Instant::now, |exchange| exchange.began),
        }
    }
}
