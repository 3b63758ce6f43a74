//! `Writing`: an answer on its way, to its last byte.

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
use super::input;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::engine::deferred::Deferred;
use crate::engine::output::Output;
use crate::engine::shard::Suspendable;
use crate::engine::shard::Wait;
use crate::http::encode;
use crate::http::encode::Length;
use crate::http::persist::CloseReason;
use crate::http::persist::Persist;
use crate::journal::note;
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::pace::Pace;
use crate::service::body::Nature;
use crate::service::body::Piece;
use crate::service::body::Source;
use crate::service::body::Waker;
use crate::service::body::pull::Reading;
use crate::service::body::take_over::TakeOver;

/// How much of a file is sent at a time, so that others have their cx.
const FILE_BYTES: u64 = 256 * 1024;

/// An answer on its way.
pub(super) struct Writing {
    pub(super) output: Output,
    pub(super) rest: Rest,
    pub(super) length: Length,
    pub(super) persist: Persist,
    pub(super) outcome: RequestOutcome,
    pub(super) nature: Nature,
    pub(super) pace: Pace,
}

/// What comes after the output.
pub(super) enum Rest {
    Nothing,
    /// Nothing either: the output is the rest. A second handle of its memory,
    /// which may be the application's, so that its last one is not dropped by
    /// the connection.
    Shared(#[expect(dead_code, reason = "its drop is what counts")] Bytes),
    File {
        file: Arc<File>,
        offset: u64,
        left: u64,
    },
    Stream {
        /// Away while it is asked for a piece.
        source: Option<Box<dyn Source>>,
        waker: Waker,
        /// How much is to come, if that was stated.
        left: Option<u64>,
    },
    TakeOver(TakeOver),
}

impl Writing {
    /// Whether the client could take an end in the middle for the end.
    pub(super) fn ends_by_close(&self) -> bool {
        self.length == Length::UntilClose
    }

    /// What of this the application made. Its drop may run the application's
    /// code, so it is not the connection's to drop.
    pub(super) fn take_foreign(&mut self) -> Option<Rest> {
        match &mut self.rest {
            Rest::Nothing | Rest::File { .. } | Rest::Stream { source: None, .. } => return None,
            Rest::Stream {
                source: Some(source),
                ..
            } => source.end(),
            Rest::Shared(_) | Rest::TakeOver(_) => {}
        }
        Some(mem::replace(&mut self.rest, Rest::Nothing))
    }
}

impl Connection {
    /// `Writing`: writes what there is, then asks for more.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> Step {
        if cx.phase >= Phase::Draining && self.is_endless() {
            self.end_with_the_last_call(cx);
        }
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        if !writing.output.is_done() {
            let sent = writing.output.write(&self.stream);
            return self.sent(sent, cx);
        }
        match &mut writing.rest {
            Rest::Nothing | Rest::Shared(_) => self.finish(cx),
            Rest::File { left: 0, .. } => {
                writing.rest = Rest::Nothing;
                Step::Go
            }
            Rest::File { file, offset, left } => Step::Next(Next::SendFile(FilePart {
                stream: self.stream.share(),
                file: Arc::clone(file),
                offset: *offset,
                length: (*left).min(FILE_BYTES),
            })),
            Rest::Stream { .. } => self.pull(cx),
            Rest::TakeOver(_) => self.upgrade(cx),
        }
    }

    /// Goes on with what became of the [`FilePart`] that was to be sent.
    pub(crate) fn file_sent(&mut self, sent: io::Result<Sent>, cx: &mut Context<'_>) -> Next {
        self.go_on(cx, |connection, cx| {
            let State::Writing(Writing {
                rest: Rest::File { offset, left, .. },
                ..
            }) = &mut connection.state
            else {
                unreachable!("called with a file only");
            };
            match sent {
                Ok(Sent::Bytes(0)) => connection.broken(&"the file has become shorter", cx),
                Ok(sent) => {
                    if let Sent::Bytes(count) = sent {
                        *offset += count as u64;
                        *left -= count as u64;
                    }
                    connection.sent(sent, cx)
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    connection.read_file(cx)
                }
                Err(error) => connection.broken(&error, cx),
            }
        })
    }

    /// What became of a write.
    fn sent(&mut self, sent: Sent, cx: &mut Context<'_>) -> Step {
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        match sent {
            Sent::Bytes(count) => {
                writing.pace.moved(count, cx.now);
                self.count_sent(count);
                Step::Go
            }
            Sent::Gone => self.leave_abandoned(cx),
            Sent::Wait if cx.aborting() && writing.nature != Nature::Follower => self.cut(cx),
            Sent::Wait => {
                let until = writing.pace.wait(cx.now);
                if cx.now < until {
                    return cx.suspend(Wait::Room, Some(until));
                }
                self.break_off(RequestOutcome::Stalled, ConnectionOutcome::Stalled, cx)
            }
        }
    }

    /// The client is gone in the middle of its answer.
    fn leave_abandoned(&mut self, cx: &mut Context<'_>) -> Step {
        self.break_off(RequestOutcome::Abandoned, ConnectionOutcome::Vanished, cx)
    }

    /// The system has no call for sending a file: reads it piece by piece.
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
            return self.broken(&error, cx);
        }
        writing.rest = Rest::Stream {
            source: Some(Box::new(Reading::new(file.take(left)))),
            waker,
            left: Some(left),
        };
        Step::Go
    }

    /// Has the source asked for a piece. It may run code of the user's, so that
    /// is the worker's to do, as with a handler.
    fn pull(&mut self, cx: &mut Context<'_>) -> Step {
        let State::Writing(Writing {
            output,
            rest: Rest::Stream { source, waker, .. },
            ..
        }) = &mut self.state
        else {
            unreachable!("called with a stream only");
        };
        // The source has the last handle of the piece before, and drops it
        // where code of the application may run.
        *output = Output::default();
        match source.take() {
            Some(source) => Step::Next(Next::Pull(source, Arc::clone(waker))),
            None => self.broken(&"what gives it is gone", cx),
        }
    }

    /// A piece, or none, and what gives the next.
    pub(super) fn take_piece(
        &mut self,
        source: Box<dyn Source>,
        piece: Piece,
        cx: &mut Context<'_>,
    ) -> Step {
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        let Rest::Stream {
            left,
            source: place,
            ..
        } = &mut writing.rest
        else {
            unreachable!("called with a stream only");
        };
        *place = Some(source);
        match piece {
            Piece::NotYet => return self.await_piece(cx),
            Piece::Failed(error) => return self.broken(&error, cx),
            Piece::End if left.is_some_and(|left| left > 0) => {
                return self.broken(&"it is shorter than its length", cx);
            }
            Piece::End => {
                if writing.length == Length::Chunked {
                    writing.output = Output::new(Vec::new(), Bytes::new(), encode::LAST_CHUNK);
                }
                if let Some(done) = writing.take_foreign() {
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
        Step::Go
    }

    /// There is nothing to write, and that is not the client's fault.
    fn await_piece(&mut self, cx: &mut Context<'_>) -> Step {
        let received = self.stream.look();
        let State::Writing(writing) = &mut self.state else {
            unreachable!("called in Writing only");
        };
        writing.pace.start_again(cx.now);
        let nature = writing.nature;
        match received {
            Received::Gone => return self.leave_abandoned(cx),
            // Anyone else may have half-closed to say that the request is whole.
            Received::Eof if nature == Nature::Endless => return self.leave_abandoned(cx),
            Received::Eof | Received::Bytes(_) | Received::Wait => {}
        }
        match nature {
            Nature::Finite if cx.aborting() => self.cut(cx),
            // Who follows the shutdown is told of its end, whatever ended it.
            Nature::Finite | Nature::Follower => cx.suspend(Wait::Wake, None),
            Nature::Endless if cx.phase < Phase::Draining => cx.suspend(Wait::Wake, None),
            // The drain may have begun since it was asked for a piece, and have
            // been announced before this parks: so it is told here too.
            Nature::Endless => match self.end_with_the_last_call(cx) {
                Some(until) => cx.suspend(Wait::Wake, Some(until)),
                None => Step::Go,
            },
        }
    }

    /// A stream that would go on for ever learns of the drain, and ends with
    /// the last call: until when may it go on, if at all?
    fn end_with_the_last_call(&mut self, cx: &Context<'_>) -> Option<Instant> {
        let exchange = self.exchange.as_ref();
        let began = exchange.map_or(cx.now, |exchange| exchange.began);
        let until = input::last_call_ends(began, cx.services);
        let over = cx.aborting() || cx.now >= until;
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
            if over {
                source.close();
            }
        }
        (!over).then_some(until)
    }

    /// The body cannot be what was promised: the client has to be able to tell.
    fn broken(&mut self, why: &dyn std::fmt::Display, cx: &mut Context<'_>) -> Step {
        note!(
            cx.services.journal,
            Error,
            "the body of an answer to {} is cut: {why}",
            self.peer
        );
        self.break_off(RequestOutcome::Broken, ConnectionOutcome::Broken, cx)
    }

    /// The answer is written: what becomes of the connection?
    fn finish(&mut self, cx: &mut Context<'_>) -> Step {
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
                Step::Go
            }
            Persist::Close(reason) => {
                let unasked = reason == CloseReason::Draining;
                self.half_close(ConnectionOutcome::Completed, unasked, cx)
            }
        }
    }

    /// The head is written, and the rest is the handler's business.
    fn upgrade(&mut self, cx: &mut Context<'_>) -> Step {
        let idle = State::Idle { since: cx.now };
        let State::Writing(writing) = mem::replace(&mut self.state, idle) else {
            unreachable!("called in Writing only");
        };
        let Rest::TakeOver(take_over) = writing.rest else {
            unreachable!("called with a take-over only");
        };
        let upgrade = Upgrade {
            take_over,
            subject: self.subject(),
            ends_by_close: writing.persist != Persist::Upgrade,
        };
        self.end_exchange(writing.outcome, cx.services, cx.deferred);
        Step::Next(Next::Upgrade(Box::new(upgrade)))
    }
}
