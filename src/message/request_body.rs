//! The body of a request, as its handler reads it.

use std::fmt;
use std::io;
use std::io::Read;

use bytes::Buf;
use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;

use super::response::IntoResponse;
use super::response::Response;
use crate::http1::Refusal;

/// The most that is set aside for a body because of what the client says of
/// its length.
const RESERVE_MAX: u64 = 1024 * 1024;

/// The body of a request.
///
/// Bodies of up to [`Config::body_buffer`](crate::Config::body_buffer) bytes
/// are here, whole, when the handler is called; of a larger one, the beginning
/// is. The rest is read from the connection as the handler reads, which waits
/// for the client then: half of the workers at most do so at a time, and
/// further handlers are called when there is a place. It has to come at the
/// rate that
/// [`Config::rate_min`](crate::Config::rate_min) and
/// [`Config::body_timeout`](crate::Config::body_timeout) set.
///
/// A client that said `Expect: 100-continue` is told to send its body with the
/// first read (RFC 9110 section 10.1.1), and not at all by a handler that
/// answers without one.
///
/// What the handler does not read is discarded if it is little
/// ([`Config::discard_bytes_max`](crate::Config::discard_bytes_max)) and here
/// already; otherwise the connection closes after the response.
pub struct RequestBody {
    here: Bytes,
    /// What is still to come.
    rest: Option<Box<dyn BodySource>>,
    length: Option<u64>,
    trailers: Option<Box<HeaderMap>>,
}

/// Where the rest of a body comes from.
pub(crate) trait BodySource: Send {
    /// Waits for some of it; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError>;
    /// The fields behind it, after its end.
    fn take_trailers(&mut self) -> Option<Box<HeaderMap>>;
}

impl RequestBody {
    /// What has come of a body. `length`: as stated, or as it is if it is whole.
    pub(crate) fn new(here: Bytes, length: Option<u64>, trailers: Option<Box<HeaderMap>>) -> Self {
        Self {
            here,
            rest: None,
            length,
            trailers,
        }
    }

    /// The rest comes from there.
    pub(crate) fn attach(&mut self, rest: Box<dyn BodySource>) {
        self.rest = Some(rest);
    }

    /// Its length in bytes, if the client has stated one or if it is here:
    /// what has been read of it is counted in.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Reads what is left of it.
    ///
    /// # Errors
    ///
    /// See [`BodyError`].
    pub fn read_all(&mut self) -> Result<Bytes, BodyError> {
        if self.rest.is_none() {
            return Ok(std::mem::take(&mut self.here));
        }
        let reserve = self.length.unwrap_or(0).min(RESERVE_MAX);
        let mut whole = Vec::with_capacity(usize::try_from(reserve).unwrap_or(0));
        self.read_to_end(&mut whole).map_err(BodyError::from_io)?;
        Ok(whole.into())
    }

    /// Reads what is left of it, as UTF-8.
    ///
    /// # Errors
    ///
    /// See [`BodyError`]; it is 400 if it is not UTF-8.
    pub fn read_text(&mut self) -> Result<String, BodyError> {
        let bytes = Vec::from(self.read_all()?);
        String::from_utf8(bytes).map_err(|_| BodyError::refused(NOT_UTF_8))
    }

    /// The trailer fields (RFC 9110 section 6.5), once it has been read to its
    /// end; `None` if there are none. Fields about the message itself are not
    /// among them: they are refused.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        if self.rest.is_some() {
            return None;
        }
        self.trailers.as_deref()
    }
}

const NOT_UTF_8: Refusal = Refusal::bad_request("the body is not UTF-8");

impl Read for RequestBody {
    /// Errors are [`BodyError`]s inside; [`BodyError::of`] finds them.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if !self.here.is_empty() {
            let count = self.here.len().min(buffer.len());
            self.here.copy_to_slice(&mut buffer[..count]);
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

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.rest.is_some() {
            ", more to come"
        } else {
            ""
        };
        write!(f, "RequestBody({} bytes here{more})", self.here.len())
    }
}

/// Why a body cannot be read to its end. The connection closes after the
/// response.
///
/// As a response it has the status that fits, so that a handler can return it.
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
    /// It is wrong, or too much.
    pub(crate) const fn refused(refusal: Refusal) -> Self {
        Self(Problem::Refused(refusal))
    }

    /// It came too slowly.
    pub(crate) const TOO_SLOW: Self = Self(Problem::TooSlow);
    /// The client went away in the middle.
    pub(crate) const GONE: Self = Self(Problem::Gone);
    /// It was read after its exchange had ended: the handler has returned, or
    /// the server has cut it.
    pub(crate) const OVER: Self = Self(Problem::Over);

    /// The status that says what is wrong: 408 if it came too slowly, 413 if
    /// it is larger than [`Config::body_bytes_max`](crate::Config::body_bytes_max), 431 if its trailers are too large, 503 if
    /// the server has cut it, and 400 otherwise.
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Problem::Refused(refusal) => refusal.status,
            Problem::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Problem::Gone => StatusCode::BAD_REQUEST,
            Problem::Over => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The error that a read of the body failed with, if it is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }

    fn from_io(error: io::Error) -> Self {
        Self::of(&error).unwrap_or(Self::GONE)
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Problem::Refused(refusal) => refusal.reason,
            Problem::TooSlow => "the body came too slowly",
            Problem::Gone => "the client went away in the middle of the body",
            Problem::Over => "the body was read after its request had ended",
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

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
