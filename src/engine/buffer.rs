//! A worker's input buffer, which its connections use in turn.

use crate::net::stream::Received;
use crate::net::stream::Stream;

/// Bytes read and not yet used. It belongs to a worker; what a connection has
/// left over at the end of its turn it takes along, and an idle one has none.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// How many of the unused bytes are owed an answer, come what may.
    owed: usize,
    /// The last read has left nothing, at that moment.
    took_all: bool,
}

impl Buffer {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into(),
            start: 0,
            end: 0,
            owed: 0,
            took_all: false,
        }
    }

    /// Takes up what a connection had left over, of which so much is owed an
    /// answer.
    pub(crate) fn load(&mut self, leftover: &[u8], owed: usize) {
        self.owed = owed;
        self.start = 0;
        self.end = leftover.len();
        self.bytes[..self.end].copy_from_slice(leftover);
    }

    /// A connection's turn begins: what the last read found out counts no more.
    pub(crate) fn begin_turn(&mut self) {
        self.took_all = false;
    }

    /// What is there; empty costs no allocation.
    pub(crate) fn to_leftover(&self) -> Box<[u8]> {
        self.unused().into()
    }

    pub(crate) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn use_up(&mut self, count: usize) {
        debug_assert!(count <= self.unused().len());
        self.start += count;
        self.owed = self.owed.saturating_sub(count);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.owed = 0;
    }

    /// All that is here is owed an answer; what comes later is not.
    pub(crate) fn mark_owed(&mut self) {
        self.owed = self.unused().len();
    }

    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    /// Drops the empty lines that may stand before a request line
    /// (RFC 9112 section 2.2).
    pub(crate) fn skip_empty_lines(&mut self) {
        while self.unused().starts_with(b"\r\n") {
            self.use_up(2);
        }
    }

    /// Reads once. There is room for it as long as less than the capacity is
    /// unused, which the callers' limits see to.
    pub(crate) fn fill(&mut self, stream: &Stream) -> Received {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let received = stream.read(&mut self.bytes[self.end..]);
        self.took_all = stream.has_given_all(&received, self.bytes.len() - self.end);
        if let Received::Bytes(count) = received {
            self.end += count;
        }
        received
    }

    /// Whether the last read of this turn has left nothing, at that moment:
    /// another one would say so.
    pub(crate) fn took_all(&self) -> bool {
        self.took_all
    }

    pub(crate) fn has_room(&self) -> bool {
        self.unused().len() < self.bytes.len()
    }
}
