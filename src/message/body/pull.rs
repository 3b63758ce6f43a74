//! Bodies that a worker pulls from a reader or an iterator.

use std::io;
use std::io::Read;

use bytes::Bytes;

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
