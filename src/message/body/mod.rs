//! The body of a response: bytes, a file, or a stream of pieces.
//!
//! ```text
//!  bytes ---> Full     written with the head
//!  file ----> File     by sendfile, where there is one
//!  reader, iterator, writer, events ---> Stream: pieces, asked for one by one
//!  upgrade ---> Upgrade: the connection leaves HTTP
//! ```

pub(crate) mod pull;
pub(crate) mod source;
pub(crate) mod upgrade;
pub(crate) mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;

use bytes::Bytes;

use self::source::BodyKind;
use self::source::PieceSource;
use self::upgrade::UpgradeFn;
use self::upgrade::Upgraded;

/// The body of a response.
///
/// | made by | length | sent |
/// |---|---|---|
/// | `From` strings and bytes | known | with the head |
/// | [`from_file`](Self::from_file) | known | by the kernel, file to socket |
/// | [`from_reader_sized`](Self::from_reader_sized) | known | piece by piece |
/// | [`from_reader`](Self::from_reader), [`from_chunks`](Self::from_chunks) | unknown | piece by piece |
/// | [`writer`](Self::writer), [`from_writer`](Self::from_writer) | unknown | as it is written |
/// | [`Events`](crate::Events) | none | as they come |
/// | [`ShutdownHandle::follow`](crate::ShutdownHandle::follow) | unknown | as the shutdown goes on |
/// | [`upgrade`](Self::upgrade) | – | by you |
///
/// A known length becomes `Content-Length`, an unknown one chunks; HTTP/1.0
/// knows no chunks, so there the end of the connection is the end of the body.
/// Responses to HEAD, and 204 and 304, have no body whatever it is.
///
/// However slow the client reads, no worker waits for it. A body that fails,
/// or is shorter than its length, cuts the connection, so that the client can
/// tell; it is logged, and counted as
/// [`RequestOutcome::BodyFailed`](crate::RequestOutcome::BodyFailed).
#[derive(Default)]
pub struct Body {
    pub(crate) content: Content,
    pub(crate) after_delivery: Option<AfterDelivery>,
}

pub(crate) type AfterDelivery = Box<dyn FnOnce() + Send>;

pub(crate) enum Content {
    /// Bytes in memory that is the library's.
    Full(Bytes),
    /// Bytes in memory that may be the application's: the drop of the last
    /// handle can run its code ([`Bytes::from_owner`]).
    Shared(Bytes),
    /// So many bytes of a file, from an offset on.
    File {
        file: File,
        offset: u64,
        length: u64,
    },
    /// Of this length, if it is known.
    Stream(Box<dyn PieceSource>, Option<u64>),
    Upgrade(UpgradeFn),
}

impl Default for Content {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The rest of an open file, from its position on. Its length is what it
    /// is at this moment: what is appended later is not sent, and if it becomes
    /// shorter, the answer is cut.
    ///
    /// # Errors
    ///
    /// It is no regular file, or its length or position cannot be read. (To
    /// open what may be a FIFO can wait for ever; that is before this.)
    pub fn from_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "only a regular file has a length: use a reader",
            ));
        }
        let offset = file.stream_position()?;
        let length = metadata.len().saturating_sub(offset);
        Ok(Self::of(Content::File {
            file,
            offset,
            length,
        }))
    }

    /// Whatever `reader` gives, to its end. It is read by a worker, whenever
    /// the client has room: a reader that waits holds that worker.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self::stream(pull::ReaderSource::new(reader))
    }

    /// Exactly `length` bytes of `reader`: more is not read, less is a failure.
    /// Otherwise as [`from_reader`](Self::from_reader).
    pub fn from_reader_sized(reader: impl Read + Send + 'static, length: u64) -> Self {
        let source = pull::ReaderSource::new(reader.take(length));
        Self::of(Content::Stream(Box::new(source), Some(length)))
    }

    /// The chunks of an iterator, each of which is asked for when the one
    /// before it is written. It runs on a worker: one that waits holds that
    /// worker. Empty chunks are skipped. Each is sent by itself: gather small
    /// ones, or let [`from_writer`](Self::from_writer) do that.
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Bytes>,
        I::IntoIter: Send + 'static,
    {
        let chunks = chunks.into_iter().map(|chunk| Ok(chunk.into()));
        Self::stream(pull::ChunkSource::new(chunks))
    }

    /// As [`from_chunks`](Self::from_chunks), with chunks that may fail.
    pub fn try_from_chunks<I, B>(chunks: I) -> Self
    where
        I: IntoIterator<Item = io::Result<B>>,
        B: Into<Bytes>,
        I::IntoIter: Send + 'static,
    {
        let chunks = chunks.into_iter().map(|chunk| chunk.map(Into::into));
        Self::stream(pull::ChunkSource::new(chunks))
    }

    /// Upgrades the connection once the head of the response is written: HTTP ends,
    /// and `f` gets the raw stream, on a thread of its own, named
    /// `farewell-upgraded`, which the server owns and joins.
    ///
    /// With status 101 (RFC 9110 section 15.2.2) the response needs an
    /// `Upgrade` field, and the server adds `Connection: upgrade`; without one,
    /// or if the request asked for no upgrade, the client gets a 500 instead.
    /// With a successful status (2xx) the head says `Connection: close`, gives
    /// no length, and whatever `f` writes is the body. With any other status,
    /// and for HEAD if the status is not 101, there is no body, and `f` is
    /// dropped. The request's body has to have been read; else it is a 500.
    ///
    /// A stop waits for `f` as for a handler: see [`Upgraded`] for how it is
    /// told, and [`RequestOutcome`](crate::RequestOutcome) and
    /// [`ConnectionOutcome::Upgraded`](crate::ConnectionOutcome::Upgraded)
    /// for how it is counted.
    #[doc(alias = "hijack")]
    #[doc(alias = "take_over")]
    pub fn upgrade(f: impl FnOnce(Upgraded) + Send + 'static) -> Self {
        Self::of(Content::Upgrade(Box::new(f)))
    }

    /// Calls `f` when the connection that carries this body has ended: once
    /// the client has closed its side, which proves that it has the response,
    /// or once waiting for that is given up
    /// ([`Config::linger`](crate::Config::linger)).
    ///
    /// So a response with such a body is its connection's last. `f` runs on a
    /// thread of the server, which it holds as a handler does; a stop waits for
    /// it until the deadline. If the response is never sent, `f` is dropped
    /// without a call.
    #[must_use]
    pub fn after_delivery(mut self, f: impl FnOnce() + Send + 'static) -> Self {
        self.after_delivery = Some(Box::new(f));
        self
    }

    pub(crate) fn stream(source: impl PieceSource + 'static) -> Self {
        Self::of(Content::Stream(Box::new(source), None))
    }

    pub(crate) fn of(content: Content) -> Self {
        Self {
            content,
            after_delivery: None,
        }
    }
}

impl Content {
    /// The length, where it is known beforehand.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Full(bytes) | Self::Shared(bytes) => Some(bytes.len() as u64),
            Self::File { length, .. } => Some(*length),
            Self::Stream(_, length) => *length,
            Self::Upgrade(_) => None,
        }
    }

    pub(crate) fn kind(&self) -> BodyKind {
        match self {
            Self::Stream(source, _) => source.kind(),
            Self::Full(_) | Self::Shared(_) | Self::File { .. } | Self::Upgrade(_) => {
                BodyKind::Finite
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Full(bytes) | Content::Shared(bytes) => {
                write!(f, "Body({} bytes)", bytes.len())
            }
            Content::File { length, .. } => write!(f, "Body(file, {length} bytes)"),
            Content::Stream(_, Some(length)) => write!(f, "Body(stream, {length} bytes)"),
            Content::Stream(_, None) => f.write_str("Body(stream)"),
            Content::Upgrade(_) => f.write_str("Body(upgrade)"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::of(Content::Shared(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::of(Content::Full(bytes.into()))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::of(Content::Full(Bytes::from_static(bytes)))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}
