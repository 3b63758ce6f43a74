//! The body of a response: bytes, a file, or a stream of pieces.
//!
//! ```text
//!  bytes ---> Full     written with the head
//!  file ----> File     sent by sendfile, where the system has it
//!  reader, iterator, writer, events ---> Stream: the connection asks for each piece
//!  upgrade ---> Upgrade: the connection is no longer HTTP
//! ```

mod map;
pub(crate) mod pull;
pub(crate) mod read;
pub(crate) mod read_at;
pub(crate) mod source;
pub(crate) mod upgrade;
pub(crate) mod writer;

use std::borrow::Cow;
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
use crate::lifecycle::phase::Lifecycle;

/// The body of a response.
///
/// | made by | length | sent |
/// |---|---|---|
/// | `From` strings and bytes | known | with the head |
/// | [`from_file`](Self::from_file) | known | by the kernel, from file to socket |
/// | [`from_reader_sized`](Self::from_reader_sized) | known | piece by piece |
/// | [`from_reader`](Self::from_reader), [`from_chunks`](Self::from_chunks) | unknown | piece by piece |
/// | [`writer`](Self::writer), [`from_writer`](Self::from_writer) | unknown | as it is written |
/// | [`Events`](crate::Events) | unknown | as the events are sent |
/// | [`ShutdownHandle::follow`](crate::ShutdownHandle::follow) | unknown | as the shutdown proceeds |
/// | [`upgrade`](Self::upgrade) | – | by your code |
///
/// A body of known length is sent with `Content-Length`, one of unknown length in
/// chunks. HTTP/1.0 has no chunks: there the end of the connection ends the body.
/// Responses to HEAD, and responses with status 204 or 304, are sent without a body.
///
/// No worker waits for a client that reads slowly. If a body fails, or is shorter
/// than its length, the server cuts the connection, so that the client can detect
/// the failure. The server logs it, and counts the request as
/// [`RequestOutcome::BodyFailed`](crate::RequestOutcome::BodyFailed).
///
/// A layer can change a body ([`map_chunks`](Self::map_chunks)) or replace it. The server
/// frames what is there at last: a `Content-Length` that a layer has left in the fields
/// is ignored, except in the response to a HEAD whose body is empty. A test reads a body
/// with [`into_bytes`](Self::into_bytes) or [`into_reader`](Self::into_reader).
#[derive(Default)]
pub struct Body {
    pub(crate) content: Content,
    pub(crate) after_delivery: Option<AfterDelivery>,
}

pub(crate) type AfterDelivery = Box<dyn FnOnce() + Send>;

pub(crate) enum Content {
    /// Bytes in memory of the library. No handle of [`Bytes`], because most are copied
    /// behind the head, and the handle of a `Vec` may cost an allocation.
    Full(Cow<'static, [u8]>),
    /// Bytes in memory that the application may own: the drop of the last handle can
    /// run code of the application ([`Bytes::from_owner`]).
    Shared(Bytes),
    /// `length` bytes of a file, from `offset` on.
    File {
        file: File,
        offset: u64,
        length: u64,
    },
    /// Pieces, and the length of the whole if it is known.
    Stream(Box<dyn PieceSource>, Option<u64>),
    Upgrade(UpgradeFn),
}

impl Default for Content {
    fn default() -> Self {
        Self::Full(Cow::Borrowed(&[]))
    }
}

impl Body {
    /// An empty body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The rest of an open file, from its position on. The length is fixed now: bytes
    /// that are appended later are not sent, and if the file becomes shorter, the
    /// response is cut.
    ///
    /// # Errors
    ///
    /// The file is not a regular file, or its length or position cannot be read.
    /// (A FIFO can block for ever when it is opened, before this call.)
    pub fn from_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file: use Body::from_reader",
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

    /// `length` bytes of a regular file, from `offset` on.
    #[cfg(feature = "files")]
    pub(crate) fn file_part(file: File, offset: u64, length: u64) -> Self {
        Self::of(Content::File {
            file,
            offset,
            length,
        })
    }

    /// The bytes of `reader`, to its end. A worker reads from it whenever the client
    /// has room. A reader that blocks holds that worker.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self::stream(pull::ReaderSource::new(reader))
    }

    /// Exactly `length` bytes of `reader`: further bytes are not read, and fewer are
    /// a failure. Otherwise like [`from_reader`](Self::from_reader).
    pub fn from_reader_sized(reader: impl Read + Send + 'static, length: u64) -> Self {
        let source = pull::ReaderSource::new(reader.take(length));
        Self::of(Content::Stream(Box::new(source), Some(length)))
    }

    /// The chunks of an iterator. A worker asks for the next chunk when the one before
    /// it is written. An iterator that blocks holds that worker. Empty chunks are
    /// skipped. Each chunk is sent by itself, so gather small ones, or use
    /// [`from_writer`](Self::from_writer), which does that.
    pub fn from_chunks<I>(chunks: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Bytes>,
        I::IntoIter: Send + 'static,
    {
        let chunks = chunks.into_iter().map(|chunk| Ok(chunk.into()));
        Self::stream(pull::ChunkSource::new(chunks))
    }

    /// Like [`from_chunks`](Self::from_chunks), with chunks that may fail. The first
    /// error ends the body as a failure.
    pub fn try_from_chunks<I, B>(chunks: I) -> Self
    where
        I: IntoIterator<Item = io::Result<B>>,
        B: Into<Bytes>,
        I::IntoIter: Send + 'static,
    {
        let chunks = chunks.into_iter().map(|chunk| chunk.map(Into::into));
        Self::stream(pull::ChunkSource::new(chunks))
    }

    /// Upgrades the connection once the head of the response is written: HTTP ends, and
    /// `f` gets the raw stream. `f` runs on a thread of its own, named
    /// `farewell-upgraded`, which the server owns and joins.
    ///
    /// - Status 101 (RFC 9110 section 15.2.2): the response needs an `Upgrade` field,
    ///   and the server adds `Connection: upgrade`. If the field is missing, or the
    ///   request asks for no upgrade, the client gets a 500 instead.
    /// - Status 2xx: the head says `Connection: close` and states no length. The bytes
    ///   that `f` writes are the body.
    /// - Any other status, and HEAD without a 101: there is no body, and `f` is
    ///   dropped.
    ///
    /// The handler must have read the request's body; otherwise the client gets a 500.
    ///
    /// A stop waits for `f` as for a handler. [`Upgraded`] says how `f` learns of the
    /// stop; [`RequestOutcome`](crate::RequestOutcome) and
    /// [`ConnectionOutcome::Upgraded`](crate::ConnectionOutcome::Upgraded) say how the
    /// server counts it.
    #[doc(alias = "hijack")]
    #[doc(alias = "take_over")]
    pub fn upgrade(f: impl FnOnce(Upgraded) + Send + 'static) -> Self {
        Self::of(Content::Upgrade(Box::new(f)))
    }

    /// Calls `f` when the connection has ended: after the client has closed its side,
    /// which proves that it has the response, or after the server has stopped waiting
    /// for that ([`Config::linger`](crate::Config::linger)).
    ///
    /// Therefore the response is the last of its connection. `f` runs on a thread of
    /// the server, and holds it like a handler; a stop waits for `f` until the
    /// deadline. If the response is never sent, `f` is dropped and not called.
    #[must_use]
    pub fn after_delivery(mut self, f: impl FnOnce() + Send + 'static) -> Self {
        self.after_delivery = Some(Box::new(f));
        self
    }

    /// The length in bytes, if it is known before the body is sent: see the table above.
    pub fn length(&self) -> Option<u64> {
        self.content.length()
    }

    /// The bytes of a body that is in memory, such as a string; `None` for every other
    /// kind.
    ///
    /// ```
    /// # use farewell::Body;
    /// assert_eq!(Body::from("hello").as_bytes(), Some(&b"hello"[..]));
    /// assert_eq!(Body::from_reader(&b"hello"[..]).as_bytes(), None);
    /// ```
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Full(bytes) => Some(bytes),
            Content::Shared(bytes) => Some(bytes),
            Content::File { .. } | Content::Stream(..) | Content::Upgrade(_) => None,
        }
    }

    /// Whether this is an [`upgrade`](Self::upgrade), and no body that a layer could
    /// read or change.
    pub fn is_upgrade(&self) -> bool {
        matches!(self.content, Content::Upgrade(_))
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
    /// The length, if it is known beforehand.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Shared(bytes) => Some(bytes.len() as u64),
            Self::File { length, .. } => Some(*length),
            Self::Stream(_, length) => *length,
            Self::Upgrade(_) => None,
        }
    }

    /// What the end of the content depends on, if this server sends it.
    pub(crate) fn kind_in(&mut self, server: &Lifecycle) -> BodyKind {
        match self {
            Self::Stream(source, _) => {
                source.set_server(server);
                source.kind()
            }
            Self::Full(_) | Self::Shared(_) | Self::File { .. } | Self::Upgrade(_) => {
                BodyKind::Finite
            }
        }
    }
}

impl Content {
    /// The pieces of the content. Gives an upgrade back, which has none.
    fn into_source(self) -> Result<Box<dyn PieceSource>, UpgradeFn> {
        let (source, length): (Box<dyn PieceSource>, _) = match self {
            Self::Full(bytes) => return Ok(Box::new(pull::BytesSource(to_bytes(bytes)))),
            Self::Shared(bytes) => return Ok(Box::new(pull::BytesSource(bytes))),
            Self::File {
                file,
                offset,
                length,
            } => {
                let left = length;
                let reader = pull::FileSource { file, offset, left };
                (Box::new(pull::ReaderSource::new(reader)), Some(length))
            }
            Self::Stream(source, length) => (source, length),
            Self::Upgrade(function) => return Err(function),
        };
        Ok(match length {
            Some(length) => Box::new(pull::sized(source, length)),
            None => source,
        })
    }
}

/// The same bytes as a handle that can be shared.
pub(crate) fn to_bytes(bytes: Cow<'static, [u8]>) -> Bytes {
    match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Full(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Content::Shared(bytes) => write!(f, "Body({} bytes)", bytes.len()),
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
        Self::of(Content::Full(Cow::Owned(bytes)))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::of(Content::Full(Cow::Borrowed(bytes)))
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
