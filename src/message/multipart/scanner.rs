//! Finds the boundaries in a body, with a buffer of fixed size.
//!
//! ```text
//!  preamble CRLF--boundary CRLF head CRLF CRLF data CRLF--boundary CRLF ... CRLF--boundary-- epilogue
//!           ^ the delimiter                         ^ the delimiter         ^ the delimiter
//! ```
//!
//! The preamble is like the data of a part that has no head. The line before a body ends
//! with a CRLF, which makes the first boundary a delimiter too.

use std::io;
use std::io::Read;

use http::StatusCode;
use memchr::memmem;
use memchr::memmem::Finder;

use crate::message::rejection::Rejection;

/// The room for data in the buffer.
const BUFFER_BYTES: usize = 32 * 1024;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

pub(super) struct Scanner<R> {
    source: R,
    buffer: Box<[u8]>,
    /// The bytes `start..end` of the buffer are read, and not yet taken.
    start: usize,
    end: usize,
    /// So many bytes from `start` on are data.
    data: usize,
    /// Whether a delimiter follows the `data` bytes.
    at_delimiter: bool,
    /// The CRLF before a boundary, its hyphens and the boundary.
    delimiter: Finder<'static>,
    head_bytes_max: usize,
}

/// What follows a delimiter.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The head of a part.
    Head,
    /// Nothing but an epilogue, which is ignored.
    End,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(source: R, boundary: &str, head_bytes_max: usize) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        let room = BUFFER_BYTES.max(head_bytes_max.saturating_add(END_OF_HEAD.len()));
        let mut buffer = vec![0; room.saturating_add(delimiter.len())].into_boxed_slice();
        buffer[..2].copy_from_slice(b"\r\n");
        Self {
            source,
            buffer,
            start: 0,
            end: 2,
            data: 0,
            at_delimiter: false,
            delimiter: Finder::new(&delimiter).into_owned(),
            head_bytes_max,
        }
    }

    /// Some data before the next delimiter. Empty only at the delimiter.
    pub(super) fn data(&mut self) -> Result<&[u8], Rejection> {
        while self.data == 0 && !self.at_delimiter {
            let unread = &self.buffer[self.start..self.end];
            match self.delimiter.find(unread) {
                Some(at) => {
                    self.data = at;
                    self.at_delimiter = true;
                }
                None => {
                    // A delimiter may begin in the last bytes.
                    let end = self.delimiter.needle().len() - 1;
                    self.data = unread.len().saturating_sub(end);
                }
            }
            if self.data == 0 && !self.at_delimiter {
                self.fill()?;
            }
        }
        Ok(&self.buffer[self.start..self.start + self.data])
    }

    /// Takes the first `count` bytes of `data`.
    pub(super) fn take(&mut self, count: usize) {
        debug_assert!(count <= self.data, "only data is taken");
        self.start += count;
        self.data -= count;
    }

    /// Takes a delimiter that stands before any further data.
    pub(super) fn take_delimiter(&mut self) -> Result<After, Rejection> {
        debug_assert!(self.at_delimiter && self.data == 0, "data is taken before");
        let length = self.delimiter.needle().len();
        while self.end - self.start < length + 2 {
            self.fill()?;
        }
        self.start += length;
        self.at_delimiter = false;
        match &self.buffer[self.start..self.start + 2] {
            b"\r\n" => Ok(After::Head),
            b"--" => Ok(After::End),
            // RFC 2046 allows blanks here, which no client sends. Other bytes would make
            // it a boundary for some parsers, and data for others.
            _ => Err(malformed("a boundary is followed by other bytes")),
        }
    }

    /// Takes the head after a delimiter: the lines with their line ends, and the empty
    /// line.
    pub(super) fn take_head(&mut self) -> Result<Vec<u8>, Rejection> {
        let mut searched = 0;
        let length = loop {
            // The line end of the delimiter is in front. In an empty head it is followed by
            // that of the empty line.
            let unread = &self.buffer[self.start..self.end];
            if let Some(at) = memmem::find(&unread[searched..], END_OF_HEAD) {
                break searched + at;
            }
            if unread.len() >= self.head_bytes_max.saturating_add(END_OF_HEAD.len()) {
                return Err(self.head_too_large());
            }
            searched = unread.len().saturating_sub(END_OF_HEAD.len() - 1);
            self.fill()?;
        };
        if length > self.head_bytes_max {
            return Err(self.head_too_large());
        }
        let end = self.start + length + END_OF_HEAD.len();
        // To a parser that splits the body before it looks at the heads, this would be the
        // boundary of another part.
        if self.delimiter.find(&self.buffer[self.start..end]).is_some() {
            return Err(malformed("a boundary stands in the head of a part"));
        }
        let lines = self.buffer[self.start + 2..end].to_vec();
        // A part without data may have no empty line: the line end that would be its own
        // is that of the delimiter (RFC 2046 section 5.1.1).
        self.start = end - 2;
        let delimiter = self.delimiter.needle().len();
        while self.end - self.start < delimiter {
            self.fill()?;
        }
        self.at_delimiter = self.buffer[self.start..].starts_with(self.delimiter.needle());
        if !self.at_delimiter {
            self.start += 2;
        }
        Ok(lines)
    }

    /// Reads to the end of the body.
    pub(super) fn drain(&mut self) -> Result<(), Rejection> {
        self.start = 0;
        self.end = 0;
        loop {
            if self.read()? == 0 {
                return Ok(());
            }
            self.end = 0;
        }
    }

    fn head_too_large(&self) -> Rejection {
        let max = self.head_bytes_max;
        too_large(format!("the head of a part is larger than {max} bytes"))
    }

    /// Reads more. The callers have taken all but a few bytes, or read a head, for which
    /// there is room.
    fn fill(&mut self) -> Result<(), Rejection> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.read()? {
            0 => Err(Rejection::new(
                StatusCode::BAD_REQUEST,
                "multipart body ended before its closing boundary",
            )),
            _ => Ok(()),
        }
    }

    fn read(&mut self) -> Result<usize, Rejection> {
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(super) fn malformed(why: &str) -> Rejection {
    let message = format!("multipart body is malformed: {why}");
    Rejection::new(StatusCode::BAD_REQUEST, message)
}

pub(super) fn too_large(message: String) -> Rejection {
    Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}
