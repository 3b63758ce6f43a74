//! What follows the output of an answer: the rest of its body, or another protocol.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

use bytes::Bytes;

use crate::message::body::pull::ReaderSource;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::source::PieceSource;
use crate::message::body::source::Waker;
use crate::message::body::upgrade::UpgradeFn;
use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// How much of a file is sent at a time, in bytes, so that the other connections
/// have their turn.
const FILE_BYTES_AT_A_TIME: u64 = 256 * 1024;

/// See the module.
pub(super) enum Rest {
    /// Nothing more to send. This is a second handle of the output's memory, which may
    /// be the application's: so the output does not drop the last one.
    Shared(Bytes),
    File(FileBody),
    Stream(StreamBody),
    /// The worker has the file or the stream, and gives it back with the outcome.
    Lent,
    /// The function of the application that gets the connection.
    Upgrade(UpgradeFn),
}

/// A file that is a body.
pub(crate) struct FileBody {
    file: File,
    /// Where the part begins that is still to be sent.
    offset: u64,
    left: u64,
}

/// A part of a file that is to be sent. This may have to wait for a disk; the
/// connection may end meanwhile.
pub(crate) struct FilePart {
    pub(super) stream: Stream,
    pub(super) file: FileBody,
}

/// A body that comes piece by piece.
pub(crate) struct StreamBody {
    source: Box<dyn PieceSource>,
    /// Called when there may be a piece after there was none.
    waker: Waker,
    /// How many bytes are still to come, if the length was stated.
    left: Option<u64>,
}

impl Rest {
    /// Nothing more of it is sent. Says whether the application made it: then its drop
    /// may run code of the application, and has to be deferred.
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
}

impl FileBody {
    pub(super) fn new(file: File, offset: u64, length: u64) -> Self {
        Self {
            file,
            offset,
            left: length,
        }
    }

    pub(super) fn is_sent(&self) -> bool {
        self.left == 0
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.left -= bytes as u64;
    }

    /// What is left of it, read piece by piece.
    pub(super) fn into_stream(mut self, waker: Waker) -> io::Result<StreamBody> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let source = Box::new(ReaderSource::new(self.file.take(self.left)));
        Ok(StreamBody::new(source, waker, Some(self.left)))
    }
}

impl FilePart {
    /// Sends it. Gives the file back, with what became of the part.
    pub(crate) fn send(self) -> (FileBody, io::Result<Sent>) {
        let FileBody {
            ref file,
            offset,
            left,
        } = self.file;
        let bytes = left.min(FILE_BYTES_AT_A_TIME);
        let sent = self.stream.send_file(file, offset, bytes);
        (self.file, sent)
    }

    /// Gives the file back: this is no time to send it.
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

    /// Asks for the next piece, which may run code of the application.
    pub(crate) fn next(&mut self) -> Piece {
        self.source.next(&self.waker)
    }

    /// What its end depends on.
    pub(crate) fn kind(&self) -> BodyKind {
        self.source.kind()
    }

    pub(super) fn count(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes as u64);
        }
    }

    /// Whether its stated length is not reached yet.
    pub(super) fn is_short(&self) -> bool {
        self.left.is_some_and(|left| left > 0)
    }

    /// The server drains.
    pub(super) fn drain(&mut self) {
        self.source.drain();
    }

    /// The last call is over: what is there is the rest.
    pub(super) fn close(&mut self) {
        self.source.close();
    }
}
