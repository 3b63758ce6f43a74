//! Bodies that the application pushes. A [`BodyWriter`] writes, and blocks when the
//! client does not keep up; the connection takes the pieces that are there.
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

/// How many bytes a writer gathers before it passes them on.
const BATCH_BYTES: usize = 8 * 1024;

/// How many bytes may wait between a writer and its connection.
const PIPE_BYTES: usize = 64 * 1024;

/// Writes the body of a response while its client reads it.
///
/// The writer sends batches of 8 KiB; [`flush`](Write::flush) sends a smaller one.
/// If 64 KiB wait for the client, a write blocks. If the client has closed the
/// connection, or the server has cut it, a write fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
///
/// [`finish`](Self::finish) ends the body. If a writer is dropped before, the body
/// has failed: the server cuts the connection, so that the client can detect the
/// failure.
pub struct BodyWriter {
    batch: Vec<u8>,
    pipe: Arc<Pipe>,
}

struct Pipe {
    /// The thread that made the body. The body is not sent before that thread returns
    /// it.
    maker: ThreadId,
    queue: Mutex<PieceQueue>,
    /// Signalled when there is room, or the pipe is closed.
    room: Condvar,
}

#[derive(Default)]
struct PieceQueue {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
    /// The connection takes no more pieces.
    closed: bool,
    /// The connection has begun to take pieces.
    attached: bool,
    waker: Option<Waker>,
}

/// How a body ended.
enum End {
    Finished,
    Failed(io::Error),
}

impl Body {
    /// A body, and the writer of it, which any thread may use.
    ///
    /// The server sends the body after the handler has returned the response. The
    /// thread that made the body can write 64 KiB before that. A further write on the
    /// same thread fails with [`WouldBlock`](io::ErrorKind::WouldBlock), because it
    /// would block for ever.
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

    /// A body that `f` writes on a thread of its own, named `farewell-body`. The server
    /// starts the thread with the response, and joins it when it stops. If `f` returns
    /// `Ok`, the body ends; if `f` fails or panics, the server cuts the connection.
    ///
    /// For a response without a body, such as one to HEAD, `f` is not called.
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
            // If this fails, the connection has ended, and reports that itself.
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
    /// The client has closed the connection, or the server has cut it.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.pipe.end(End::Finished);
        Ok(())
    }

    /// Ends the body as a failure: the server cuts the connection, and logs `error`.
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
        let error = io::Error::other("body writer was dropped without a call of finish");
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

    /// Waits for room, and passes a piece to the connection.
    fn send(&self, piece: Bytes) -> io::Result<()> {
        let mut queue = self.lock();
        while !queue.closed && queue.bytes > 0 && queue.bytes + piece.len() > PIPE_BYTES {
            if !queue.attached && thread::current().id() == self.maker {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "response not sent yet: return it first, or write from another thread",
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

    /// Ends the body, unless it has ended.
    fn end(&self, end: End) {
        let mut queue = self.lock();
        if queue.end.is_none() {
            queue.end = Some(end);
            self.wake(queue);
        }
    }

    /// Wakes the connection. Releases the lock first, because the connection may take
    /// it at once.
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
    /// Closes a pipe that no connection ever got.
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

    fn noop_waker() -> Waker {
        Arc::new(|| {})
    }

    #[test]
    fn only_flushed_bytes_reach_the_connection() {
        let (mut writer, body) = Body::writer();
        let mut source = source(body);
        writer.write_all(b"hello").unwrap();
        assert!(matches!(source.next(&noop_waker()), Piece::NotYet));
        writer.flush().unwrap();
        assert!(matches!(source.next(&noop_waker()), Piece::Data(data) if data == "hello"));
        writer.finish().unwrap();
        assert!(matches!(source.next(&noop_waker()), Piece::End));
    }

    #[test]
    fn a_writer_dropped_before_finish_has_failed() {
        let (writer, body) = Body::writer();
        drop(writer);
        assert!(matches!(source(body).next(&noop_waker()), Piece::Failed(_)));
    }

    #[test]
    fn a_write_that_would_block_for_ever_fails() {
        let (mut writer, _body) = Body::writer();
        let error = writer.write_all(&[b'x'; 2 * PIPE_BYTES]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_write_to_a_dropped_body_fails() {
        let (mut writer, body) = Body::writer();
        drop(body);
        writer.write_all(b"hello").unwrap();
        let error = writer.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
