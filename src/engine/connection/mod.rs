//! A connection: a state machine. Any worker can continue it where the last worker
//! stopped. A connection never blocks its worker: at the end of a turn, it returns what
//! it waits for.
//!
//! ```text
//!          +------------------------ keep-alive --------------------------+
//!          v                                                              |
//!  --> Idle --byte--> Head --whole--> Body --whole--> Handling --> Writing
//!        |              |               |    or enough                |  |
//!        | close idle   +--- refused: --+-----------> Writing    last |  +--> upgraded
//!        |                   4xx, 5xx                    | last       |
//!        +---------------------------> Lingering <-------+------------+
//!                                          |
//!                                     EOF, or linger over --> closed, with an outcome
//! ```
//!
//! In every state, the connection ends at once when the client closes it, and at an
//! abort. Two things come first at an abort: a request that no handler has started is
//! answered with 503, and an answer whose body does not end by itself is completed.
//!
//! A [`State`] owns the data that only this state needs. The data of all states is in
//! [`common`]. A state takes steps, and a [`Step`] says where the step leads. The
//! arrows of the picture are in [`Connection::follow`].
//!
//! A turn may be for urgent requests only ([`Serves`]). Where such a turn would have code of
//! the application called for another request, it ends with [`Next::Hold`], and the
//! connection stays in its state: `Body` before a handler, `Handling` before a response of the
//! server itself is rendered, `Writing` before the next piece of a body or part of a file. The
//! next turn that serves everything goes on there.
//!
//! The states `Idle` and `Head` are in [`input`], `Body` in [`partial_body`], `Handling` and
//! `Writing` in [`handling`] and [`writing`], and `Lingering` in [`leave`], with every other
//! end of a connection. [`incoming`] is the part of a request's body that has not been
//! read, in `Body` and in `Handling`. [`answer`] makes an answer of a handler's response,
//! [`refuse`] makes one of the server's own, and [`rest`] is the part of an answer that
//! follows its first output.

mod access_log;
mod answer;
mod common;
mod context;
pub(super) mod exchange;
mod handling;
mod incoming;
mod input;
mod leave;
mod partial_body;
mod refuse;
mod rest;
#[cfg(test)]
mod tests;
mod writing;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use self::answer::Answer;
use self::common::Common;
pub(crate) use self::context::BodyTask;
pub(crate) use self::context::Call;
pub(crate) use self::context::Context;
pub(crate) use self::context::Next;
pub(crate) use self::context::Serves;
pub(crate) use self::context::Upgrade;
pub(crate) use self::context::UpgradeParts;
use self::handling::Handling;
pub(crate) use self::incoming::Pulled;
use self::input::Idle;
use self::input::PartialHead;
use self::leave::Lingering;
use self::partial_body::PartialBody;
pub(crate) use self::refuse::OwnResponse;
pub(crate) use self::rest::FileBody;
pub(crate) use self::rest::FilePart;
pub(crate) use self::rest::StreamBody;
use self::writing::Writing;
use super::deferred::Subject;
use super::peers::PeerShare;
use super::places::Place;
use super::services::Services;
use super::shard::HasSocket;
use super::shard::Shard;
use super::shard::Socket;
use super::shard::Suspend;
use super::shard::Suspendable;
use super::shard::Suspended;
use super::shard::Wait;
use super::slow_calls::CallKey;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::http1::Refusal;
use crate::lifecycle::accounting::ConnectionGuard;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::rejection_reason::RejectionReason;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::request::Request;
#[cfg(any(test, fuzzing))]
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// The parts of a new connection.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) stream: Stream,
    pub(crate) peer: PeerAddr,
    pub(crate) local: LocalAddr,
    pub(crate) guard: ConnectionGuard,
    pub(crate) place: Place,
    pub(crate) share: PeerShare,
}

/// A client's connection, from accept to its outcome.
pub(crate) struct Connection {
    common: Common,
    state: State,
}

enum State {
    /// No request is in progress.
    Idle(Idle),
    /// A part of a head has arrived.
    Head(PartialHead),
    /// A head has arrived, and a part of its body.
    Body(Box<PartialBody>),
    /// The handler has the request.
    Handling(Handling),
    /// The answer is being written.
    Writing(Writing),
    /// The server has half-closed, and waits for the client to close its side.
    Lingering(Lingering),
}

/// Where a step leads.
enum Step {
    /// To the next step of the same state.
    Continue,
    /// The turn ends here, in the same state.
    Next(Next),
    /// A request begins: to `Head`.
    ReadHead,
    /// The head is complete, and announces a body: to `Body`.
    ReadBody(Box<PartialBody>),
    /// Enough of the request has arrived: to `Handling`.
    Call(Handling, Request),
    /// The server refuses the request, and closes the connection after the answer: to
    /// `Writing`.
    Refuse(Refusal),
    /// As `Refuse`, but with 503, because no handler will get the request.
    Unavailable,
    /// The answer is written, and the connection is kept: to `Idle`.
    KeepAlive,
    /// The server half-closes the connection, after its last answer or without an
    /// answer: to `Lingering`.
    HalfClose {
        outcome: ConnectionOutcome,
        /// The server decides to end the connection. The client may have sent a request
        /// before it notices the half-close.
        is_server_initiated: bool,
    },
}

impl Step {
    fn close(outcome: ConnectionOutcome) -> Self {
        Self::Next(Next::Close(outcome))
    }
}

impl Connection {
    pub(crate) fn new(admitted: Admitted, shard: Arc<Shard<Self>>, now: Instant) -> Self {
        Self {
            common: Common::new(admitted, shard),
            state: State::Idle(Idle { since: now }),
        }
    }

    /// Returns how a new connection waits for its first byte.
    pub(crate) fn first_suspend(&self, services: &Services) -> Suspend {
        // The phase is read before the deadline, which depends on it: if the phase
        // changes in between, the wait ends at once.
        let seen = services.life.phase();
        let until = match &self.state {
            State::Idle(idle) => Some(idle.until(services)),
            _ => None,
        };
        Suspend {
            wait: Wait::Input,
            until,
            seen,
        }
    }

    /// Runs the state machine until the turn ends. Returns what the worker does next.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) -> Next {
        cx.buffer.begin_turn();
        self.common.load_input(cx);
        let next = self.run(cx);
        self.common.store_input(cx);
        next
    }

    /// Continues with the answer that the last [`Next::Call`] has returned.
    pub(crate) fn resume(&mut self, mut answer: Answer, cx: &mut Context<'_>) -> Next {
        let Self { common, state } = self;
        let State::Handling(handling) = state else {
            unreachable!("`Next::Call` is returned in `Handling`, and `resume` ends this state");
        };
        handling.take_back_input(common);
        common.load_input(cx);
        let own_next = match handling.check(&mut answer, common, cx) {
            Ok(()) => {
                self.state = State::Writing(handling.answer(answer, common, cx));
                None
            }
            Err(own) if cx.renders_rejections() => {
                handling.own = Some(Box::new(own));
                Some(Next::Call(Call::Render(own)))
            }
            Err(own) => {
                self.state = State::Writing(handling.answer(own.into_answer(), common, cx));
                None
            }
        };
        let next = match own_next {
            Some(next) => next,
            None => self.run(cx),
        };
        self.common.store_input(cx);
        next
    }

    /// Continues with the result of a [`Next::Pull`]: the stream, and the piece that it
    /// has returned.
    pub(crate) fn resume_with_piece(
        &mut self,
        stream: StreamBody,
        piece: Piece,
        cx: &mut Context<'_>,
    ) -> Next {
        self.resume_writing(cx, |writing, common, cx| {
            writing.take_piece(stream, piece, common, cx)
        })
    }

    /// Continues with the result of a [`Next::SendFile`]: the file, and how much of it
    /// was sent.
    pub(crate) fn file_sent(
        &mut self,
        file: FileBody,
        sent: io::Result<Sent>,
        cx: &mut Context<'_>,
    ) -> Next {
        self.resume_writing(cx, |writing, common, cx| {
            writing.file_sent(file, sent, common, cx)
        })
    }

    fn resume_writing(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Writing, &mut Common, &mut Context<'_>) -> Step,
    ) -> Next {
        let Self { common, state } = self;
        let State::Writing(writing) = state else {
            unreachable!("only `Writing` lends a body, and the worker returns it in this state");
        };
        common.load_input(cx);
        let step = step(writing, common, cx);
        let next = match self.follow(step, cx) {
            Some(next) => next,
            None => self.run(cx),
        };
        self.common.store_input(cx);
        next
    }

    /// Takes steps until the turn ends, or until its budget is used up.
    fn run(&mut self, cx: &mut Context<'_>) -> Next {
        while *cx.budget > 0 {
            *cx.budget -= 1;
            let common = &mut self.common;
            let step = match &mut self.state {
                State::Idle(idle) => idle.step(common, cx),
                State::Head(head) => head.step(common, cx),
                State::Body(body) => body.step(common, cx),
                State::Handling(_) => match self.render_own(cx) {
                    Some(next) => return next,
                    None => continue,
                },
                State::Writing(writing) => writing.step(common, cx),
                State::Lingering(lingering) => lingering.step(common, cx),
            };
            if let Some(next) = self.follow(step, cx) {
                return next;
            }
        }
        cx.suspended(Wait::Turn, None)
    }

    /// Enters the state to which a step leads: these are the arrows of the picture.
    /// Returns what the worker does next, if the turn ends.
    // Inlined, because it is called for every step of every request.
    #[inline(always)]
    fn follow(&mut self, step: Step, cx: &mut Context<'_>) -> Option<Next> {
        let common = &mut self.common;
        match step {
            Step::Continue => {}
            Step::Next(next) => return Some(next),
            Step::ReadHead => self.state = State::Head(PartialHead::new(cx)),
            Step::ReadBody(body) => self.state = State::Body(body),
            Step::Call(handling, request) => {
                self.state = State::Handling(handling);
                return Some(Next::Call(Call::Handle(request)));
            }
            Step::Refuse(refusal) => return self.refuse(refusal, cx),
            Step::Unavailable => return self.refuse_unavailable(cx),
            Step::KeepAlive => self.state = State::Idle(Idle { since: cx.now }),
            Step::HalfClose {
                outcome,
                is_server_initiated,
            } => {
                let lingering = Lingering::half_close(outcome, is_server_initiated, common, cx);
                self.state = State::Lingering(lingering);
            }
        }
        None
    }

    /// Returns the number of the connection, and the number of its request in progress.
    pub(crate) fn exchange_number(&self) -> (u64, u64) {
        (self.common.guard.number(), self.common.exchange_count)
    }

    /// Returns the request in progress, for the report and the log.
    pub(crate) fn subject(&self) -> Subject {
        self.common.subject()
    }

    /// Whether an abort completes the answer that is being written, and does not cut
    /// it: the server decides when the body of this answer ends.
    pub(crate) fn completes_at_abort(&self) -> bool {
        matches!(&self.state, State::Writing(writing) if writing.kind != BodyKind::Finite)
    }

    /// Whether the application renders a response of the server itself. At an abort
    /// the server sends the response as it is.
    pub(crate) fn is_rendering(&self) -> bool {
        matches!(&self.state, State::Handling(handling) if handling.own.is_some())
    }

    /// Whether bytes or an EOF can be read.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn has_input(&self) -> bool {
        self.common.socket.stream.look() != Received::Wait
    }

    pub(crate) fn peer_addr(&self) -> PeerAddr {
        self.common.peer
    }

    /// Counts how long the request has waited for the worker that now calls its handler.
    pub(crate) fn leaves_queue(&mut self, now: Instant) {
        let guard = &self.common.guard;
        match self.common.ready_since.take() {
            // Usually the worker polls, and serves what it has found at once.
            Some(since) if since != now => {
                guard.request_left_queue(now.saturating_duration_since(since));
            }
            _ => guard.request_did_not_wait(),
        }
    }

    /// Counts a request that gets a 503, because the server cuts what is left.
    pub(crate) fn count_unavailable(&self) {
        self.common
            .guard
            .request_rejected(RejectionReason::Stopping);
    }

    /// Returns the entry of [`SlowCalls`](super::slow_calls::SlowCalls) for the request
    /// in progress.
    pub(crate) fn call_key(&self) -> CallKey {
        let exchange = self.common.exchange.as_ref();
        exchange.map_or_else(CallKey::default, |exchange| exchange.call_key)
    }

    /// Suspends the connection until what it waits for happens.
    pub(crate) fn suspend(self: Box<Self>, suspend: Suspend) -> Suspended<Self> {
        let shard = Arc::clone(&self.common.shard);
        shard.suspend(self, suspend)
    }
}

impl Suspendable for Connection {
    fn note_ready(&mut self, since: Instant) {
        self.common.ready_since = Some(since);
    }

    fn note_eof(&mut self) {
        self.common.may_be_at_eof = true;
    }

    fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle(_))
    }

    fn is_endless(&self) -> bool {
        matches!(&self.state, State::Writing(writing) if writing.kind == BodyKind::Endless)
    }
}

impl HasSocket for Connection {
    fn socket(&mut self) -> &mut Socket {
        &mut self.common.socket
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Idle(_) => "idle",
            State::Head(_) => "head",
            State::Body(_) => "body",
            State::Handling(_) => "handling",
            State::Writing(_) => "writing",
            State::Lingering(_) => "lingering",
        };
        write!(f, "Connection({}, {state})", self.common.peer)
    }
}
