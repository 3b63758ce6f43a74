//! Bodies that are pushed: whoever has the [`BodyWriter`] writes, and waits
//! when the client does not keep up; the connection takes what is there.
//!
//! ```text
//!  BodyWriter --write--> batch --flush, or full--> pipe (bounded) --next--> connection
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::io::Write;
use std::mem;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::ThreadId;

use bytes::Bytes;

use super::Body;
use super::source::Piece;
use super::source::PieceSource;
use super::source::Waker;
use super::source::WriterFn;

/// How much a writer gathers before it hands it on, in bytes.
const BATCH_BYTES: usize = 8 * 1024;

/// How much may be under way between a writer and its connection, in bytes.
const PIPE_BYTES: usize = 64 * 1024;

/// Writes the body of a response while its client reads it.
///
/// What is written is sent in batches of 8 KiB; [`flush`](Write::flush) sends
/// what there is. If the client does not keep up, with 64 KiB under way, a
/// write waits; if the client is gone, or the server has cut it, a write fails
/// with [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// [`finish`](Self::finish) ends the body. A writer that is dropped without
/// that has failed: the connection is cut, so that the client can tell.
pub struct BodyWriter {
    batch: Vec<u8>,
    pipe: Arc<Pipe>,
}

struct Pipe {
    /// Who made the body, and has to return it before it can be sent.
    maker: ThreadId,
    queue: Mutex<PieceQueue>,
    /// There is room, or it is closed.
    room: Condvar,
}

#[derive(Default)]
struct PieceQueue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
    /// The connection's end is gone.
    closed: bool,
    /// The response is with its connection.
    attached: bool,
    waker: Option<Waker>,
}

/// How a body ended.
enum End {
    Finished,
    Failed(io::Error),
}

impl Body {
    /// A body, and what writes it, from any thread.
    ///
    /// The response has to be returned for its body to be sent. Whoever makes
    /// this body can write 64 KiB before; a write beyond that, on the same
    /// thread, fails rather than wait for ever.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::thread;
    /// # use farewell::{Body, Request, Response};
    ///
    /// fn count(_: Request) -> Response {
    ///     let (mut writer, body) = Body::writer();
    ///     thread::spawn(move || {
    ///         for number in 1..=1000 {
    ///             writeln!(writer, "{number}")?;
    ///         }
    ///         writer.finish()
    ///     });
    ///     Response::new(body)
    /// }
    /// ```
    pub fn writer() -> (BodyWriter, Self) {
        let pipe = Arc::new(Pipe::new());
        let writer = BodyWriter {
            batch: Vec::new(),
            pipe: Arc::clone(&pipe),
        };
        (
            writer,
            Self::stream(WriterSource {
                pipe,
                writer_fn: None,
            }),
        )
    }

    /// A body that `f` writes, on a thread of its own which the server starts
    /// with the response, names `farewell-body`, and joins when it stops. `Ok`
    /// ends the body; an error, or a panic, cuts the connection.
    ///
    /// For a response without a body (to HEAD, say) `f` is not called.
    ///
    /// ```
    /// use std::io::Write;
    /// # use farewell::{Body, Request, Response};
    ///
    /// fn count(_: Request) -> Response {
    ///     Response::new(Body::from_writer(|writer| {
    ///         (1..=1000).try_for_each(|number| writeln!(writer, "{number}"))
    ///     }))
    /// }
    /// ```
    pub fn from_writer<F>(f: F) -> Self
    where
        F: FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
    {
        let pipe = Arc::new(Pipe::new());
        let mut writer = BodyWriter {
            batch: Vec::new(),
            pipe: Arc::clone(&pipe),
        };
        let writer_fn: WriterFn = Box::new(move || match f(&mut writer) {
            // If the client is gone, that is its connection's to say.
            Ok(()) => drop(writer.finish()),
            Err(error) => writer.fail(error),
        });
        Self::stream(WriterSource {
            pipe,
            writer_fn: Some(writer_fn),
        })
    }
}

impl BodyWriter {
    /// Ends the body.
    ///
    /// # Errors
    ///
    /// The client is gone, or the server has cut it.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.pipe.end(End::Finished);
        Ok(())
    }

    /// Gives the body up: the connection is cut, and `error` logged.
    pub fn fail(self, error: io::Error) {
        self.pipe.end(End::Failed(error));
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.batch.len() + bytes.len() > BATCH_BYTES {
            self.flush()?;
        }
        let taken = bytes.len().min(PIPE_BYTES);
        self.batch.extend_from_slice(&bytes[..taken]);
        if self.batch.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return self.pipe.check();
        }
        self.pipe.send(mem::take(&mut self.batch).into())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        let error = io::Error::other("its writer was dropped before it had finished");
        self.pipe.end(End::Failed(error));
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BodyWriter({} bytes not sent)", self.batch.len())
    }
}

impl Pipe {
    fn new() -> Self {
        Self {
            maker: thread::current().id(),
            queue: Mutex::default(),
            room: Condvar::new(),
        }
    }

    /// Waits for room.
    fn send(&self, piece: Bytes) -> io::Result<()> {
        let mut queue = self.lock();
        while !queue.closed && queue.bytes > 0 && queue.bytes + piece.len() > PIPE_BYTES {
            if !queue.attached && thread::current().id() == self.maker {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "nobody reads this body yet: return the response, and write from another thread",
                ));
            }
            queue = self
                .room
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        queue.bytes += piece.len();
        queue.pieces.push_back(piece);
        self.wake(queue);
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.lock().closed {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    /// The first end counts.
    fn end(&self, end: End) {
        let mut queue = self.lock();
        if queue.end.is_none() {
            queue.end = Some(end);
            self.wake(queue);
        }
    }

    /// Calls the connection, with the lock released: it may come at once.
    fn wake(&self, mut queue: MutexGuard<'_, PieceQueue>) {
        let waker = queue.waker.take();
        drop(queue);
        if let Some(wake) = waker {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, PieceQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's end of a pipe.
struct WriterSource {
    pipe: Arc<Pipe>,
    writer_fn: Option<WriterFn>,
}

impl PieceSource for WriterSource {
    fn next(&mut self, waker: &Waker) -> Piece {
        let mut queue = self.pipe.lock();
        queue.attached = true;
        if let Some(piece) = queue.pieces.pop_front() {
            queue.bytes -= piece.len();
            drop(queue);
            self.pipe.room.notify_all();
            return Piece::Data(piece);
        }
        match queue.end.take() {
            Some(End::Finished) => Piece::End,
            Some(End::Failed(error)) => Piece::Failed(error),
            None => {
                queue.waker = Some(Arc::clone(waker));
                Piece::NotYet
            }
        }
    }

    fn take_writer(&mut self) -> Option<WriterFn> {
        self.writer_fn.take()
    }

    fn end(&mut self) {
        let mut queue = self.pipe.lock();
        queue.closed = true;
        queue.pieces.clear();
        drop(queue);
        self.pipe.room.notify_all();
    }
}

impl Drop for WriterSource {
    /// If no connection ever had it.
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::*;

    fn source(body: Body) -> Box<dyn PieceSource> {
        match body.content {
            Content::Stream(source, None) => source,
            _ => panic!("a writer's body is a stream"),
        }
    }

    fn nobody() -> Waker {
        Arc::new(|| {})
    }

    #[test]
    fn what_is_flushed_is_there_and_the_rest_is_not() {
        let (mut writer, body) = Body::writer();
        let mut source = source(body);
        writer.write_all(b"hello").unwrap();
        assert!(matches!(source.next(&nobody()), Piece::NotYet));
        writer.flush().unwrap();
        assert!(matches!(source.next(&nobody()), Piece::Data(data) if data == "hello"));
        writer.finish().unwrap();
        assert!(matches!(source.next(&nobody()), Piece::End));
    }

    #[test]
    fn a_writer_that_is_dropped_has_failed() {
        let (writer, body) = Body::writer();
        drop(writer);
        assert!(matches!(source(body).next(&nobody()), Piece::Failed(_)));
    }

    #[test]
    fn a_write_that_would_wait_for_ever_fails() {
        let (mut writer, _body) = Body::writer();
        let error = writer.write_all(&[b'x'; 2 * PIPE_BYTES]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_write_to_nobody_fails() {
        let (mut writer, body) = Body::writer();
        drop(body);
        writer.write_all(b"hello").unwrap();
        let error = writer.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
