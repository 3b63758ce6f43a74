//! A worker's input buffer, which its connections use in turn.

use crate::net::stream::Received;
use crate::net::stream::Stream;

/// Bytes that were read and are not used yet. At the end of a connection's turn, the
/// connection keeps a copy of the unused bytes; an idle connection holds no buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// How many of the unused bytes arrived before the end of the last call. After
    /// it, only requests in these bytes are answered.
    in_time_bytes: usize,
    /// The last read of this turn took all that the socket had at that moment.
    has_emptied_socket: bool,
}

impl Buffer {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into(),
            start: 0,
            end: 0,
            in_time_bytes: 0,
            has_emptied_socket: false,
        }
    }

    /// Loads the unused input of a connection. The first `in_time_bytes` of it arrived
    /// before the end of the last call.
    pub(crate) fn load(&mut self, unused_input: &[u8], in_time_bytes: usize) {
        self.in_time_bytes = in_time_bytes;
        self.start = 0;
        self.end = unused_input.len();
        if !unused_input.is_empty() {
            self.bytes[..self.end].copy_from_slice(unused_input);
        }
    }

    /// A connection's turn begins. The last read was on another socket, or long ago.
    pub(crate) fn begin_turn(&mut self) {
        self.has_emptied_socket = false;
    }

    /// A copy of the unused bytes. An empty one costs no allocation.
    pub(crate) fn to_unused(&self) -> Box<[u8]> {
        match self.is_empty() {
            true => Box::default(),
            false => self.unused().into(),
        }
    }

    pub(crate) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Marks the first `count` unused bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.unused().len());
        self.start += count;
        self.in_time_bytes = self.in_time_bytes.saturating_sub(count);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        self.in_time_bytes = 0;
    }

    /// The unused bytes arrived before the end of the last call; bytes that are read
    /// from now on did not.
    pub(crate) fn mark_in_time(&mut self) {
        self.in_time_bytes = self.unused().len();
    }

    pub(crate) fn in_time_bytes(&self) -> usize {
        self.in_time_bytes
    }

    /// Skips empty lines before a request line (RFC 9112 section 2.2).
    pub(crate) fn skip_empty_lines(&mut self) {
        while self.unused().starts_with(b"\r\n") {
            self.consume(2);
        }
    }

    /// Reads once. The callers' limits keep the unused bytes below the capacity, so
    /// there is room.
    pub(crate) fn fill(&mut self, stream: &Stream) -> Received {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let received = stream.read(&mut self.bytes[self.end..]);
        self.has_emptied_socket = stream.has_given_all(&received, self.bytes.len() - self.end);
        if let Received::Bytes(count) = received {
            self.end += count;
        }
        received
    }

    /// Whether the last read of this turn took all that the socket had at that
    /// moment, so that another read would find nothing.
    pub(crate) fn has_emptied_socket(&self) -> bool {
        self.has_emptied_socket
    }

    pub(crate) fn has_room(&self) -> bool {
        self.unused().len() < self.bytes.len()
    }
}
