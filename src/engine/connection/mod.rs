//! A connection: a state machine that any worker can take up where the last
//! one left it. It never waits; it says what it waits for.
//!
//! ```text
//!          +------------------------ keep-alive --------------------------+
//!          v                                                              |
//!  --> Idle --byte--> Head --whole--> Body --whole--> Handling --> Writing
//!        |              |               |    or enough                |  |
//!        | hang up      +--- refused: --+-----------> Writing    last |  +--> taken over
//!        |                   4xx, 5xx                    | last       |
//!        +---------------------------> Lingering <-------+------------+
//!                                          |
//!                                     EOF, or linger over --> closed, with an outcome
//! ```
//!
//! From every state, a client that goes away and an abort lead out at once.
//! What moves `Idle` and `Head` is in [`input`], and a body, in `Body` and
//! while its handler runs, in [`incoming`]; [`answer`] makes a message of a
//! response, [`writing`] sends it, and every way out is in [`leave`].

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
pub(crate) use self::context::Context;
pub(crate) use self::context::Feeding;
pub(crate) use self::context::FilePart;
pub(crate) use self::context::Next;
pub(crate) use self::context::Parts;
use self::context::Step;
pub(crate) use self::context::Upgrade;
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
use super::shard::Key;
use super::shard::Shard;
use super::shard::Suspend;
use super::shard::Suspendable;
use super::shard::Suspended;
use super::shard::Wait;
use super::slow_calls::CallKey;
use crate::drain::books::Ticket;
use crate::http::head::Head;
use crate::http::persist::Persist;
#[cfg(any(test, fuzzing))]
use crate::net::stream::Received;
use crate::net::stream::Stream;
use crate::service::body::Nature;
use crate::service::body::Piece;
use crate::service::body::Source;
use crate::service::body::Waker;
use crate::service::request::Origin;
use crate::service::request::Request;
use crate::service::request_body::RequestBody;

/// One client's connection, from accept to its outcome.
pub(crate) struct Connection {
    stream: Stream,
    peer: SocketAddr,
    local: SocketAddr,
    state: State,
    /// Input that came in an earlier turn and is not used up.
    leftover: Box<[u8]>,
    /// How much of that is owed an answer; `None` until, in a drain and after
    /// the last call, it was decided.
    owed: Option<usize>,
    /// The request in progress, from its first byte to the end of its answer.
    exchange: Option<Exchange>,
    /// How many requests have begun on it.
    exchanges: u64,
    /// The client may have closed its side: an event has said so.
    may_be_at_eof: bool,
    /// What the application wants to be called when it has ended.
    after_delivery: Option<Deferred>,
    /// The shard that it is suspended in, and its slot there.
    shard: Arc<Shard<Self>>,
    key: Option<Key>,
    ticket: Ticket,
    place: Place,
    share: PeerShare,
}

/// What a connection is made of.
pub(crate) struct New {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) ticket: Ticket,
    pub(crate) place: Place,
    pub(crate) share: PeerShare,
    pub(crate) shard: Arc<Shard<Connection>>,
}

enum State {
    /// No request in progress, since then.
    Idle { since: Instant },
    /// A part of a head is there; the rest has until then.
    Head { until: Instant, parsed_lines: usize },
    /// A head is there, and a part of its body.
    Body(Box<PartialBody>),
    /// The request is with its handler, and what its answer depends on here.
    Handling(Asked),
    /// The answer is on its way.
    Writing(Writing),
    /// We have said goodbye, and wait for the client's.
    Lingering(Lingering),
}

/// What an answer depends on.
#[derive(Debug)]
struct Asked {
    method: Method,
    version: Version,
    persist: Persist,
    /// The client is willing to change the protocol.
    upgrade: bool,
    /// What is still to come of the request's body.
    incoming: Option<Box<Incoming>>,
}

impl Connection {
    pub(crate) fn new(new: New, now: Instant) -> Self {
        let New {
            stream,
            peer,
            local,
            ticket,
            place,
            share,
            shard,
        } = new;
        Self {
            stream,
            peer,
            local,
            state: State::Idle { since: now },
            leftover: Box::default(),
            owed: None,
            exchange: None,
            exchanges: 0,
            may_be_at_eof: false,
            after_delivery: None,
            shard,
            key: None,
            ticket,
            place,
            share,
        }
    }

    /// How it waits for its first byte.
    pub(crate) fn first_suspend(&self, services: &Services) -> Suspend {
        // First: the deadline depends on it.
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

    /// Goes as far as it can without waiting.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>) -> Next {
        cx.buffer.begin_turn();
        self.load(cx);
        let next = self.run(cx);
        self.unload(cx);
        next
    }

    /// Goes on with the answer to the request of the last [`Next::Call`].
    pub(crate) fn resume(&mut self, answer: Answer, cx: &mut Context<'_>) -> Next {
        self.take_back_input();
        self.load(cx);
        self.answer(answer, cx);
        let next = self.run(cx);
        self.unload(cx);
        next
    }

    /// Goes on with a piece of the answer's body, and what will give the next.
    pub(crate) fn pulled(
        &mut self,
        source: Box<dyn Source>,
        piece: Piece,
        cx: &mut Context<'_>,
    ) -> Next {
        self.go_on(cx, |connection, cx| {
            connection.take_piece(source, piece, cx)
        })
    }

    /// Takes one step, and those that follow.
    fn go_on(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Self, &mut Context<'_>) -> Step,
    ) -> Next {
        self.load(cx);
        let next = match step(self, cx) {
            Step::Go => self.run(cx),
            Step::Next(next) => next,
        };
        self.unload(cx);
        next
    }

    fn load(&mut self, cx: &mut Context<'_>) {
        let leftover = mem::take(&mut self.leftover);
        cx.buffer.load(&leftover, self.owed.unwrap_or(0));
    }

    fn unload(&mut self, cx: &Context<'_>) {
        self.leftover = cx.buffer.to_leftover();
        self.owed = self.owed.map(|_| cx.buffer.owed());
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
                State::Handling(_) => unreachable!("a handler's answer comes by resume"),
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

    /// The request is whole, or whole enough: hands it over. `length` is its
    /// body's, `incoming` what is still to come of that.
    fn call(
        &mut self,
        head: Head,
        body: Bytes,
        length: Option<u64>,
        trailers: Option<Box<HeaderMap>>,
        incoming: Option<Box<Incoming>>,
        cx: &Context<'_>,
    ) -> Step {
        self.state = State::Handling(Asked {
            method: head.method.clone(),
            version: head.version,
            persist: match head.present.connection || head.version == Version::HTTP_10 {
                true => Persist::asked(head.version, head.headers()),
                false => Persist::KeepAlive,
            },
            upgrade: incoming::asks_for_upgrade(&head),
            incoming,
        });
        let origin = Origin {
            peer: self.peer,
            local: self.local,
            arrived: self
                .exchange
                .as_ref()
                .map_or(cx.now, |exchange| exchange.began),
            connection: self.ticket.number(),
            number: self.exchanges,
        };
        let body = RequestBody::new(body, length, trailers);
        let request = Request::new(head, body, origin, cx.services.life.clone());
        Step::Next(Next::Call(request))
    }

    /// Which request of which connection is in progress: its number and the
    /// connection's.
    pub(crate) fn exchange_number(&self) -> (u64, u64) {
        (self.ticket.number(), self.exchanges)
    }

    /// The request in progress, for people.
    pub(crate) fn subject(&self) -> Subject {
        let exchange = self.exchange.as_ref();
        Subject {
            route: exchange.and_then(|exchange| exchange.route.clone().map(Box::new)),
            peer: self.peer,
            since: exchange.map_or_else(Instant::now, |exchange| exchange.began),
        }
    }

    /// An answer has a head of so many bytes.
    fn count_answer(&mut self, status: StatusCode, head_bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.count_answer(status, head_bytes);
        }
    }

    fn count_sent(&mut self, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.count_sent(bytes);
        }
    }

    /// Whether an answer is on its way that ends in good order, whatever ends
    /// the server.
    pub(crate) fn ends_in_order(&self) -> bool {
        matches!(&self.state, State::Writing(writing) if writing.nature != Nature::Finite)
    }

    /// Whether another read would find nothing, and what comes later will be an
    /// event: nothing is gained by trying. An EOF that came with what has been
    /// read is no event any more.
    fn nothing_to_read(&self, cx: &Context<'_>) -> bool {
        cx.buffer.is_empty() && cx.buffer.took_all() && !self.may_be_at_eof
    }

    /// Whether bytes or an EOF are there.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn has_input(&self) -> bool {
        self.stream.look() != Received::Wait
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Where the means of the request in progress are.
    pub(crate) fn call_key(&self) -> CallKey {
        let exchange = self.exchange.as_ref();
        exchange.map_or_else(CallKey::default, |exchange| exchange.call_key)
    }

    /// Suspends it until what it waits for has come.
    pub(crate) fn suspend(self: Box<Self>, suspend: Suspend) -> Suspended<Self> {
        let shard = Arc::clone(&self.shard);
        shard.suspend(self, suspend)
    }

    /// What calls this connection back to work.
    fn waker(&mut self) -> Waker {
        let shard = Arc::clone(&self.shard);
        shard.waker(self)
    }

    /// Has events of this connection told no more, until it is suspended again.
    pub(crate) fn deregister(&mut self) {
        let shard = Arc::clone(&self.shard);
        shard.deregister(self);
    }
}

impl Suspendable for Connection {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn key(&self) -> Option<Key> {
        self.key
    }

    fn set_key(&mut self, key: Option<Key>) {
        self.key = key;
    }

    fn note_eof(&mut self) {
        self.may_be_at_eof = true;
    }

    fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    fn is_endless(&self) -> bool {
        matches!(&self.state, State::Writing(writing) if writing.nature == Nature::Endless)
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
