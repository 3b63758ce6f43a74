//! The part of an answer that follows its first output: the rest of its body, or the
//! upgrade to another protocol.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::message::body::pull::ReaderSource;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::source::PieceSource;
use crate::message::body::source::Waker;
use crate::message::body::upgrade::UpgradeFn;
use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// How much of a file is sent at a time, in bytes. The limit lets the other connections
/// have their turn.
const FILE_BYTES_AT_A_TIME: u64 = 1024 * 1024;

/// A file of which so many bytes are left is sent in large pieces to a client that reads
/// fast. With the usual limit of unsent bytes, such a file costs twice the CPU time.
const LARGE_FILE_BYTES: u64 = 1024 * 1024;

/// If the kernel has room again within this time, the client reads fast. A slow client
/// gets no more room: the bytes of all connections together have a limit in the kernel,
/// which a thousand slow clients would reach.
const SHORT_WAIT: Duration = Duration::from_millis(100);

/// See the module.
pub(super) enum Rest {
    /// Nothing more is sent. This is a second handle of the output's memory, which may
    /// belong to the application. While it exists, the output's drop is not the drop of
    /// the last handle, which may run code of the application.
    Shared(Bytes),
    File(FileBody),
    Stream(StreamBody),
    /// The worker has the file or the stream, and returns it with the result.
    Lent,
    /// The function of the application that gets the connection.
    Upgrade(UpgradeFn),
}

/// A file that is a body.
pub(crate) struct FileBody {
    file: File,
    /// The offset of the first byte that has not been sent.
    offset: u64,
    left: u64,
    /// When the kernel's room was used up, if it was since the last part.
    waits_since: Option<Instant>,
    pieces: Pieces,
}

/// How much of a file the kernel takes at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// As of every answer.
    Usual,
    /// Large ones from the next part on: the client reads fast.
    LargeNext,
    /// Large ones, until the end of the file.
    Large,
}

/// A part of a file that is sent next. The send may have to wait for a disk, and the
/// connection may end meanwhile.
pub(crate) struct FilePart {
    pub(super) stream: Stream,
    pub(super) file: FileBody,
}

/// A body that is sent piece by piece.
pub(crate) struct StreamBody {
    source: Box<dyn PieceSource>,
    /// The source calls it when there may be a piece after there was none.
    waker: Waker,
    /// How many bytes are left, if the length was stated.
    left: Option<u64>,
}

impl Rest {
    /// Ends the rest: nothing more of it is sent. True if the application made it. Then
    /// its drop may run code of the application, and has to be deferred.
    pub(super) fn end(&mut self) -> bool {
        match self {
            Self::Stream(stream) => {
                stream.source.end();
                true
            }
            Self::Shared(_) | Self::Upgrade(_) => true,
            Self::File(_) | Self::Lent => false,
        }
    }

    /// Whether a call that may block is needed to send more of it.
    pub(super) fn needs_call(&self) -> bool {
        match self {
            Self::Stream(_) => true,
            Self::File(file) => !file.is_sent(),
            Self::Shared(_) | Self::Lent | Self::Upgrade(_) => false,
        }
    }
}

impl FileBody {
    pub(super) fn new(file: File, offset: u64, length: u64) -> Self {
        Self {
            file,
            offset,
            left: length,
            waits_since: None,
            pieces: Pieces::Usual,
        }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.left == 0
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.left -= bytes as u64;
    }

    /// The kernel has no room.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waits_since.get_or_insert(now);
    }

    /// The next part is sent.
    pub(super) fn resume(&mut self, now: Instant) {
        let Some(since) = self.waits_since.take() else {
            return;
        };
        let is_short = now.saturating_duration_since(since) < SHORT_WAIT;
        if is_short && self.left >= LARGE_FILE_BYTES && self.pieces == Pieces::Usual {
            self.pieces = Pieces::LargeNext;
        }
    }

    /// Returns the unsent part of the file as a stream.
    ///
    /// # Errors
    ///
    /// The file cannot seek, as a pipe cannot.
    pub(super) fn into_stream(mut self, waker: Waker) -> io::Result<StreamBody> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let source = Box::new(ReaderSource::new(self.file.take(self.left)));
        Ok(StreamBody::new(source, waker, Some(self.left)))
    }
}

impl FilePart {
    /// Sends the part. Returns the file, and the result.
    pub(crate) fn send(self) -> (FileBody, io::Result<Sent>) {
        let Self { stream, mut file } = self;
        if file.pieces == Pieces::LargeNext {
            stream.take_large_pieces(true);
            file.pieces = Pieces::Large;
        }
        let bytes = file.left.min(FILE_BYTES_AT_A_TIME);
        let sent = stream.send_file(&file.file, file.offset, bytes);
        if file.pieces == Pieces::Large
            && matches!(sent, Ok(Sent::Bytes(count)) if count as u64 == file.left)
        {
            stream.take_large_pieces(false);
        }
        (file, sent)
    }

    /// Sends nothing, as if the socket had no room. Returns the file, and that result.
    pub(crate) fn keep(self) -> (FileBody, io::Result<Sent>) {
        (self.file, Ok(Sent::Wait))
    }
}

impl StreamBody {
    pub(super) fn new(source: Box<dyn PieceSource>, waker: Waker, left: Option<u64>) -> Self {
        Self {
            source,
            waker,
            left,
        }
    }

    /// Returns the next piece. This may run code of the application.
    pub(crate) fn next(&mut self) -> Piece {
        self.source.next(&self.waker)
    }

    /// Returns what the end of the body depends on.
    pub(crate) fn kind(&self) -> BodyKind {
        self.source.kind()
    }

    pub(super) fn count(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes as u64);
        }
    }

    /// Whether the length was stated, and is not reached yet.
    pub(super) fn is_short(&self) -> bool {
        self.left.is_some_and(|left| left > 0)
    }

    /// Tells the source that the server drains.
    pub(super) fn drain(&mut self) {
        self.source.drain();
    }

    /// Tells the source that the last call is over: the body ends after the pieces that
    /// exist.
    pub(super) fn close(&mut self) {
        self.source.close();
    }
}
