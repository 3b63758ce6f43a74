//! `Writing`: writes an answer, up to its last byte.

use std::fmt;
use std::io;
use std::mem;
use std::time::Instant;

use bytes::Bytes;

use super::Context;
use super::Next;
use super::Step;
use super::Upgrade;
use super::common::Common;
use super::rest::FileBody;
use super::rest::FilePart;
use super::rest::Rest;
use super::rest::StreamBody;
use crate::engine::deferred::Deferred;
use crate::engine::minimum_rate::RateMeter;
use crate::engine::output::Output;
use crate::engine::services::Services;
use crate::engine::shard::Wait;
use crate::http1::encode;
use crate::http1::encode::Length;
use crate::http1::persist::CloseReason;
use crate::http1::persist::Persist;
use crate::journal::note;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::HowFar;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::upgrade::UpgradeFn;
use crate::net::stream::Received;
use crate::net::stream::Sent;

/// How many bytes of a file count as a further step of the turn.
const FILE_BYTES_A_STEP: usize = 64 * 1024;

/// An answer that is being written.
pub(super) struct Writing {
    pub(super) output: Output,
    pub(super) rest: Option<Rest>,
    /// That of the body that is sent: [`Length::None`] if the answer has none.
    pub(super) length: Length,
    pub(super) persist: Persist,
    pub(super) outcome: RequestOutcome,
    pub(super) kind: BodyKind,
    pub(super) minimum_rate: RateMeter,
}

impl Writing {
    /// Writes the output, and then the rest.
    pub(super) fn step(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        if cx.phase >= Phase::Draining && self.kind == BodyKind::Endless {
            self.drain_endless_body(common, cx);
        }
        if !self.output.is_done() {
            let stream = &common.socket.stream;
            let sent = match &self.rest {
                Some(Rest::File(file)) if !file.is_sent() => self.output.write_before_file(stream),
                _ => self.output.write(stream),
            };
            return self.after_write(sent, common, cx);
        }
        let Some(rest) = &mut self.rest else {
            return self.finish(common, cx);
        };
        if rest.needs_call() && cx.holds(common) {
            self.minimum_rate.pause(cx.now);
            return Step::Next(Next::Hold);
        }
        match mem::replace(rest, Rest::Lent) {
            Rest::Shared(bytes) => {
                cx.deferred.push(Deferred::drop_of(bytes, common.subject()));
                self.finish(common, cx)
            }
            Rest::File(file) if file.is_sent() => {
                self.rest = None;
                Step::Continue
            }
            Rest::File(mut file) => {
                file.resume(cx.now);
                self.count_left_once_begun(common);
                let stream = common.socket.stream.share();
                Step::Next(Next::SendFile(FilePart { stream, file }))
            }
            Rest::Stream(stream) => {
                // The source keeps a handle of its last piece until its next call. So
                // the output does not drop the last handle, whose drop may run code of
                // the application.
                self.output = Output::default();
                self.count_left_once_begun(common);
                Step::Next(Next::Pull(stream))
            }
            Rest::Lent => self.cut_broken_body(&"the source of the body is gone", common, cx),
            Rest::Upgrade(function) => self.upgrade(function, common, cx),
        }
    }

    /// Continues with the result of a [`Next::SendFile`].
    pub(super) fn file_sent(
        &mut self,
        mut file: FileBody,
        sent: io::Result<Sent>,
        common: &mut Common,
        cx: &mut Context<'_>,
    ) -> Step {
        match sent {
            Ok(Sent::Bytes(0)) => self.cut_broken_body(&"the file has become shorter", common, cx),
            Ok(sent) => {
                match sent {
                    Sent::Bytes(count) => {
                        file.count_sent(count);
                        // A turn ends after a few MiB, however fast the client reads.
                        *cx.budget = cx.budget.saturating_sub(count / FILE_BYTES_A_STEP);
                    }
                    Sent::Wait => file.wait(cx.now),
                    Sent::Gone => {}
                }
                self.rest = Some(Rest::File(file));
                self.after_write(sent, common, cx)
            }
            // The kernel cannot send this file, so it is read and written piece by
            // piece.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                match file.into_stream(common.waker()) {
                    Ok(stream) => {
                        self.rest = Some(Rest::Stream(stream));
                        Step::Continue
                    }
                    Err(error) => self.cut_broken_body(&error, common, cx),
                }
            }
            Err(error) => self.cut_broken_body(&error, common, cx),
        }
    }

    /// Continues with a piece of a stream: makes output of it.
    pub(super) fn take_piece(
        &mut self,
        mut stream: StreamBody,
        piece: Piece,
        common: &mut Common,
        cx: &mut Context<'_>,
    ) -> Step {
        if let Piece::Data(data) = &piece {
            stream.count(data.len());
        }
        let is_short = stream.is_short();
        self.rest = Some(Rest::Stream(stream));
        match piece {
            Piece::NotYet => return self.await_piece(common, cx),
            Piece::Failed(error) => return self.cut_broken_body(&error, common, cx),
            Piece::End if is_short => {
                return self.cut_broken_body(
                    &"the body is shorter than its stated length",
                    common,
                    cx,
                );
            }
            Piece::End => {
                if self.length == Length::Chunked {
                    self.output = Output::new(Vec::new(), Bytes::new(), encode::LAST_CHUNK);
                }
                self.defer_rest(common, cx.deferred);
            }
            Piece::Data(data) if self.length == Length::Chunked => {
                let head = encode::chunk_head(&data);
                self.output = Output::new(head, data, encode::CHUNK_END);
            }
            Piece::Data(data) => self.output = Output::new(Vec::new(), data, b""),
        }
        Step::Continue
    }

    /// Continues with the result of a write.
    fn after_write(&mut self, sent: Sent, common: &mut Common, cx: &mut Context<'_>) -> Step {
        match sent {
            Sent::Bytes(count) => {
                self.minimum_rate.moved(count, cx.now);
                common.count_sent(count);
                match self.rest.is_none() && self.output.is_done() {
                    true => self.finish(common, cx),
                    false => Step::Continue,
                }
            }
            Sent::Gone => self.close_disconnected(common, cx),
            Sent::Wait if cx.is_aborting() && self.kind != BodyKind::Follower => {
                self.cut(common, cx)
            }
            Sent::Wait => {
                let until = self.minimum_rate.wait(cx.now);
                if cx.now < until {
                    self.count_left(common);
                    return cx.suspend(Wait::Room, Some(until));
                }
                let (request, connection) = (
                    RequestOutcome::ClientStalled,
                    ConnectionOutcome::ClientStalled,
                );
                self.close(request, connection, common, cx)
            }
        }
    }

    /// Counts the bytes that are left, if their number is known.
    fn count_left(&self, common: &mut Common) {
        if let Length::Known(length) = self.length {
            common.count_left(length);
        }
    }

    /// As [`count_left`](Self::count_left), before a further part of the body is sent. A
    /// body that is sent by one write is never counted.
    fn count_left_once_begun(&self, common: &mut Common) {
        if common.has_sent_body() {
            self.count_left(common);
        }
    }

    /// Waits for the source's next piece. The time of this wait does not count against
    /// the client.
    fn await_piece(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        let received = common.socket.stream.look();
        self.minimum_rate.start_again(cx.now);
        self.count_left(common);
        match received {
            Received::Gone => return self.close_disconnected(common, cx),
            // With a body of another kind, an EOF may only mean that the client has
            // sent its whole request, and still reads.
            Received::Eof if self.kind == BodyKind::Endless => {
                return self.close_disconnected(common, cx);
            }
            Received::Eof | Received::Bytes(_) | Received::Wait => {}
        }
        match self.kind {
            BodyKind::Finite if cx.is_aborting() => self.cut(common, cx),
            // A follower is suspended at an abort too, because it reports the end of
            // the shutdown to its client.
            BodyKind::Finite | BodyKind::Follower => cx.suspend(Wait::Wake, None),
            BodyKind::Endless if cx.phase < Phase::Draining => cx.suspend(Wait::Wake, None),
            // The drain may have begun after the pull, and may have been announced
            // before this connection is suspended. So the source is told here too.
            BodyKind::Endless => match self.drain_endless_body(common, cx) {
                Some(until) => cx.suspend(Wait::Wake, Some(until)),
                None => Step::Continue,
            },
        }
    }

    /// Tells an endless body that the server drains, and ends the body when the last
    /// call is over. Returns the end of the last call, if it is not over.
    fn drain_endless_body(&mut self, common: &Common, cx: &Context<'_>) -> Option<Instant> {
        let exchange = common.exchange.as_ref();
        let began = exchange.map_or(cx.now, |exchange| exchange.began);
        let ends = cx.services.life.last_call_ends_for(began);
        let is_over = cx.is_aborting() || ends.is_some_and(|ends| cx.now >= ends);
        if let Some(Rest::Stream(stream)) = &mut self.rest {
            stream.drain();
            if is_over {
                stream.close();
            }
        }
        ends.filter(|_| !is_over)
    }

    /// The answer is written: ends the exchange, and keeps or half-closes the
    /// connection.
    fn finish(&self, common: &mut Common, cx: &Context<'_>) -> Step {
        common.end_exchange(self.outcome, cx.now, cx.services);
        match self.persist {
            Persist::KeepAlive | Persist::Upgrade => Step::KeepAlive,
            Persist::Close(reason) => Step::HalfClose {
                outcome: ConnectionOutcome::Completed,
                is_server_initiated: reason == CloseReason::Draining,
            },
        }
    }

    /// The head is written: ends the exchange, and has the connection upgraded.
    fn upgrade(&self, function: UpgradeFn, common: &mut Common, cx: &Context<'_>) -> Step {
        let upgrade = Upgrade {
            function,
            subject: common.subject(),
            ends_by_close: self.persist != Persist::Upgrade,
        };
        common.end_exchange(self.outcome, cx.now, cx.services);
        Step::Next(Next::Upgrade(Box::new(upgrade)))
    }

    /// Closes the connection, because the client has closed it in the middle of its
    /// answer.
    fn close_disconnected(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        let (request, connection) = (
            RequestOutcome::ClientDisconnected,
            ConnectionOutcome::ClientDisconnected,
        );
        self.close(request, connection, common, cx)
    }

    /// Cuts the answer, because its body cannot be completed. The client can tell that
    /// the answer is incomplete.
    fn cut_broken_body(
        &mut self,
        why: &dyn fmt::Display,
        common: &mut Common,
        cx: &mut Context<'_>,
    ) -> Step {
        note!(
            cx.services.journal,
            Error,
            "cannot complete the response body of {} for {}, cut after {}: {why}",
            common.route(),
            common.peer,
            self.how_far(common)
        );
        let (request, connection) = (RequestOutcome::BodyFailed, ConnectionOutcome::BodyFailed);
        self.close(request, connection, common, cx)
    }

    /// Cuts the answer: the server ends the connection before the answer is complete.
    fn cut(&mut self, common: &mut Common, cx: &mut Context<'_>) -> Step {
        self.close(RequestOutcome::Cut, ConnectionOutcome::Cut, common, cx)
    }

    /// Ends the exchange and the connection, with these outcomes.
    fn close(
        &mut self,
        request: RequestOutcome,
        connection: ConnectionOutcome,
        common: &mut Common,
        cx: &mut Context<'_>,
    ) -> Step {
        self.break_off(request, connection, common, cx.services, cx.deferred);
        Step::close(connection)
    }

    /// Cuts the answer at once, whatever it waits for. Returns the outcome of the
    /// connection.
    pub(super) fn close_now(
        &mut self,
        common: &mut Common,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) -> ConnectionOutcome {
        let (request, connection) = match self.kind {
            BodyKind::Follower => (
                RequestOutcome::ClientStalled,
                ConnectionOutcome::ClientStalled,
            ),
            BodyKind::Finite | BodyKind::Endless => (RequestOutcome::Cut, ConnectionOutcome::Cut),
        };
        self.break_off(request, connection, common, services, deferred);
        connection
    }

    /// Ends the exchange in the middle of its answer.
    fn break_off(
        &mut self,
        request: RequestOutcome,
        connection: ConnectionOutcome,
        common: &mut Common,
        services: &Services,
        deferred: &mut Vec<Deferred>,
    ) {
        self.defer_rest(common, deferred);
        match request {
            RequestOutcome::Cut => common.cut_exchange(false, self.length.known(), services),
            other => {
                note!(
                    services.journal,
                    Debug,
                    "{} for {}: {} after {}",
                    common.route(),
                    common.peer,
                    other.name(),
                    self.how_far(common)
                );
                common.end_exchange(other, Instant::now(), services);
            }
        }
        if self.ends_by_reset(connection) {
            common.socket.stream.reset_on_close();
        }
    }

    fn how_far(&self, common: &Common) -> HowFar {
        let exchange = common.exchange.as_ref();
        exchange.map_or_else(HowFar::default, |exchange| {
            exchange.how_far(self.length.known())
        })
    }

    /// Ends the rest, and drops it after the turn if the drop may run code of the
    /// application.
    fn defer_rest(&mut self, common: &Common, deferred: &mut Vec<Deferred>) {
        if let Some(rest) = self.rest.take_if(Rest::end) {
            deferred.push(Deferred::drop_of(rest, common.subject()));
        }
    }

    /// Whether the close has to reset a connection that ends with this outcome in the
    /// middle of this answer. If the framing does not tell the end of the body, the
    /// client could take a cut answer for a complete one. If the client was too slow,
    /// the reset also discards what the kernel still holds for it.
    pub(super) fn ends_by_reset(&self, outcome: ConnectionOutcome) -> bool {
        self.length == Length::UntilClose || outcome == ConnectionOutcome::ClientStalled
    }
}
