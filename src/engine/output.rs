//! Bytes on their way to a client.

use std::borrow::Cow;
use std::io::IoSlice;

use bytes::Bytes;

use crate::message::body::to_bytes;
use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// A smaller body is copied behind its head, because the copy costs less than a
/// vectored write.
pub(crate) const COPIED_BYTES_MAX: usize = 2048;

/// A head, a body and a tail, which are written together. Each may be empty.
#[derive(Debug, Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    body: Bytes,
    tail: &'static [u8],
    written_bytes: usize,
}

impl Output {
    pub(crate) fn new(mut head: Vec<u8>, mut body: Bytes, tail: &'static [u8]) -> Self {
        if body.len() < COPIED_BYTES_MAX {
            head.extend_from_slice(&body);
            body = Bytes::new();
        }
        Self {
            head,
            body,
            tail,
            written_bytes: 0,
        }
    }

    /// A head, and a body in memory of the library.
    pub(crate) fn with_body(mut head: Vec<u8>, body: Cow<'static, [u8]>) -> Self {
        if body.len() < COPIED_BYTES_MAX {
            head.extend_from_slice(&body);
            return Self::of_head(head);
        }
        Self::new(head, to_bytes(body), b"")
    }

    pub(crate) fn of_head(head: Vec<u8>) -> Self {
        Self {
            head,
            ..Self::default()
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.written_bytes == self.head.len() + self.body.len() + self.tail.len()
    }

    /// Writes a head once. The file that follows it comes at once, so the kernel may send
    /// both together.
    pub(crate) fn write_before_file(&mut self, stream: &Stream) -> Sent {
        debug_assert!(self.body.is_empty(), "the file is the body");
        let sent = stream.write_before_more(&self.head[self.written_bytes..]);
        self.count(sent)
    }

    /// Writes once, which may send a part of what is left.
    pub(crate) fn write(&mut self, stream: &Stream) -> Sent {
        let mut skip = self.written_bytes;
        if self.body.is_empty() && self.tail.is_empty() {
            let sent = stream.write(&self.head[skip..]);
            return self.count(sent);
        }
        let slices = [&self.head[..], &self.body[..], self.tail].map(|part| {
            let skipped = skip.min(part.len());
            skip -= skipped;
            IoSlice::new(&part[skipped..])
        });
        let sent = stream.write_vectored(&slices);
        self.count(sent)
    }

    fn count(&mut self, sent: Sent) -> Sent {
        if let Sent::Bytes(count) = sent {
            self.written_bytes += count;
        }
        sent
    }
}
