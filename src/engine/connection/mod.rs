//! A connection: a state machine that any worker can take up where the last
//! one left it. It never waits; it says what it waits for.
//!
//! ```text
//!          +------------------------ keep-alive --------------------------+
//!          v                                                              |
//!  --> Idle --byte--> Head --whole--> Body --whole--> Handling --> Writing
//!        |              |               |                             |
//!        | hang up      +--- refused: --+-----------> Writing         | last
//!        |                   4xx, 5xx                    | last       |
//!        +---------------------------> Lingering <-------+------------+
//!                                          |
//!                                     EOF, or linger over --> closed, with an outcome
//! ```
//!
//! From every state, a client that goes away and an abort lead out at once.
//! What moves `Idle`, `Head` and `Body` is in [`input`], what moves `Writing`
//! in [`answer`], and every way out in [`leave`].

mod answer;
mod input;
mod leave;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::Uri;
use http::Version;
use mio::event::Source;

pub(crate) use self::answer::Answer;
use self::answer::Writing;
use self::input::PartialBody;
use self::leave::Lingering;
use super::Engine;
use super::buffer::Buffer;
use super::lot::Park;
use super::lot::Spot;
use super::lot::Wait;
use super::worker::DateClock;
use crate::drain::books::Ticket;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::phase::Phase;
use crate::http::persist::Persist;
use crate::net::stream::Stream;
use crate::service::request::Request;
use crate::service::response::AfterDelivery;

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
    after_delivery: Option<AfterDelivery>,
    spot: Option<Spot>,
    ticket: Ticket,
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

/// A request and its answer, in the books.
#[derive(Debug)]
struct Exchange {
    began: Instant,
    on_last_call: bool,
    /// Known once its head is.
    route: Option<(Method, Uri)>,
}

/// What an answer depends on.
#[derive(Debug)]
struct Asked {
    method: Method,
    version: Version,
    persist: Persist,
}

/// What is to be done with a connection.
#[derive(Debug)]
pub(crate) enum Next {
    /// Call the handler, and [`resume`](Connection::resume) with its answer.
    Call(Box<Request>),
    Park(Park),
    Close(ConnectionOutcome),
}

/// What a step came to.
enum Step {
    /// There is more to do.
    Go,
    Next(Next),
}

impl Step {
    fn close(outcome: ConnectionOutcome) -> Self {
        Self::Next(Next::Close(outcome))
    }
}

/// What a connection works with in its turn.
pub(crate) struct Turn<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) date: &'a mut DateClock,
    pub(crate) now: Instant,
    pub(crate) phase: Phase,
    /// A client that keeps us busy for longer waits for another turn, behind
    /// the others.
    pub(crate) steps_left: &'a mut usize,
}

impl Turn<'_> {
    fn aborting(&self) -> bool {
        self.phase >= Phase::Aborting
    }

    fn park(&self, wait: Wait, until: Option<Instant>) -> Step {
        Step::Next(Next::Park(Park {
            wait,
            until,
            seen: self.phase,
        }))
    }
}

impl Connection {
    pub(crate) fn new(
        stream: Stream,
        peer: SocketAddr,
        local: SocketAddr,
        ticket: Ticket,
        now: Instant,
    ) -> Self {
        Self {
            stream,
            peer,
            local,
            state: State::Idle { since: now },
            leftover: Box::default(),
            owed: None,
            exchange: None,
            after_delivery: None,
            spot: None,
            ticket,
        }
    }

    /// Goes as far as it can without waiting.
    pub(crate) fn advance(&mut self, turn: &mut Turn<'_>) -> Next {
        self.load(turn);
        let next = self.run(turn);
        self.unload(turn);
        next
    }

    /// Goes on with the answer to the request of the last [`Next::Call`].
    pub(crate) fn resume(&mut self, answer: Answer, turn: &mut Turn<'_>) -> Next {
        self.load(turn);
        self.answer(answer, turn);
        let next = self.run(turn);
        self.unload(turn);
        next
    }

    fn load(&mut self, turn: &mut Turn<'_>) {
        let leftover = mem::take(&mut self.leftover);
        turn.buffer.load(&leftover, self.owed.unwrap_or(0));
    }

    fn unload(&mut self, turn: &Turn<'_>) {
        self.leftover = turn.buffer.to_leftover();
        self.owed = self.owed.map(|_| turn.buffer.owed());
    }

    fn run(&mut self, turn: &mut Turn<'_>) -> Next {
        while *turn.steps_left > 0 {
            *turn.steps_left -= 1;
            let step = match self.state {
                State::Idle { since } => self.await_request(since, turn),
                State::Head { .. } => self.read_head(turn),
                State::Body(_) => self.read_body(turn),
                State::Writing(_) => self.write(turn),
                State::Lingering(lingering) => self.linger(lingering, turn),
                State::Handling(_) => unreachable!("a handler's answer comes by resume"),
            };
            if let Step::Next(next) = step {
                return next;
            }
        }
        Next::Park(Park {
            wait: Wait::Turn,
            until: None,
            seen: turn.phase,
        })
    }

    /// The request is whole: hands it over.
    fn call(&mut self, head: crate::http::head::Head, body: Bytes, turn: &Turn<'_>) -> Step {
        self.state = State::Handling(Asked {
            method: head.method.clone(),
            version: head.version,
            persist: Persist::asked(head.version, &head.headers),
        });
        let life = turn.engine.life.clone();
        let request = Request::new(head, body, self.peer, self.local, life);
        Step::Next(Next::Call(Box::new(request)))
    }

    /// Whether no request is in progress, and we have not said goodbye.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    pub(crate) fn spot(&self) -> Option<Spot> {
        self.spot
    }

    pub(crate) fn set_spot(&mut self, spot: Spot) {
        self.spot = Some(spot);
    }

    /// What an epoll registers.
    pub(crate) fn source(&mut self) -> &mut impl Source {
        self.stream.source()
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
