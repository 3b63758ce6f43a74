//! `Writing`: sends an answer to its last byte.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Connection;
use super::Context;
use super::FilePart;
use super::Next;
use super::State;
use super::Step;
use super::Upgrade;
use crate::engine::deferred::Deferred;
use crate::engine::minimum_rate::RateMeter;
use crate::engine::output::Output;
use crate::engine::shard::Suspendable;
use crate::engine::shard::Wait;
use crate::http1::encode;
use crate::http1::encode::Length;
use crate::http1::persist::CloseReason;
use crate::http1::persist::Persist;
use crate::journal::note;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Phase;
use crate::message::body::pull::ReaderSource;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::source::PieceSource;
use crate::message::body::source::Waker;
use crate::message::body::upgrade::UpgradeFn;
use crate::net::stream::Received;
use crate::net::stream::Sent;

/// How much of a file is sent at a time, in bytes, so that the other connections
/// have their turn.
const FILE_BYTES_AT_A_TIME: u64 = 256 * 1024;

/// An answer that is being written.
pub(super) struct Writing {
    pub(super) output: Output,
    pub(super) rest: Rest,
    pub(super) length: Length,
    pub(super) persist: Persist,
    pub(super) outcome: RequestOutcome,
    pub(super) kind: BodyKind,
    pub(super) minimum_rate: RateMeter,
}

/// What follows the output.
pub(super) enum Rest {
    Nothing,
    /// Nothing either. This is a second handle of the output's memory, which may be
    /// the application's: so the output does not drop the last one.
    Shared(#[expect(dead_code, reason = "its drop is what counts")] Bytes),
    File {
        file: Arc<File>,
        offset: u64,
        left: u64,
    },
    Stream {
        /// `None` while the worker asks it for a piece.
        source: Option<Box<dyn PieceSource>>,
        waker: Waker,
        /// How many bytes are still to come, if the length was stated.
        left: Option<u64>,
    },
    /// The function of the application that gets the connection.
    Upgrade(UpgradeFn),
}

impl Writing {
    /// Whether the client takes the end of the connection for the end of the body.
    pub(super) fn ends_by_close(&self) -> bool {
        self.length == Length::UntilClose
    }

    /// Takes the rest if the application made it: its drop may run code of the
    /// application, so it has to be deferred.
    pub(super) fn take_user_rest(&mut self) -> Option<Rest> {
        match &mut self.rest {
            Rest::Nothing | Rest::File { .. } | Rest::Stream { source: None, .. } => return None,
            Rest::Stream {
                source: Some(source),
                ..
            } => source.end(),
            Rest::Shared(_) | Rest::Upgrade(_) => {}
        }
        Some(mem::replace(&mut self.rest, Rest::Nothing))
    }
}

impl Connection {
    /// `Writing`: writes the output, and then what follows it.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> Step {
        if cx.phase >= Phase::Draining && self.is_endless() {
            self.drain_endless_body(cx);
        }
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        if !writing.output.is_done() {
            let sent = writing.output.write(&self.socket.stream);
            return self.after_write(sent, cx);
        }
        match &mut writing.rest {
            Rest::Nothing | Rest::Shared(_) => self.finish_answer(cx),
            Rest::File { left: 0, .. } => {
                writing.rest = Rest::Nothing;
                Step::Continue
            }
            Rest::File { file, offset, left } => Step::Next(Next::SendFile(FilePart {
                stream: self.socket.stream.share(),
                file: Arc::clone(file),
                offset: *offset,
                length: (*left).min(FILE_BYTES_AT_A_TIME),
            })),
            Rest::Stream { .. } => self.pull_piece(cx),
            Rest::Upgrade(_) => self.upgrade(cx),
        }
    }

    /// Goes on with what became of the [`FilePart`] that was to be sent.
    pub(crate) fn file_sent(&mut self, sent: io::Result<Sent>, cx: &mut Context<'_>) -> Next {
        self.run_from(cx, |connection, cx| {
            let State::Writing(Writing {
                rest: Rest::File { offset, left, .. },
                ..
            }) = &mut connection.state
            else {
                unreachable!("called with a file only");
            };
            match sent {
                Ok(Sent::Bytes(0)) => {
                    connection.cut_broken_body(&"the file has become shorter", cx)
                }
                Ok(sent) => {
                    if let Sent::Bytes(count) = sent {
                        *offset += count as u64;
                        *left -= count as u64;
                    }
                    connection.after_write(sent, cx)
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    connection.read_file(cx)
                }
                Err(error) => connection.cut_broken_body(&error, cx),
            }
        })
    }

    /// Continues after a write, according to its outcome.
    fn after_write(&mut self, sent: Sent, cx: &mut Context<'_>) -> Step {
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        match sent {
            Sent::Bytes(count) => {
                writing.minimum_rate.moved(count, cx.now);
                self.count_sent(count);
                Step::Continue
            }
            Sent::Gone => self.close_disconnected_answer(cx),
            Sent::Wait if cx.is_aborting() && writing.kind != BodyKind::Follower => {
                self.cut_answer(cx)
            }
            Sent::Wait => {
                let until = writing.minimum_rate.wait(cx.now);
                if cx.now < until {
                    return cx.suspend(Wait::Room, Some(until));
                }
                self.close_mid_exchange(
                    RequestOutcome::ClientStalled,
                    ConnectionOutcome::ClientStalled,
                    cx,
                )
            }
        }
    }

    /// Closes the connection: the client has closed it in the middle of its answer.
    fn close_disconnected_answer(&mut self, cx: &mut Context<'_>) -> Step {
        self.close_mid_exchange(
            RequestOutcome::ClientDisconnected,
            ConnectionOutcome::ClientDisconnected,
            cx,
        )
    }

    /// Has the file read piece by piece, where the system has no call to send one.
    fn read_file(&mut self, cx: &mut Context<'_>) -> Step {
        let waker = self.waker();
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        let rest = mem::replace(&mut writing.rest, Rest::Nothing);
        let Rest::File {
            mut file,
            offset,
            left,
        } = rest
        else {
            unreachable!("called with a file only");
        };
        if let Err(error) = file.seek(SeekFrom::Start(offset)) {
            return self.cut_broken_body(&error, cx);
        }
        writing.rest = Rest::Stream {
            source: Some(Box::new(ReaderSource::new(file.take(left)))),
            waker,
            left: Some(left),
        };
        Step::Continue
    }

    /// Has the worker ask the source for a piece, which may run code of the
    /// application.
    fn pull_piece(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Writing(Writing {
            output,
            rest: Rest::Stream { source, waker, .. },
            ..
        }) = &mut self.state
        else {
            unreachable!("called with a stream only");
        };
        // The source keeps a handle of the last piece until it is asked for the
        // next one. So this is not the last handle, whose drop may run code of the
        // application.
        *output = Output::default();
        match source.take() {
            Some(source) => Step::Next(Next::Pull(source, Arc::clone(waker))),
            None => self.cut_broken_body(&"its source is gone", cx),
        }
    }

    /// Takes the outcome of a pull: makes output of a piece, and keeps the source.
    pub(super) fn take_piece(
        &mut self,
        source: Box<dyn PieceSource>,
        piece: Piece,
        cx: &mut Context<'_>,
    ) -> Step {
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        let Rest::Stream {
            left,
            source: source_slot,
            ..
        } = &mut writing.rest
        else {
            unreachable!("called with a stream only");
        };
        *source_slot = Some(source);
        match piece {
            Piece::NotYet => return self.await_piece(cx),
            Piece::Failed(error) => return self.cut_broken_body(&error, cx),
            Piece::End if left.is_some_and(|left| left > 0) => {
                return self.cut_broken_body(&"it is shorter than its length", cx);
            }
            Piece::End => {
                if writing.length == Length::Chunked {
                    writing.output = Output::new(Vec::new(), Bytes::new(), encode::LAST_CHUNK);
                }
                if let Some(done) = writing.take_user_rest() {
                    let done = Deferred::drop_of(done, self.subject());
                    cx.deferred.push(done);
                }
            }
            Piece::Data(data) if writing.length == Length::Chunked => {
                let head = encode::chunk_head(&data);
                writing.output = Output::new(head, data, encode::CHUNK_END);
            }
            Piece::Data(data) => {
                if let Some(left) = left {
                    *left = left.saturating_sub(data.len() as u64);
                }
                writing.output = Output::new(Vec::new(), data, b"");
            }
        }
        Step::Continue
    }

    /// Waits for the source's next piece. The time does not count against the
    /// client.
    fn await_piece(&mut self, cx: &mut Context<'_>) -> Step {
        let received = self.socket.stream.look();
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        writing.minimum_rate.start_again(cx.now);
        let kind = writing.kind;
        match received {
            Received::Gone => return self.close_disconnected_answer(cx),
            // Any other client may have half-closed to say that its request is whole.
            Received::Eof if kind == BodyKind::Endless => {
                return self.close_disconnected_answer(cx);
            }
            Received::Eof | Received::Bytes(_) | Received::Wait => {}
        }
        match kind {
            BodyKind::Finite if cx.is_aborting() => self.cut_answer(cx),
            // A follower of the shutdown is told of its end at an abort too.
            BodyKind::Finite | BodyKind::Follower => cx.suspend(Wait::Wake, None),
            BodyKind::Endless if cx.phase < Phase::Draining => cx.suspend(Wait::Wake, None),
            // The drain may have begun after the pull, and have been announced before
            // this connection is suspended. So the source is told here too.
            BodyKind::Endless => match self.drain_endless_body(cx) {
                Some(until) => cx.suspend(Wait::Wake, Some(until)),
                None => Step::Continue,
            },
        }
    }

    /// Tells an endless body of the drain, and ends it with the last call. Gives the
    /// end of the last call, if that is not over.
    fn drain_endless_body(&mut self, cx: &Context<'_>) -> Option<Instant> {
        let exchange = self.exchange.as_ref();
        let began = exchange.map_or(cx.now, |exchange| exchange.began);
        let ends = cx.services.life.last_call_ends_for(began);
        let is_over = cx.is_aborting() || ends.is_some_and(|ends| cx.now >= ends);
        if let State::Writing(Writing {
            rest:
                Rest::Stream {
                    source: Some(source),
                    ..
                },
            ..
        }) = &mut self.state
        {
            source.drain();
            if is_over {
                source.close();
            }
        }
        ends.filter(|_| !is_over)
    }

    /// Cuts a body that cannot be completed, so that the client can tell.
    fn cut_broken_body(&mut self, why: &dyn std::fmt::Display, cx: &mut Context<'_>) -> Step {
        note!(
            cx.services.journal,
            Error,
            "cannot complete the response body for {}, the connection is cut: {why}",
            self.peer
        );
        self.close_mid_exchange(
            RequestOutcome::BodyFailed,
            ConnectionOutcome::BodyFailed,
            cx,
        )
    }

    /// The answer is written: ends the exchange, and keeps or half-closes the
    /// connection.
    fn finish_answer(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Writing(Writing {
            persist, outcome, ..
        }) = self.state
        else {
            unreachable!("called in Writing only");
        };
        self.end_exchange(outcome, cx.services, cx.deferred);
        match persist {
            Persist::KeepAlive | Persist::Upgrade => {
                self.state = State::Idle { since: cx.now };
                Step::Continue
            }
            Persist::Close(reason) => {
                let is_server_initiated = reason == CloseReason::Draining;
                self.half_close(ConnectionOutcome::Completed, is_server_initiated, cx)
            }
        }
    }

    /// The head is written: ends the exchange, and has the connection upgraded.
    fn upgrade(&mut self, cx: &mut Context<'_>) -> Step {
        let idle = State::Idle { since: cx.now };
        let State::Writing(writing) = mem::replace(&mut self.state, idle) else {
            unreachable!("called in Writing only");
        };
        let Rest::Upgrade(function) = writing.rest else {
            unreachable!("called with an upgrade only");
        };
        let upgrade = Upgrade {
            function,
            subject: self.subject(),
            ends_by_close: writing.persist != Persist::Upgrade,
        };
        self.end_exchange(writing.outcome, cx.services, cx.deferred);
        Step::Next(Next::Upgrade(Box::new(upgrade)))
    }
}
