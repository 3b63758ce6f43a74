//! Changes the body of a response on its way to the connection.

use std::io;

use bytes::Bytes;

use super::Body;
use super::Content;
use super::pull;
use super::source::ChangedSource;
use super::source::Piece;
use super::source::PieceSource;
use super::to_bytes;

impl Body {
    /// A body whose pieces `f` changes: for layers that compress, count, or rewrite.
    ///
    /// `f` gets each piece of the body, and then `None` once, at its end. It returns what
    /// is sent instead, which may be nothing. If it fails, the body fails. An empty body
    /// has no pieces, only its end.
    ///
    /// - The pieces of a body in memory (one) are changed at once, in this call, and the
    ///   length stays known.
    /// - The pieces of any other body are changed when the connection asks for them, on a
    ///   worker, and the length is unknown: see [`with_length`](Self::with_length). The
    ///   kind of the body stays. So events, a writer's output and the progress of a
    ///   shutdown hold no worker, and end as before when the server stops. How a stream
    ///   is cut into pieces is not promised, except that what was sent or flushed comes
    ///   without delay: `f` should not hold it back.
    /// - If `f` panics, the body fails; in the case of a body in memory, the panic is
    ///   that of the layer.
    /// - For a response without a body, such as one to HEAD, `f` is called for a body in
    ///   memory only.
    /// - An [`upgrade`](Self::upgrade) stays as it is, and so does
    ///   [`after_delivery`](Self::after_delivery).
    ///
    /// ```
    /// use farewell::{Body, Handler, Request, Response};
    ///
    /// /// A layer that ends every body with a line.
    /// fn signed(request: Request, next: &dyn Handler) -> Response {
    ///     next.handle(request).map(|body| {
    ///         body.map_chunks(|chunk| Ok(chunk.unwrap_or("-- \nme\n".into())))
    ///     })
    /// }
    ///
    /// let request = Request::from_http(http::Request::get("/").body(())?);
    /// let response = signed(request, &|_: Request| Body::from_chunks(["hello\n"]));
    /// assert_eq!(response.into_body().into_bytes(100)?, "hello\n-- \nme\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn map_chunks<F>(self, f: F) -> Self
    where
        F: FnMut(Option<Bytes>) -> io::Result<Bytes> + Send + 'static,
    {
        let content = match self.content {
            Content::Full(bytes) => map_bytes(to_bytes(bytes), f),
            Content::Shared(bytes) => map_bytes(bytes, f),
            content => match content.into_source() {
                Ok(source) => Content::Stream(Box::new(mapped(source, f)), None),
                Err(upgrade) => Content::Upgrade(upgrade),
            },
        };
        Self { content, ..self }
    }

    /// States the length of a body of unknown length, such as a stream that a layer has
    /// changed without changing its length. It is sent with `Content-Length` then, and
    /// fails if it turns out to be shorter or longer. A body of known length keeps its
    /// own.
    ///
    /// ```
    /// # use farewell::Body;
    /// let body = Body::from_reader(&b"hello"[..]).with_length(5);
    /// assert_eq!(body.length(), Some(5));
    /// assert_eq!(body.into_bytes(100)?, "hello");
    /// assert!(Body::from_reader(&b"hello"[..]).with_length(4).into_bytes(100).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_length(self, length: u64) -> Self {
        let content = match self.content {
            Content::Stream(source, None) => {
                Content::Stream(Box::new(pull::sized(source, length)), Some(length))
            }
            content => content,
        };
        Self { content, ..self }
    }
}

fn map_bytes<F>(bytes: Bytes, mut f: F) -> Content
where
    F: FnMut(Option<Bytes>) -> io::Result<Bytes>,
{
    let mapped = || {
        let piece = match bytes.is_empty() {
            true => Bytes::new(),
            false => f(Some(bytes))?,
        };
        let end = f(None)?;
        Ok(match (piece.is_empty(), end.is_empty()) {
            (true, _) => end,
            (_, true) => piece,
            (false, false) => [piece, end].concat().into(),
        })
    };
    match mapped() {
        // The bytes may be the application's.
        Ok(bytes) => Content::Shared(bytes),
        Err(error) => Body::try_from_chunks([Err::<Bytes, _>(error)]).content,
    }
}

/// A source whose pieces `f` changes.
fn mapped<F>(source: Box<dyn PieceSource>, mut f: F) -> impl PieceSource
where
    F: FnMut(Option<Bytes>) -> io::Result<Bytes> + Send,
{
    // The source has ended, and `f` knows.
    let mut has_ended = false;
    // A second handle of the piece that is being sent: the drop of the last one may run
    // code of the application, and has to be here.
    let mut last = Bytes::new();
    ChangedSource::new(source, move |source, waker| {
        while !has_ended {
            let piece = match source.next(waker) {
                Piece::Data(piece) => Some(piece),
                Piece::End => {
                    has_ended = true;
                    None
                }
                piece @ (Piece::NotYet | Piece::Failed(_)) => return piece,
            };
            match f(piece) {
                Ok(mapped) if mapped.is_empty() => {}
                Ok(mapped) => {
                    last.clone_from(&mapped);
                    return Piece::Data(mapped);
                }
                Err(error) => return Piece::Failed(error),
            }
        }
        Piece::End
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::message::body::source::BodyKind;
    use crate::message::body::source::Waker;
    use crate::message::events::Event;
    use crate::message::events::Events;
    use crate::message::response::IntoResponse;

    /// Upper case, and a mark at the end.
    fn shout(chunk: Option<Bytes>) -> io::Result<Bytes> {
        Ok(match chunk {
            Some(chunk) => chunk.to_ascii_uppercase().into(),
            None => "!".into(),
        })
    }

    fn broken(_: Option<Bytes>) -> io::Result<Bytes> {
        Err(io::Error::other("broken"))
    }

    fn source(body: Body) -> Box<dyn PieceSource> {
        match body.content {
            Content::Stream(source, None) => source,
            _ => panic!("the body is a stream of unknown length"),
        }
    }

    fn noop_waker() -> Waker {
        Arc::new(|| {})
    }

    #[test]
    fn every_kind_of_body_is_changed_and_only_memory_keeps_a_length() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        for (body, length) in [
            (Body::from("hello"), Some(6)),
            (Body::from(Bytes::from("hello")), Some(6)),
            (Body::from_file(file).unwrap(), None),
            (Body::from_reader(&b"hello"[..]), None),
            (Body::from_reader_sized(&b"hello"[..], 5), None),
            (Body::from_chunks(["he", "llo"]), None),
            (Body::from_writer(|writer| writer.write_all(b"hello")), None),
        ] {
            let kind = format!("{body:?}");
            let body = body.map_chunks(shout);
            assert_eq!(body.length(), length, "{kind}");
            assert_eq!(body.into_bytes(6).unwrap(), "HELLO!", "{kind}");
        }
        let empty = Body::empty().map_chunks(shout);
        assert_eq!(empty.as_bytes(), Some(&b"!"[..]));
    }

    #[test]
    fn what_f_fails_at_fails_the_body() {
        for body in [Body::from("hello"), Body::from_chunks(["hello"])] {
            let error = body.map_chunks(broken).into_bytes(9).unwrap_err();
            assert_eq!(error.to_string(), "broken");
        }
    }

    #[test]
    fn a_body_shorter_than_its_length_fails_although_the_length_is_not_sent() {
        let short = Body::from_reader_sized(&b"hello"[..], 6).map_chunks(shout);
        let error = short.into_bytes(100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_stated_length_is_checked_from_both_sides() {
        let stated = |length| Body::from_chunks(["he", "llo"]).with_length(length);
        assert_eq!(stated(5).into_bytes(9).unwrap(), "hello");
        for wrong in [0, 4, 6] {
            assert!(stated(wrong).into_bytes(9).is_err(), "{wrong}");
        }
        assert_eq!(Body::from("hello").with_length(4).length(), Some(5));
    }

    #[test]
    fn events_stay_events() {
        let (sender, events) = Events::new();
        let body = events.into_response().into_body().map_chunks(shout);
        let mut source = source(body);
        assert_eq!(source.kind(), BodyKind::Endless);
        assert!(matches!(source.next(&noop_waker()), Piece::NotYet));
        sender.send(&Event::data("x")).unwrap();
        assert!(matches!(source.next(&noop_waker()), Piece::Data(data) if data == "DATA: X\n\n"));
        source.drain();
        assert!(sender.draining());
        source.close();
        assert!(matches!(source.next(&noop_waker()), Piece::Data(data) if data == "!"));
        assert!(matches!(source.next(&noop_waker()), Piece::End));
    }

    #[test]
    fn a_writer_is_told_that_its_changed_body_is_dropped() {
        let (mut writer, body) = Body::writer();
        drop(body.map_chunks(shout));
        writer.write_all(b"hello").unwrap();
        assert!(writer.flush().is_err());
    }

    #[test]
    fn a_piece_may_become_nothing_and_is_skipped() {
        let mut body = Vec::new();
        let held_back = Body::from_chunks(["a", "b"]).map_chunks(move |chunk| match chunk {
            Some(chunk) => {
                body.extend_from_slice(&chunk);
                Ok(Bytes::new())
            }
            None => Ok(std::mem::take(&mut body).into()),
        });
        let mut source = source(held_back);
        assert!(matches!(source.next(&noop_waker()), Piece::Data(data) if data == "ab"));
        assert!(matches!(source.next(&noop_waker()), Piece::End));
    }

    #[test]
    fn an_upgrade_and_a_call_after_the_delivery_stay() {
        let upgrade = Body::upgrade(|_| {}).map_chunks(shout).with_length(1);
        assert!(upgrade.is_upgrade());
        let body = Body::from("x").after_delivery(|| {}).map_chunks(shout);
        assert!(body.with_length(1).after_delivery.is_some());
    }
}
