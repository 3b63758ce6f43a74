//! A connection: a state machine that any worker can take up where the last
//! worker left it. It never waits; it says what it waits for.
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
//! abort. At an abort, a request that no handler has started is answered with 503
//! first, and an answer that has no end of its own is completed first.
//!
//! `Idle` and `Head` are in [`input`]. A request's body is in [`incoming`], before
//! and while its handler runs. [`answer`] makes a message of a response, and
//! [`writing`] sends it. Every way to the end is in [`leave`].

mod access_log;
mod answer;
mod context;
pub(super) mod exchange;
mod incoming;
mod input;
mod leave;
#[cfg(test)]
mod tests;
mod writing;

use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::Version;

pub(crate) use self::answer::Answer;
pub(crate) use self::context::BodyTask;
pub(crate) use self::context::Context;
pub(crate) use self::context::FilePart;
pub(crate) use self::context::Next;
use self::context::Step;
pub(crate) use self::context::Upgrade;
pub(crate) use self::context::UpgradeParts;
use self::exchange::Exchange;
use self::incoming::Incoming;
use self::incoming::PartialBody;
pub(crate) use self::incoming::Pulled;
use self::leave::Lingering;
use self::writing::Writing;
use super::deferred::Deferred;
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
use crate::http1::head::Head;
use crate::http1::persist::Persist;
use crate::lifecycle::accounting::ConnectionGuard;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::source::PieceSource;
use crate::message::body::source::Waker;
use crate::message::request::Origin;
use crate::message::request::Request;
use crate::message::request_body::RequestBody;
#[cfg(any(test, fuzzing))]
use crate::net::stream::Received;
use crate::net::stream::Stream;

/// What a new connection is made of.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) guard: ConnectionGuard,
    pub(crate) place: Place,
    pub(crate) share: PeerShare,
}

/// A client's connection, from accept to its outcome.
pub(crate) struct Connection {
    socket: Socket,
    peer: SocketAddr,
    local: SocketAddr,
    state: State,
    /// Input that was read in an earlier turn and is not used yet.
    unused_input: Box<[u8]>,
    /// How much of the unused input arrived in time, so that requests in it are
    /// answered. `None` until this is decided, in a drain after the last call.
    in_time_bytes: Option<usize>,
    /// The request in progress, from its first byte to the end of its answer.
    exchange: Option<Exchange>,
    /// How many requests have begun on this connection.
    exchange_count: u64,
    /// An event has said that the client has closed its side.
    may_be_at_eof: bool,
    /// What the application wants to be called when the connection has ended.
    after_delivery: Option<Deferred>,
    /// The shard in which the connection is suspended.
    shard: Arc<Shard<Self>>,
    guard: ConnectionGuard,
    place: Place,
    share: PeerShare,
}

enum State {
    /// No request is in progress.
    Idle { since: Instant },
    /// A part of a head has arrived. `until` is the deadline for the rest;
    /// `parsed_lines` is the number of lines at the last parse.
    Head { until: Instant, parsed_lines: usize },
    /// A head has arrived, and a part of its body.
    Body(Box<PartialBody>),
    /// The request is with its handler.
    Handling(Handling),
    /// The answer is being written.
    Writing(Writing),
    /// The server has half-closed, and waits for the client to close its side.
    Lingering(Lingering),
}

/// What the answer to the request depends on.
#[derive(Debug)]
struct Handling {
    method: Method,
    version: Version,
    persist: Persist,
    /// The client asks for another protocol.
    asks_for_upgrade: bool,
    /// The part of the request's body that has not been read yet.
    incoming: Option<Box<Incoming>>,
}

impl Connection {
    pub(crate) fn new(admitted: Admitted, shard: Arc<Shard<Self>>, now: Instant) -> Self {
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
            state: State::Idle { since: now },
            unused_input: Box::default(),
            in_time_bytes: None,
            exchange: None,
            exchange_count: 0,
            may_be_at_eof: false,
            after_delivery: None,
            shard,
            guard,
            place,
            share,
        }
    }

    /// How a new connection waits for its first byte.
    pub(crate) fn first_suspend(&self, services: &Services) -> Suspend {
        // Read first, since the deadline depends on the phase.
        let seen = services.life.phase();
        let until = match self.state {
            State::Idle { since } => Some(input::idle_until(since, services)),
            _ => None,
        };
        Suspend {
            wait: Wait::Input,
            until,
            seen,
        }
    }

    /// Runs the state machine until it has to wait.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) -> Next {
        cx.buffer.begin_turn();
        self.load_input(cx);
        let next = self.run(cx);
        self.store_input(cx);
        next
    }

    /// Continues with the answer to the request of the last [`Next::Call`].
    pub(crate) fn resume(&mut self, answer: Answer, cx: &mut Context<'_>) -> Next {
        self.take_back_input();
        self.load_input(cx);
        self.answer(answer, cx);
        let next = self.run(cx);
        self.store_input(cx);
        next
    }

    /// Continues with the outcome of a [`Next::Pull`]: a piece of the answer's body,
    /// and the source of the next one.
    pub(crate) fn resume_with_piece(
        &mut self,
        source: Box<dyn PieceSource>,
        piece: Piece,
        cx: &mut Context<'_>,
    ) -> Next {
        self.run_from(cx, |connection, cx| {
            connection.take_piece(source, piece, cx)
        })
    }

    /// Takes this step, and further steps until the connection has to wait.
    fn run_from(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Self, &mut Context<'_>) -> Step,
    ) -> Next {
        self.load_input(cx);
        let next = match step(self, cx) {
            Step::Continue => self.run(cx),
            Step::Next(next) => next,
        };
        self.store_input(cx);
        next
    }

    /// Moves the unused input into the worker's buffer.
    fn load_input(&mut self, cx: &mut Context<'_>) {
        let unused_input = mem::take(&mut self.unused_input);
        cx.buffer
            .load(&unused_input, self.in_time_bytes.unwrap_or(0));
    }

    /// Keeps what is unused in the worker's buffer.
    fn store_input(&mut self, cx: &Context<'_>) {
        self.unused_input = cx.buffer.to_unused();
        self.in_time_bytes = self.in_time_bytes.map(|_| cx.buffer.in_time_bytes());
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Next {
        while *cx.budget > 0 {
            *cx.budget -= 1;
            let step = match self.state {
                State::Idle { since } => self.await_request(since, cx),
                State::Head { .. } => self.read_head(cx),
                State::Body(_) => self.read_body(cx),
                State::Writing(_) => self.write(cx),
                State::Lingering(_) => self.linger(cx),
                State::Handling(_) => unreachable!("a handler's answer is given to `resume`"),
            };
            if let Step::Next(next) = step {
                return next;
            }
        }
        Next::Suspend(Suspend {
            wait: Wait::Turn,
            until: None,
            seen: cx.phase,
        })
    }

    /// Enough of the request has arrived: has its handler called. `length` is the
    /// length of its body, `incoming` the part of the body that has not been read.
    fn call_handler(
        &mut self,
        head: Head,
        body: Bytes,
        length: Option<u64>,
        trailers: Option<Box<HeaderMap>>,
        incoming: Option<Box<Incoming>>,
        cx: &Context<'_>,
    ) -> Step {
        self.state = State::Handling(Handling {
            method: head.method.clone(),
            version: head.version,
            persist: match head.present.connection || head.version == Version::HTTP_10 {
                true => Persist::asked(head.version, head.headers()),
                false => Persist::KeepAlive,
            },
            asks_for_upgrade: incoming::asks_for_upgrade(&head),
            incoming,
        });
        let origin = Origin {
            peer: self.peer,
            local: self.local,
            arrived: self
                .exchange
                .as_ref()
                .map_or(cx.now, |exchange| exchange.began),
            connection: self.guard.number(),
            number: self.exchange_count,
        };
        let body = RequestBody::new(body, length, trailers);
        let request = Request::new(head, body, origin, cx.services.life.clone());
        Step::Next(Next::Call(request))
    }

    /// The number of the connection, and the number of the request in progress on
    /// it.
    pub(crate) fn exchange_number(&self) -> (u64, u64) {
        (self.guard.number(), self.exchange_count)
    }

    /// The request in progress, for the report and the log.
    pub(crate) fn subject(&self) -> Subject {
        let exchange = self.exchange.as_ref();
        Subject {
            request_line: exchange.and_then(|exchange| exchange.request_line.clone().map(Box::new)),
            peer: self.peer,
            since: exchange.map_or_else(Instant::now, |exchange| exchange.began),
        }
    }

    /// The answer has this status, and a head of so many bytes.
    fn set_answer_head(&mut self, status: StatusCode, head_bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.set_answer_head(status, head_bytes);
        }
    }

    fn count_sent(&mut self, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.count_sent(bytes);
        }
    }

    /// Whether the answer that is being written is completed at an abort too, and
    /// not cut: it ends when the server says so.
    pub(crate) fn completes_at_abort(&self) -> bool {
        matches!(&self.state, State::Writing(writing) if writing.kind != BodyKind::Finite)
    }

    /// Whether another read would find nothing, so that the connection can wait for
    /// an event at once. An EOF that arrived together with bytes that were read
    /// gives no further event, so it has to be read.
    fn has_nothing_to_read(&self, cx: &Context<'_>) -> bool {
        cx.buffer.is_empty() && cx.buffer.has_emptied_socket() && !self.may_be_at_eof
    }

    /// Whether bytes or an EOF can be read.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn has_input(&self) -> bool {
        self.socket.stream.look() != Received::Wait
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The entry of [`SlowCalls`](super::slow_calls::SlowCalls) for the request in
    /// progress.
    pub(crate) fn call_key(&self) -> CallKey {
        let exchange = self.exchange.as_ref();
        exchange.map_or_else(CallKey::default, |exchange| exchange.call_key)
    }

    /// Suspends the connection until what it waits for happens.
    pub(crate) fn suspend(self: Box<Self>, suspend: Suspend) -> Suspended<Self> {
        let shard = Arc::clone(&self.shard);
        shard.suspend(self, suspend)
    }

    /// Wakes this connection when it is suspended with [`Wait::Wake`].
    fn waker(&mut self) -> Waker {
        self.shard.waker(&mut self.socket)
    }

    /// Stops events of this connection until it is suspended again.
    pub(crate) fn deregister(&mut self) {
        self.shard.deregister(&mut self.socket);
    }
}

impl Suspendable for Connection {
    fn note_eof(&mut self) {
        self.may_be_at_eof = true;
    }

    fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    fn is_endless(&self) -> bool {
        matches!(&self.state, State::Writing(writing) if writing.kind == BodyKind::Endless)
    }
}

impl HasSocket for Connection {
    fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Idle { .. } => "idle",
            State::Head { .. } => "head",
            State::Body(_) => "body",
            State::Handling(_) => "handling",
            State::Writing(_) => "writing",
            State::Lingering(_) => "lingering",
        };
        write!(f, "Connection({}, {state})", self.peer)
    }
}
