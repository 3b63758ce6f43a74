//! Reads the body of a response where no connection sends it: in a test, or in a layer.

use std::fmt;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use bytes::Buf;
use bytes::Bytes;
use crossbeam_channel::Receiver;
use crossbeam_channel::bounded;

use super::Body;
use super::Content;
use super::source::Piece;
use super::source::PieceSource;
use super::source::Waker;
use super::source::WriterFn;
use super::to_bytes;
use crate::isolate::isolate;

/// Reads the body of a response: [`Body::into_reader`].
///
/// A read blocks until there are bytes. If the body fails, or is shorter than its
/// length, the read fails, and so do all later ones.
pub struct BodyReader {
    /// `None` after the end of the body.
    source: Option<Box<dyn PieceSource>>,
    /// What is left of the last piece.
    piece: Bytes,
    /// The body ended in a failure.
    has_failed: bool,
    waker: Waker,
    /// Has a message after each call of `waker`; at most one, because one call of the
    /// source is enough for any number of them.
    woken: Receiver<()>,
    /// The thread that writes the body, if a function does.
    writer: Option<JoinHandle<()>>,
}

impl Body {
    /// Reads the body, of any kind: for tests, and for layers that need the whole of it.
    /// A layer that changes a body on its way uses [`map_chunks`](Self::map_chunks), and
    /// holds no worker.
    ///
    /// What differs from a body that a server sends:
    ///
    /// - A read blocks while there is nothing: until an event is sent, a writer writes, or
    ///   the shutdown proceeds. A body that [`Events`](crate::Events) gives ends when its
    ///   senders are dropped, and that of
    ///   [`ShutdownHandle::follow`](crate::ShutdownHandle::follow) ends with the
    ///   shutdown: without one the last read never returns.
    /// - The function of [`from_writer`](Self::from_writer) gets its thread with the first
    ///   read. The read that returns the end of the body joins the thread. If the
    ///   reader is dropped before, the function's next write fails, and the thread ends
    ///   when the function returns.
    /// - The function of [`after_delivery`](Self::after_delivery) is dropped and not
    ///   called.
    /// - The function of [`upgrade`](Self::upgrade) is dropped too, and reads fail with
    ///   [`Unsupported`](io::ErrorKind::Unsupported).
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// # use farewell::{Body, Event, Events, IntoResponse};
    ///
    /// let body = Body::from_writer(|writer| writeln!(writer, "{}", 6 * 7));
    /// let mut text = String::new();
    /// body.into_reader().read_to_string(&mut text)?;
    /// assert_eq!(text, "42\n");
    ///
    /// let (sender, events) = Events::new();
    /// sender.send(&Event::data("news"))?;
    /// drop(sender);
    /// let body = events.into_response().into_body();
    /// assert_eq!(body.into_bytes(1024)?, "data: news\n\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_reader(self) -> BodyReader {
        let (wake, woken) = bounded(1);
        let waker: Waker = Arc::new(move || {
            // If the channel is full, the reader will call the source anyway.
            let _is_full = wake.try_send(());
        });
        BodyReader {
            source: Some(
                self.content
                    .into_source()
                    .unwrap_or_else(|_| Box::new(NoBody)),
            ),
            piece: Bytes::new(),
            has_failed: false,
            waker,
            woken,
            writer: None,
        }
    }

    /// Reads the whole body, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// The body fails, as [`into_reader`](Self::into_reader) says, or is larger than
    /// `limit` ([`FileTooLarge`](io::ErrorKind::FileTooLarge)). What was read is lost
    /// then: [`length`](Self::length) tells of most bodies beforehand.
    pub fn into_bytes(self, limit: usize) -> io::Result<Bytes> {
        let too_large = || {
            let text = format!("response body is larger than {limit} bytes");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
        };
        match self.content {
            Content::Full(bytes) if bytes.len() <= limit => Ok(to_bytes(bytes)),
            Content::Shared(bytes) if bytes.len() <= limit => Ok(bytes),
            Content::Full(_) | Content::Shared(_) => too_large(),
            content => {
                let mut whole = Vec::new();
                let beyond_limit = (limit as u64).saturating_add(1);
                let mut reader = Self::of(content).into_reader().take(beyond_limit);
                reader.read_to_end(&mut whole)?;
                match whole.len() <= limit {
                    true => Ok(whole.into()),
                    false => too_large(),
                }
            }
        }
    }
}

impl BodyReader {
    /// Waits for the next piece; `None` at the end of the body.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.has_failed {
            return Err(io::Error::other("response body has failed before"));
        }
        while let Some(source) = &mut self.source {
            if let Some(run) = source.take_writer() {
                self.writer = Some(spawn(run)?);
            }
            match source.next(&self.waker) {
                Piece::Data(piece) => return Ok(Some(piece)),
                Piece::NotYet => self.woken.recv().expect("the waker holds the sender"),
                Piece::End => {
                    self.end();
                    if let Some(writer) = self.writer.take() {
                        writer.join().expect("its panics are caught");
                    }
                }
                Piece::Failed(error) => {
                    self.has_failed = true;
                    self.end();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn end(&mut self) {
        if let Some(mut source) = self.source.take() {
            source.end();
        }
    }
}

fn spawn(run: WriterFn) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("farewell-body".to_owned())
        .spawn(|| {
            // A panic fails the body, because its writer is dropped.
            let _panicked = isolate(run);
        })
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            self.piece = self.next()?.unwrap_or_default();
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Drop for BodyReader {
    /// Has the writer of the body fail, if it is not complete.
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.source {
            Some(_) => "not at the end",
            None if self.has_failed => "failed",
            None => "at the end",
        };
        write!(f, "BodyReader({state})")
    }
}

/// What is read of an upgrade.
struct NoBody;

impl PieceSource for NoBody {
    fn next(&mut self, _: &Waker) -> Piece {
        Piece::Failed(io::Error::new(
            io::ErrorKind::Unsupported,
            "an upgrade of the connection has no body",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Seek;
    use std::io::SeekFrom;
    use std::io::Write;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;
    use crate::message::events::Event;
    use crate::message::events::Events;
    use crate::message::response::IntoResponse;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        file
    }

    fn failing(error: &'static str) -> Body {
        Body::try_from_chunks([Ok(&b"some"[..]), Err(io::Error::other(error))])
    }

    #[test]
    fn every_kind_of_body_is_read_whole() {
        for body in [
            Body::from("hello"),
            Body::from(Bytes::from("hello")),
            Body::from_file(file(b"--hello")).unwrap(),
            Body::from_reader(&b"hello"[..]),
            Body::from_reader_sized(&b"hello, and more"[..], 5),
            Body::from_chunks(["he", "", "llo"]),
            Body::from_writer(|writer| writer.write_all(b"hello")),
        ] {
            let kind = format!("{body:?}");
            assert_eq!(body.into_bytes(5).unwrap(), "hello", "{kind}");
        }
        assert_eq!(Body::empty().into_bytes(0).unwrap(), "");
    }

    #[test]
    fn a_body_that_is_too_large_is_an_error_of_any_kind() {
        for body in [
            Body::from("hello"),
            Body::from_file(file(b"--hello")).unwrap(),
            Body::from_chunks(std::iter::repeat("endless")),
            // Ends, because the drop of the reader has its writes fail.
            Body::from_writer(|writer| {
                loop {
                    writer.write_all(b"endless")?;
                }
            }),
        ] {
            let kind = format!("{body:?}");
            let error = body.into_bytes(4).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{kind}");
            assert_eq!(error.to_string(), "response body is larger than 4 bytes");
        }
    }

    #[test]
    fn a_body_that_fails_never_reads_as_complete() {
        let short_file = file(b"--hello");
        let shortened = short_file.try_clone().unwrap();
        let file = Body::from_file(short_file).unwrap();
        shortened.set_len(4).unwrap();
        for body in [
            failing("broken"),
            file,
            Body::from_reader_sized(&b"hello"[..], 6),
            Body::from_writer(|_| Err(io::Error::other("broken"))),
            Body::from_writer(|_| panic!("it panics")),
            Body::upgrade(|_| {}),
        ] {
            let kind = format!("{body:?}");
            let mut reader = body.into_reader();
            let mut bytes = Vec::new();
            assert!(reader.read_to_end(&mut bytes).is_err(), "{kind}");
            assert!(reader.read(&mut [0]).is_err(), "{kind}");
        }
    }

    #[test]
    fn a_read_blocks_until_an_event_is_sent() {
        let (sender, events) = Events::new();
        let mut reader = events.into_response().into_body().into_reader();
        let mut event = [0; 9];
        thread::scope(|scope| {
            let read = scope.spawn(|| reader.read_exact(&mut event));
            sender.send(&Event::data("1")).unwrap();
            read.join().unwrap().unwrap();
        });
        assert_eq!(&event, b"data: 1\n\n");
        drop(sender);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn an_event_to_a_dropped_reader_is_an_error() {
        let (sender, events) = Events::new();
        drop(events.into_response().into_body().into_reader());
        assert!(sender.is_closed());
    }

    #[test]
    fn the_thread_of_a_writer_has_ended_at_the_end_of_its_body() {
        struct SetOnDrop(Arc<AtomicBool>);
        impl Drop for SetOnDrop {
            fn drop(&mut self) {
                self.0.store(true, SeqCst);
            }
        }
        let ended = Arc::new(AtomicBool::new(false));
        let set_on_drop = SetOnDrop(Arc::clone(&ended));
        let body = Body::from_writer(move |writer| {
            let _set_on_drop = set_on_drop;
            writer.write_all(b"hello")
        });
        assert_eq!(body.into_bytes(5).unwrap(), "hello");
        assert!(ended.load(SeqCst));
    }

    #[test]
    fn a_read_does_not_depend_on_the_position_of_a_shared_file() {
        let mut file = file(b"--hello");
        let body = Body::from_file(file.try_clone().unwrap()).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        assert_eq!(body.into_bytes(5).unwrap(), "hello");
    }
}
