//! Bytes on their way to a client.

use std::io::IoSlice;

use bytes::Bytes;

use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// Up to three parts that are written as one: a head, a body, an end.
#[derive(Debug, Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    body: Bytes,
    tail: &'static [u8],
    written: usize,
}

impl Output {
    pub(crate) fn new(head: Vec<u8>, body: Bytes, tail: &'static [u8]) -> Self {
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
        let slices = [&self.head[..], &self.body[..], self.tail].map(|part| {
            let skipped = skip.min(part.len());
            skip -= skipped;
            IoSlice::new(&part[skipped..])
        });
        let sent = stream.write(&slices);
        if let Sent::Bytes(count) = sent {
            self.written += count;
        }
        sent
    }
}
