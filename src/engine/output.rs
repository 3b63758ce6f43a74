//! Bytes on their way to a client.

use std::io::IoSlice;

use bytes::Bytes;

use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// A body that is smaller is written as one with its head: to copy it costs
/// less than to have the kernel gather it. In bytes.
pub(crate) const COPIED_MAX: usize = 2048;

/// Up to three parts that are written as one: a head, a body, an end.
#[derive(Debug, Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    body: Bytes,
    tail: &'static [u8],
    written: usize,
}

impl Output {
    pub(crate) fn new(mut head: Vec<u8>, mut body: Bytes, tail: &'static [u8]) -> Self {
        if body.len() < COPIED_MAX {
            head.extend_from_slice(&body);
            body = Bytes::new();
        }
        Self {
            head,
            body,
            tail,
            written: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.written == self.head.len() + self.body.len() + self.tail.len()
    }

    /// Writes once.
    pub(crate) fn write(&mut self, stream: &Stream) -> Sent {
        let mut skip = self.written;
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
            self.written += count;
        }
        sent
    }
}
