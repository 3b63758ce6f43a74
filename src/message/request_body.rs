//! The body of a request, as the handler reads it.

use std::fmt;
use std::io;
use std::io::Read;

use bytes::Buf;
use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;

use super::rejection::Rejection;
use super::response::IntoResponse;
use super::response::Response;
use crate::http1::Refusal;

/// The most bytes allocated for a body because its client states a length.
const RESERVE_MAX: u64 = 1024 * 1024;

/// The body of a request.
///
/// The server buffers up to [`Config::body_buffer`](crate::Config::body_buffer)
/// bytes of a body before it calls the handler. The rest of a larger body is read
/// from the connection as the handler reads, and the handler waits for the client.
/// At most half of the workers wait like that at a time; further handlers are called
/// later. The body must arrive at the rate that
/// [`Config::rate_min`](crate::Config::rate_min) and
/// [`Config::body_timeout`](crate::Config::body_timeout) set. Routes may have
/// [limits of their own](crate::Router::body_limits).
///
/// If the client sent `Expect: 100-continue`, the first read sends the
/// `100 Continue` (RFC 9110 section 10.1.1). A handler that does not read sends
/// none.
///
/// The server discards what the handler does not read, if it has arrived and is at
/// most [`Config::discard_bytes_max`](crate::Config::discard_bytes_max) bytes.
/// Otherwise the connection closes after the response.
///
/// A layer can wrap a body ([`Request::map_body`](crate::Request::map_body)), or replace
/// it: `*request.body_mut() = "other".into()`. Strings and bytes convert into a body,
/// and [`from_reader`](Self::from_reader) makes one of a reader.
pub struct RequestBody {
    buffered: Bytes,
    /// The source of the bytes behind `buffered`; `None` at the end of the body.
    rest: Option<Box<dyn BodySource>>,
    length: Option<u64>,
    trailers: Option<Box<HeaderMap>>,
}

/// The source of the part of a body that was not buffered.
pub(crate) trait BodySource: Send {
    /// Waits for some bytes. Returns how many; 0 at the end of the body.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError>;
    /// The trailers, after the end of the body.
    fn take_trailers(&mut self) -> Option<Box<HeaderMap>>;
}

impl RequestBody {
    /// A body that is complete, or its beginning. `length` is that of the whole body.
    pub(crate) fn new(
        buffered: Bytes,
        length: Option<u64>,
        trailers: Option<Box<HeaderMap>>,
    ) -> Self {
        Self {
            buffered,
            rest: None,
            length,
            trailers,
        }
    }

    /// Sets the source of the part that is not buffered.
    pub(crate) fn attach(&mut self, rest: Box<dyn BodySource>) {
        self.rest = Some(rest);
    }

    /// The length of the whole body in bytes, including what has been read; `None`
    /// if the client states none and the body is not buffered whole.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// States the length that [`length`](Self::length) returns, for a body that a layer
    /// has wrapped. Nothing checks it, and no field of the head changes.
    pub fn set_length(&mut self, length: Option<u64>) {
        self.length = length;
    }

    /// Reads the rest of the body.
    ///
    /// # Errors
    ///
    /// See [`BodyError`].
    pub fn read_all(&mut self) -> Result<Bytes, BodyError> {
        if self.rest.is_none() {
            return Ok(std::mem::take(&mut self.buffered));
        }
        let reserve = self.length.unwrap_or(0).min(RESERVE_MAX);
        let mut whole = Vec::with_capacity(usize::try_from(reserve).unwrap_or(0));
        self.read_to_end(&mut whole).map_err(BodyError::from_io)?;
        Ok(whole.into())
    }

    /// Reads the rest of the body, as UTF-8.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]; its status is 400 if the body is not UTF-8.
    pub fn read_text(&mut self) -> Result<String, BodyError> {
        let bytes = Vec::from(self.read_all()?);
        String::from_utf8(bytes).map_err(|_| BodyError::refused(NOT_UTF_8))
    }

    /// The trailer fields (RFC 9110 section 6.5), once the body has been read to its
    /// end; `None` if there are none. A body is refused if its trailers contain a
    /// field that frames or routes the message.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        if self.rest.is_some() {
            return None;
        }
        self.trailers.as_deref()
    }
}

const NOT_UTF_8: Refusal = Refusal::bad_request("request body is not valid UTF-8");

impl Read for RequestBody {
    /// Errors contain a [`BodyError`], which [`BodyError::of`] returns.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if !self.buffered.is_empty() {
            let count = self.buffered.len().min(buffer.len());
            self.buffered.copy_to_slice(&mut buffer[..count]);
            return Ok(count);
        }
        let Some(rest) = &mut self.rest else {
            return Ok(0);
        };
        let count = rest.read(buffer)?;
        if count == 0 {
            self.trailers = rest.take_trailers();
            self.rest = None;
        }
        Ok(count)
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::new(bytes, Some(length), None)
    }
}

impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Bytes::new().into()
    }
}

macro_rules! from_bytes {
    ($($type:ty),+) => {$(
        impl From<$type> for RequestBody {
            fn from(bytes: $type) -> Self {
                Bytes::from(bytes).into()
            }
        }
    )+};
}

from_bytes!(&'static str, String, &'static [u8], Vec<u8>);

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.rest.is_some() {
            ", not complete"
        } else {
            ""
        };
        let count = self.buffered.len();
        write!(f, "RequestBody({count} bytes buffered{more})")
    }
}

/// Why a body cannot be read to its end. The connection closes after the response.
///
/// A handler can return it as its response, which has the status that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError(Problem);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Refused(Refusal),
    TooSlow,
    Gone,
    Over,
}

impl BodyError {
    /// An error of a reader that a layer has put around the body
    /// ([`Request::map_body`](crate::Request::map_body)), with the status of the response,
    /// and what is wrong: lower case, no full stop, no line end.
    ///
    /// ```
    /// use farewell::{BodyError, StatusCode};
    /// use std::io;
    ///
    /// fn too_large() -> io::Error {
    ///     BodyError::new(StatusCode::PAYLOAD_TOO_LARGE, "decoded body is too large").into()
    /// }
    /// # assert_eq!(BodyError::of(&too_large()).unwrap().status(), 413);
    /// ```
    pub const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self::refused(Refusal::new(status, reason))
    }

    /// The body is malformed or too large.
    pub(crate) const fn refused(refusal: Refusal) -> Self {
        Self(Problem::Refused(refusal))
    }

    /// The body arrived too slowly.
    pub(crate) const TOO_SLOW: Self = Self(Problem::TooSlow);
    /// The client closed the connection before the end of the body.
    pub(crate) const GONE: Self = Self(Problem::Gone);
    /// The body was read after its exchange had ended: the handler has returned, or
    /// the server has cut the request.
    pub(crate) const OVER: Self = Self(Problem::Over);

    /// The status of the response: 408 if the body arrived too slowly, 413 if it is
    /// larger than [`Config::body_bytes_max`](crate::Config::body_bytes_max) or the limit
    /// of its [route](crate::Router::body_limits), 431 if its trailers are too large, 503
    /// if the server has cut the request, that of [`new`](Self::new) or a 500 if the reader
    /// of a layer has failed, and 400
    /// otherwise.
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Problem::Refused(refusal) => refusal.status,
            Problem::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Problem::Gone => StatusCode::BAD_REQUEST,
            Problem::Over => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `BodyError` in `error`, if `error` is that of a read of a body.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }

    /// The error of a read of a body, as it was before it became an [`io::Error`].
    fn from_io(error: io::Error) -> Self {
        Self::of(&error).unwrap_or(Self::GONE)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Problem::Refused(refusal) => refusal.reason,
            Problem::TooSlow => "request body arrived too slowly",
            Problem::Gone => "client closed the connection before the end of the request body",
            Problem::Over => "request body was read after the end of the request",
        })
    }
}

impl std::error::Error for BodyError {}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        let kind = match error.0 {
            Problem::Refused(_) => io::ErrorKind::InvalidData,
            Problem::TooSlow => io::ErrorKind::TimedOut,
            Problem::Gone => io::ErrorKind::UnexpectedEof,
            Problem::Over => io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        Rejection::from(self).into_response()
    }
}
