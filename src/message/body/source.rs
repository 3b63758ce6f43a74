//! The source of a body that is sent piece by piece.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::lifecycle::phase::Lifecycle;

/// The source of a body that is sent piece by piece. [`next`](Self::next) does not
/// wait for other threads: while there is no piece, the connection is suspended
/// until the waker is called.
pub(crate) trait PieceSource: Send {
    /// The next piece. After [`Piece::NotYet`], the source calls `waker` when there
    /// may be one.
    fn next(&mut self, waker: &Waker) -> Piece;

    /// What the end of the body depends on.
    fn kind(&self) -> BodyKind {
        BodyKind::Finite
    }

    /// The body is to be sent by this server. Called before [`begin`](Self::begin), and
    /// before its kind matters.
    fn set_server(&mut self, _: &Lifecycle) {}

    /// The server begins to send the body.
    fn begin(&mut self) {}

    /// The server has begun to drain.
    fn drain(&mut self) {}

    /// The last call is over. The body ends after the pieces that exist.
    fn close(&mut self) {}

    /// The connection calls `next` no more. It drops the source later, because the
    /// drop may run code of the application.
    fn end(&mut self) {}

    /// The function that writes this body, to be run on a thread of its own.
    fn take_writer(&mut self) -> Option<WriterFn> {
        None
    }
}

/// A source with pieces of another one, as `next` changes them. Everything else is that
/// of the other.
pub(super) struct ChangedSource<N> {
    source: Box<dyn PieceSource>,
    next: N,
}

impl<N> ChangedSource<N>
where
    N: FnMut(&mut dyn PieceSource, &Waker) -> Piece + Send,
{
    pub(super) fn new(source: Box<dyn PieceSource>, next: N) -> Self {
        Self { source, next }
    }
}

impl<N> PieceSource for ChangedSource<N>
where
    N: FnMut(&mut dyn PieceSource, &Waker) -> Piece + Send,
{
    fn next(&mut self, waker: &Waker) -> Piece {
        (self.next)(&mut *self.source, waker)
    }

    fn kind(&self) -> BodyKind {
        self.source.kind()
    }

    fn set_server(&mut self, server: &Lifecycle) {
        self.source.set_server(server);
    }

    fn begin(&mut self) {
        self.source.begin();
    }

    fn drain(&mut self) {
        self.source.drain();
    }

    fn close(&mut self) {
        self.source.close();
    }

    fn end(&mut self) {
        self.source.end();
    }

    fn take_writer(&mut self) -> Option<WriterFn> {
        self.source.take_writer()
    }
}

/// The function of the application that writes a body.
pub(crate) type WriterFn = Box<dyn FnOnce() + Send>;

/// What the end of a body depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// The body ends by itself. A drain waits for its end.
    Finite,
    /// The body ends when the client closes its side, or when the last call is over.
    Endless,
    /// The body reports the shutdown to its client. It ends when all other
    /// connections have ended, so the drain waits for it last.
    Follower,
}

/// Wakes a suspended connection. Any thread may call it at any time; unneeded calls
/// are harmless.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

pub(crate) enum Piece {
    /// Never empty.
    Data(Bytes),
    NotYet,
    End,
    /// The body is incomplete.
    Failed(io::Error),
}
