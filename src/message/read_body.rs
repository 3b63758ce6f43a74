//! Bodies of requests that a reader gives: that of a test, or that of a layer, which
//! wraps the body that the client sends.
//!
//! ```text
//!  handler --read--> outer RequestBody --> Wrapped --> reader of the layer
//!                                             |             |
//!                       end, trailers, failure|             v
//!                                             |      RequestBody --> Shared
//!                                             v                        |
//!                                          Source <--------------------+
//! ```

use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::TryLockError;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;

use super::request_body::BodyError;
use super::request_body::BodySource;
use super::request_body::RequestBody;
use crate::escaped::Escaped;

/// How much of a body is read for its trailers after the layer's reader has ended, in
/// bytes.
const DISCARD_BYTES_MAX: u64 = 64 * 1024;

impl RequestBody {
    /// A body that `reader` gives, for a test or a layer. With a length, no more bytes
    /// are read, and fewer are an error, as if the client had closed the connection.
    ///
    /// An error of the reader becomes a [`BodyError`], as
    /// [`Request::map_body`](crate::Request::map_body) says.
    ///
    /// ```
    /// use farewell::{BodyError, Request, RequestBody};
    ///
    /// // A client that announces 10 bytes, and closes the connection after 4.
    /// let body = RequestBody::from_reader(&b"half"[..], Some(10));
    /// let mut request = Request::from_http(http::Request::post("/").body(body)?);
    /// assert_eq!(request.bytes().unwrap_err().status(), 400);
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn from_reader(reader: impl Read + Send + 'static, length: Option<u64>) -> Self {
        let mut body = Self::new(Bytes::new(), length, None);
        body.attach(Box::new(ReaderSource {
            reader,
            left: length,
        }));
        body
    }

    /// The body as the reader that `wrap` makes of it. Its length is unknown.
    pub(crate) fn wrapped<R>(self, wrap: impl FnOnce(Self) -> R) -> Self
    where
        R: Read + Send + 'static,
    {
        let length = self.length();
        let source = Arc::new(Mutex::new(Source {
            body: self,
            failed: None,
        }));
        let mut inner = Self::new(Bytes::new(), length, None);
        inner.attach(Box::new(Shared(Arc::clone(&source))));
        let mut outer = Self::new(Bytes::new(), None, None);
        outer.attach(Box::new(Wrapped {
            reader: Some(wrap(inner)),
            source,
            trailers: None,
        }));
        outer
    }
}

/// Reads some bytes from a reader of the application.
fn read(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// What an error of the application's reader is for the handler.
fn explain(error: &io::Error) -> BodyError {
    if let Some(error) = BodyError::of(error) {
        return error;
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            BodyError::new(
                StatusCode::BAD_REQUEST,
                "request body is malformed or incomplete",
            )
        }
        _ => {
            // The error may quote what the client has sent.
            log::error!("cannot read a request body: {}", Escaped(error));
            BodyError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "request body cannot be read",
            )
        }
    }
}

/// A reader of the application.
struct ReaderSource<R> {
    reader: R,
    /// How many bytes are still to come, if the length is stated.
    left: Option<u64>,
}

impl<R: Read + Send> BodySource for ReaderSource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let left = self
            .left
            .map(|left| usize::try_from(left).unwrap_or(usize::MAX));
        let room = left.map_or(buffer.len(), |left| left.min(buffer.len()));
        if room == 0 {
            return Ok(0);
        }
        let count = read(&mut self.reader, &mut buffer[..room]).map_err(|error| explain(&error))?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
            if count == 0 {
                return Err(BodyError::GONE);
            }
        }
        Ok(count)
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        None
    }
}

/// A body that a layer has wrapped.
struct Source {
    body: RequestBody,
    /// The failure of a read, which the layer's reader may hide.
    failed: Option<BodyError>,
}

impl Source {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let read = self.body.read(buffer).map_err(|error| explain(&error));
        self.failed = self.failed.or(read.err());
        read
    }

    fn trailers(&self) -> Option<Box<HeaderMap>> {
        self.body.trailers().cloned().map(Box::new)
    }

    /// Reads what the layer's reader has left, for the trailers.
    fn discard(&mut self) -> Result<(), BodyError> {
        let mut discarded_bytes = 0;
        let mut buffer = [0; 4096];
        while discarded_bytes <= DISCARD_BYTES_MAX {
            match self.read(&mut buffer)? {
                0 => break,
                count => discarded_bytes += count as u64,
            }
        }
        Ok(())
    }
}

/// The wrapped body, as the layer's reader reads it.
struct Shared(Arc<Mutex<Source>>);

impl BodySource for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        lock(&self.0).read(buffer)
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        lock(&self.0).trailers()
    }
}

/// The layer's reader, and the body behind it.
struct Wrapped<R> {
    /// `None` after its end.
    reader: Option<R>,
    source: Arc<Mutex<Source>>,
    trailers: Option<Box<HeaderMap>>,
}

impl<R: Read + Send> Wrapped<R> {
    /// The source, unless another thread of the layer reads from it.
    fn source(&self) -> Option<MutexGuard<'_, Source>> {
        match self.source.try_lock() {
            Ok(source) => Some(source),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The reader has ended. The body ends here too, unless its source has failed, or
    /// fails behind what the reader has read.
    fn end(&mut self) -> Result<usize, BodyError> {
        self.reader = None;
        let Some(mut source) = self.source() else {
            return Ok(0);
        };
        match source.failed {
            Some(error) => return Err(error),
            None => source.discard()?,
        }
        let trailers = source.trailers();
        drop(source);
        self.trailers = trailers;
        Ok(0)
    }
}

impl<R: Read + Send> BodySource for Wrapped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let Some(reader) = &mut self.reader else {
            return self.end();
        };
        match read(reader, buffer) {
            Ok(0) => self.end(),
            Ok(count) => Ok(count),
            Err(error) => {
                let failed = self.source().and_then(|source| source.failed);
                Err(failed.unwrap_or_else(|| explain(&error)))
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }
}

/// The lock guards a body, which is consistent even if a holder panicked.
fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::isolate::isolate;
    use crate::message::request::Request;

    /// A body that comes in pieces, and ends with trailers or a failure.
    struct Pieces {
        bytes: Cursor<&'static [u8]>,
        end: Result<Option<Box<HeaderMap>>, BodyError>,
    }

    impl BodySource for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
            match self.bytes.read(buffer) {
                Ok(0) => self.end.as_ref().map(|_| 0).map_err(|error| *error),
                other => Ok(other.unwrap()),
            }
        }

        fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
            self.end.clone().unwrap()
        }
    }

    fn body(text: &'static str, end: Result<Option<Box<HeaderMap>>, BodyError>) -> RequestBody {
        let mut body = RequestBody::new(Bytes::new(), None, None);
        let bytes = Cursor::new(text.as_bytes());
        body.attach(Box::new(Pieces { bytes, end }));
        body
    }

    fn with_trailers(text: &'static str) -> RequestBody {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        body(text, Ok(Some(Box::new(trailers))))
    }

    /// Fails with this error, or has it look like the end.
    struct Hiding {
        body: RequestBody,
        error: Option<io::ErrorKind>,
    }

    impl Read for Hiding {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match (self.body.read(buffer), self.error) {
                (Err(_), None) => Ok(0),
                (Err(_), Some(kind)) => Err(kind.into()),
                (count, _) => count,
            }
        }
    }

    #[test]
    fn trailers_come_out_of_any_number_of_readers() {
        let mut outer = with_trailers("hello")
            .wrapped(|body| body)
            .wrapped(|body| body);
        assert_eq!(outer.trailers(), None);
        assert_eq!(outer.read_all().unwrap(), "hello");
        assert_eq!(outer.trailers().unwrap()["x-sum"], "1");
    }

    #[test]
    fn trailers_are_read_behind_a_reader_that_ends_early() {
        let mut outer = with_trailers("hello").wrapped(|body| body.take(2));
        assert_eq!(outer.read_all().unwrap(), "he");
        assert_eq!(outer.trailers().unwrap()["x-sum"], "1");
    }

    #[test]
    fn a_reader_that_ends_early_does_not_have_an_endless_body_read() {
        let endless = RequestBody::from_reader(io::repeat(b'x'), None);
        let mut outer = endless.wrapped(|body| body.take(2));
        assert_eq!(outer.read_all().unwrap(), "xx");
        assert_eq!(outer.trailers(), None);
    }

    #[test]
    fn a_failure_survives_readers_that_hide_it() {
        for error in [None, Some(io::ErrorKind::Other)] {
            let cut = body("half", Err(BodyError::TOO_SLOW));
            let mut outer = cut.wrapped(|body| Hiding { body, error });
            assert_eq!(outer.read_all(), Err(BodyError::TOO_SLOW), "{error:?}");
        }
        let behind = body("half", Err(BodyError::OVER));
        let mut outer = behind.wrapped(|body| body.take(2));
        assert_eq!(outer.read_all(), Err(BodyError::OVER));
    }

    #[test]
    fn an_error_of_the_reader_has_a_status() {
        let failing = |error: fn() -> io::Error| {
            let mut once = Some(error);
            let reader = std::iter::from_fn(move || once.take());
            struct Fails<I>(I);
            impl<I: Iterator<Item = fn() -> io::Error>> Read for Fails<I> {
                fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                    self.0.next().map_or(Ok(0), |error| Err(error()))
                }
            }
            let mut body = RequestBody::from("x").wrapped(|_| Fails(reader));
            body.read_all().map_err(|error| error.status().as_u16())
        };
        assert_eq!(failing(|| io::ErrorKind::InvalidData.into()), Err(400));
        assert_eq!(failing(|| io::ErrorKind::UnexpectedEof.into()), Err(400));
        assert_eq!(failing(|| io::ErrorKind::StorageFull.into()), Err(500));
        let too_large = || BodyError::new(StatusCode::PAYLOAD_TOO_LARGE, "too large").into();
        assert_eq!(failing(too_large), Err(413));
        assert_eq!(
            failing(|| io::ErrorKind::Interrupted.into()),
            Ok(Bytes::new())
        );
    }

    #[test]
    fn a_body_of_a_reader_has_exactly_its_length() {
        let read = |text: &'static str, length| {
            RequestBody::from_reader(text.as_bytes(), length).read_all()
        };
        assert_eq!(read("hello", None).unwrap(), "hello");
        assert_eq!(read("hello", Some(4)).unwrap(), "hell");
        assert_eq!(read("hello", Some(6)), Err(BodyError::GONE));
    }

    #[test]
    fn a_panic_of_the_reader_is_that_of_the_handler_and_leaves_the_body_usable() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("the reader panics")
            }
        }
        let mut request = Request::from_http(http::Request::new("hello"));
        request.map_body(|_| Panics);
        assert!(isolate(|| request.bytes()).is_err());
        assert!(isolate(|| request.bytes()).is_err());
        assert!(request.body_mut().trailers().is_none());
    }

    #[test]
    fn the_layer_decides_what_length_a_wrapped_body_states() {
        let mut request = Request::from_http(http::Request::new("hello"));
        assert_eq!(request.body_mut().length(), Some(5));
        request.map_body(|body| {
            assert_eq!(body.length(), Some(5));
            body
        });
        assert_eq!(request.body_mut().length(), None);
        request.body_mut().set_length(Some(5));
        assert_eq!(request.body_mut().length(), Some(5));
        assert_eq!(request.text().unwrap(), "hello");
    }
}
