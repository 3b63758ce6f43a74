//! What a connection uses in its turn, and what it returns at the end of the turn.

use std::time::Instant;

use bytes::Bytes;

use super::OwnResponse;
use super::Step;
use super::common::Common;
use super::rest::FilePart;
use super::rest::StreamBody;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::engine::buffer::Buffer;
use crate::engine::date::DateClock;
use crate::engine::deferred::Deferred;
use crate::engine::deferred::Subject;
use crate::engine::peers::PeerShare;
use crate::engine::places::Place;
use crate::engine::services::Services;
use crate::engine::shard::Suspend;
use crate::engine::shard::Wait;
use crate::lifecycle::accounting::ConnectionGuard;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::phase::Phase;
use crate::message::body::source::WriterFn;
use crate::message::body::upgrade::UpgradeFn;
use crate::message::request::Request;
use crate::net::stream::Stream;

/// What the worker does next with a connection.
pub(crate) enum Next {
    /// Make this call, then call [`resume`](super::Connection::resume) with the answer
    /// that it returns.
    Call(Call),
    Suspend(Suspend),
    /// Send a part of a file, then call [`file_sent`](super::Connection::file_sent)
    /// with the file and the result.
    SendFile(FilePart),
    Close(ConnectionOutcome),
    /// Get the next piece of the body, then call
    /// [`resume_with_piece`](super::Connection::resume_with_piece) with the body and
    /// the piece.
    Pull(StreamBody),
    /// Pass the connection to the application's function that upgrades it.
    Upgrade(Box<Upgrade>),
    /// Hold the connection until a worker that serves everything gives it a turn: only
    /// code of the application, or a file, is next.
    Hold,
}

/// What a turn may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    Everything,
    /// No code of the application runs and no file is read, except for a request to an
    /// urgent route: both may block.
    UrgentOnly,
}

/// A call of the application that returns an answer.
pub(crate) enum Call {
    /// The handler answers the request.
    Handle(Request),
    /// The application renders a response of the server itself.
    Render(OwnResponse),
}

/// How a connection is upgraded.
pub(crate) struct Upgrade {
    /// The function of the application that gets the connection.
    pub(crate) function: UpgradeFn,
    /// The request that asked for the upgrade.
    pub(crate) subject: Subject,
    /// The bytes that the application writes are the body of an answer, which ends with
    /// the connection.
    pub(crate) ends_by_close: bool,
}

/// The parts of a connection that is upgraded.
pub(crate) struct UpgradeParts {
    pub(crate) stream: Stream,
    pub(crate) peer: PeerAddr,
    pub(crate) local: LocalAddr,
    /// The bytes that the client has sent after its request.
    pub(crate) input: Bytes,
    pub(crate) guard: ConnectionGuard,
    pub(crate) place: Place,
    pub(crate) share: PeerShare,
    pub(crate) after_delivery: Option<Deferred>,
}

/// Code of the application that writes a body, on a thread of its own.
pub(crate) struct BodyTask {
    pub(crate) run: WriterFn,
    /// The request that the body answers.
    pub(crate) subject: Subject,
}

/// What a connection uses in its turn.
pub(crate) struct Context<'a> {
    pub(crate) services: &'a Services,
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) date: &'a mut DateClock,
    pub(crate) now: Instant,
    pub(crate) phase: Phase,
    pub(crate) serves: Serves,
    /// How many steps the turn may still take. A connection that has more to do
    /// continues in its next turn, after the other connections.
    pub(crate) budget: &'a mut usize,
    /// Code of the application that runs after the turn.
    pub(crate) deferred: &'a mut Vec<Deferred>,
    /// Code of the application that runs on threads of its own.
    pub(crate) body_tasks: &'a mut Vec<BodyTask>,
}

impl Context<'_> {
    /// Whether the turn ends with [`Next::Hold`] where code of the application or a file is
    /// next.
    pub(super) fn holds(&self, common: &Common) -> bool {
        self.serves == Serves::UrgentOnly && !common.is_urgent()
    }

    pub(super) fn is_aborting(&self) -> bool {
        self.phase.is_aborting()
    }

    /// Whether the application renders the server's own responses. In an abort it does
    /// not: an abort does not wait for code of the application.
    pub(super) fn renders_rejections(&self) -> bool {
        self.services.renders_rejections && !self.is_aborting()
    }

    /// When the abort began, if this turn is in that phase.
    pub(super) fn aborting_since(&self) -> Option<Instant> {
        let since = self.services.life.aborting_since();
        since.filter(|_| self.is_aborting())
    }

    pub(super) fn suspend(&self, wait: Wait, until: Option<Instant>) -> Step {
        Step::Next(self.suspended(wait, until))
    }

    pub(super) fn suspended(&self, wait: Wait, until: Option<Instant>) -> Next {
        Next::Suspend(Suspend {
            wait,
            until,
            seen: self.phase,
        })
    }
}
