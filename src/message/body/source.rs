//! Where the pieces of a body come from, if they come one by one.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// A body that comes piece by piece. Nobody waits in [`next`](Self::next) for
/// another thread: when there is nothing yet, the connection is suspended until
/// the waker calls.
pub(crate) trait PieceSource: Send {
    /// The next piece. After [`Piece::NotYet`], `waker` is called once there
    /// may be more.
    fn next(&mut self, waker: &Waker) -> Piece;

    /// What its end depends on.
    fn kind(&self) -> BodyKind {
        BodyKind::Finite
    }

    /// It is about to be sent.
    fn begin(&mut self) {}

    /// The server drains: whoever feeds it may want to know.
    fn drain(&mut self) {}

    /// The last call is over: what is there is the rest.
    fn close(&mut self) {}

    /// The connection is done with it. Its drop, which may run code of the
    /// application, comes later.
    fn end(&mut self) {}

    /// What has to run on a thread of its own for this body to come.
    fn take_writer(&mut self) -> Option<WriterFn> {
        None
    }
}

/// The user's code that writes a body.
pub(crate) type WriterFn = Box<dyn FnOnce() + Send>;

/// What a stream's end depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// It ends by itself; a drain waits for that.
    Finite,
    /// It goes on as long as its reader listens: when that one has closed its
    /// side, or the last call is over, it ends.
    Endless,
    /// Its reader only watches the shutdown: such a one is told of the end of
    /// everyone else's business, and is not part of it.
    Follower,
}

/// Puts a suspended connection back to work. May be called at any time, from any
/// thread, and too often.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

pub(crate) enum Piece {
    /// Some bytes; never none.
    Data(Bytes),
    NotYet,
    End,
    /// There should have been more.
    Failed(io::Error),
}
