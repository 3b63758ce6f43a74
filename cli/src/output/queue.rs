//! The queue of a stream, and the count of lines that were dropped.

use std::collections::VecDeque;
use std::time::Instant;

use super::super::os::StandardStream;
use super::super::os::WRITE_MAX;
use super::counted;

/// Most bytes in the queue. One message may exceed it, so that a report always
/// fits into an empty queue.
const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// The queue of one stream. No thread writes or waits while it holds the lock.
pub(super) struct Queue {
    messages: VecDeque<Message>,
    /// Total length of the messages.
    bytes: usize,
    /// Lines dropped since the last message was queued.
    pub(super) dropped: u64,
    /// Whether messages are dropped until half of the queue is free. Without
    /// this, a slow stream would get a notice for almost every line.
    is_dropping: bool,
    /// The live line, and whether the thread must update it.
    pub(super) live: Option<LiveLine>,
    pub(super) live_changed: bool,
    pub(super) writer: WriterState,
    /// When the stream last accepted bytes, or when a message was queued while
    /// there was nothing to write.
    pub(super) progress: Option<Instant>,
    /// Whether the last write failed.
    pub(super) last_write_failed: bool,
}

/// What the writing thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriterState {
    NotStarted,
    /// It waits to be notified.
    Waiting,
    Writing,
}

/// One or more whole lines.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
    /// Lines that were dropped before this message.
    dropped_before: u64,
}

/// A line at the bottom of a terminal that is updated in place.
pub(in super::super) struct LiveLine {
    pub(in super::super) text: String,
    /// Appended if the terminal is wide enough for all of it.
    pub(in super::super) hint: String,
}

impl LiveLine {
    /// The part that fits into the width of the terminal. The text is ASCII.
    pub(super) fn fitted(&self, columns: Option<usize>) -> String {
        let whole = format!("{}{}", self.text, self.hint);
        match columns {
            Some(columns) if columns < whole.len() => self.text.chars().take(columns).collect(),
            _ => whole,
        }
    }
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            is_dropping: false,
            live: None,
            live_changed: false,
            writer: WriterState::NotStarted,
            progress: None,
            last_write_failed: false,
        }
    }

    /// Queues a message, or drops and counts it. Returns whether it was queued.
    pub(super) fn push(&mut self, bytes: Vec<u8>) -> bool {
        let room = if self.is_dropping {
            QUEUE_BYTES_MAX / 2
        } else {
            QUEUE_BYTES_MAX
        };
        self.is_dropping = self.bytes >= room;
        if self.is_dropping {
            self.dropped += lines(&bytes);
            return false;
        }
        if self.is_empty() && self.writer != WriterState::Writing {
            self.progress = Some(Instant::now());
        }
        self.bytes += bytes.len();
        self.messages.push_back(Message {
            bytes,
            dropped_before: std::mem::take(&mut self.dropped),
        });
        true
    }

    /// Removes the next messages: at least one, and as many as fit into one
    /// write.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        self.live_changed = false;
        let mut batch = Batch::default();
        let mut bytes = 0;
        while let Some(next) = self.messages.front() {
            bytes += next.bytes.len();
            if bytes > WRITE_MAX && !batch.0.is_empty() {
                break;
            }
            self.bytes -= next.bytes.len();
            batch.0.extend(self.messages.pop_front());
        }
        if self.messages.is_empty() && self.dropped > 0 && !self.last_write_failed {
            batch.0.push(Message {
                bytes: Vec::new(),
                dropped_before: std::mem::take(&mut self.dropped),
            });
        }
        Some(batch)
    }

    /// Whether there is nothing to write. The notice of dropped lines waits for
    /// a stream whose writes succeed.
    pub(super) fn is_empty(&self) -> bool {
        let is_reported = self.dropped == 0 || self.last_write_failed;
        self.messages.is_empty() && is_reported && !self.live_changed
    }
}

/// The messages of one write.
#[derive(Default)]
pub(super) struct Batch(Vec<Message>);

impl Batch {
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>, stream: StandardStream) {
        for message in &self.0 {
            if message.dropped_before > 0 {
                bytes.extend_from_slice(notice(message.dropped_before, stream).as_bytes());
            }
            bytes.extend_from_slice(&message.bytes);
        }
    }

    /// Lines that are lost if this is not written.
    pub(super) fn lines_and_dropped(&self) -> u64 {
        let missing = |message: &Message| lines(&message.bytes) + message.dropped_before;
        self.0.iter().map(missing).sum()
    }
}

/// The line that takes the place of dropped lines.
fn notice(dropped: u64, stream: StandardStream) -> String {
    let lines = counted(usize::try_from(dropped).unwrap_or(usize::MAX), "line");
    let stream = match stream {
        StandardStream::Stdout => "stdout",
        StandardStream::Stderr => "stderr",
    };
    format!("farewell: {lines} dropped here because {stream} was blocked\n")
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue {
        Queue::new()
    }

    fn text(batch: &Batch) -> String {
        let mut bytes = Vec::new();
        batch.append_to(&mut bytes, StandardStream::Stderr);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn dropped_lines_are_counted_before_the_next_message() {
        let mut queue = queue();
        let long = vec![b'x'; QUEUE_BYTES_MAX];
        assert!(queue.push(long));
        assert!(!queue.push(b"dropped\n".to_vec()));
        assert!(!queue.push(b"dropped\ntoo\n".to_vec()));
        assert_eq!(queue.take().unwrap().0.len(), 2);
        assert!(queue.push(b"after\n".to_vec()));
        assert_eq!(text(&queue.take().unwrap()), "after\n");
    }

    #[test]
    fn messages_are_dropped_until_half_of_the_queue_is_free() {
        let mut queue = queue();
        for _ in 0..QUEUE_BYTES_MAX / WRITE_MAX {
            assert!(queue.push(vec![b'x'; WRITE_MAX]));
        }
        assert!(!queue.push(b"dropped\n".to_vec()));
        // Lines are dropped until half of the queue is free.
        while queue.bytes >= QUEUE_BYTES_MAX / 2 {
            assert!(!queue.push(b"dropped\n".to_vec()));
            queue.take().unwrap();
        }
        let dropped = queue.dropped;
        assert!(dropped > 2);
        assert!(queue.push(b"after\n".to_vec()));
        let mut last = String::new();
        while let Some(batch) = queue.take() {
            last = text(&batch);
        }
        let notice = notice(dropped, StandardStream::Stderr);
        assert_eq!(last, format!("{notice}after\n"));
    }

    #[test]
    fn a_message_of_any_length_fits_into_an_empty_queue() {
        let mut queue = queue();
        assert!(queue.push(vec![b'x'; 3 * QUEUE_BYTES_MAX]));
        assert!(!queue.push(b"dropped\n".to_vec()));
    }

    #[test]
    fn a_stream_whose_writes_fail_gets_no_notice() {
        let mut queue = queue();
        queue.dropped = 3;
        queue.last_write_failed = true;
        assert!(queue.is_empty() && queue.take().is_none());
        queue.last_write_failed = false;
        assert!(text(&queue.take().unwrap()).contains("3 lines dropped"));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_live_line_fits_the_terminal() {
        let line = LiveLine {
            text: "draining: 1".to_owned(),
            hint: "; Ctrl+C".to_owned(),
        };
        assert_eq!(line.fitted(None), "draining: 1; Ctrl+C");
        assert_eq!(line.fitted(Some(19)), "draining: 1; Ctrl+C");
        assert_eq!(line.fitted(Some(18)), "draining: 1");
        assert_eq!(line.fitted(Some(8)), "draining");
    }
}
