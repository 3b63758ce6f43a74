//! Bodies that a worker pulls from a reader, an iterator, a file or memory.

use std::fs::File;
use std::io;
use std::io::Read;

use bytes::Bytes;

use super::read_at::read_at;
use super::source::ChangedSource;
use super::source::Piece;
use super::source::PieceSource;
use super::source::Waker;

/// The most bytes that one read asks for.
const PIECE_BYTES: usize = 32 * 1024;

/// The bytes of a reader.
pub(crate) struct ReaderSource<R> {
    reader: R,
}

impl<R: Read + Send> ReaderSource<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader }
    }
}

impl<R: Read + Send> PieceSource for ReaderSource<R> {
    fn next(&mut self, _: &Waker) -> Piece {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match self.reader.read(&mut piece) {
                Ok(0) => return Piece::End,
                Ok(count) => {
                    piece.truncate(count);
                    return Piece::Data(piece.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Piece::Failed(error),
            }
        }
    }
}

/// The chunks of an iterator.
pub(crate) struct ChunkSource<I> {
    chunks: I,
    /// A second handle of the chunk that is being sent. The drop of the last handle
    /// may run code of the application. This handle outlives that of the connection,
    /// so the code runs here, where code of the application may run.
    last: Bytes,
}

impl<I: Iterator<Item = io::Result<Bytes>> + Send> ChunkSource<I> {
    pub(crate) fn new(chunks: I) -> Self {
        let last = Bytes::new();
        Self { chunks, last }
    }
}

impl<I: Iterator<Item = io::Result<Bytes>> + Send> PieceSource for ChunkSource<I> {
    fn next(&mut self, _: &Waker) -> Piece {
        let with_something =
            |chunk: &io::Result<Bytes>| !matches!(chunk, Ok(bytes) if bytes.is_empty());
        match self.chunks.find(with_something) {
            Some(Ok(chunk)) => {
                self.last = chunk.clone();
                Piece::Data(chunk)
            }
            Some(Err(error)) => Piece::Failed(error),
            None => Piece::End,
        }
    }
}

/// Bytes in memory, as one piece.
pub(super) struct BytesSource(pub(super) Bytes);

impl PieceSource for BytesSource {
    fn next(&mut self, _: &Waker) -> Piece {
        match std::mem::take(&mut self.0) {
            bytes if bytes.is_empty() => Piece::End,
            bytes => Piece::Data(bytes),
        }
    }
}

/// A part of a file. Other handles of the file may be in use at the same time: no read
/// depends on the file's position.
pub(crate) struct FileSource {
    pub(crate) file: File,
    /// Where the part begins that is still to be read.
    pub(crate) offset: u64,
    pub(crate) left: u64,
}

impl Read for FileSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let room = left.min(buffer.len());
        let count = read_at(&self.file, &mut buffer[..room], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// A source that fails if it does not give exactly `length` bytes.
pub(super) fn sized(source: Box<dyn PieceSource>, length: u64) -> impl PieceSource {
    let mut left = length;
    ChangedSource::new(source, move |source, waker| match source.next(waker) {
        Piece::Data(piece) => match left.checked_sub(piece.len() as u64) {
            Some(rest) => {
                left = rest;
                Piece::Data(piece)
            }
            None => Piece::Failed(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is longer than its length",
            )),
        },
        Piece::End if left > 0 => Piece::Failed(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it is shorter than its length",
        )),
        piece => piece,
    })
}
