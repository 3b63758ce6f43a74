//! What waits to be written to a stream, and what of it is dropped.

use std::collections::VecDeque;
use std::time::Instant;

use super::super::counted;
use super::super::os::Stream;
use super::super::os::WRITE_MAX;

/// How much may wait to be written, in bytes. One message may exceed it: a
/// report is never refused for its length.
const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// What waits to be written. No thread that holds its lock writes, or waits for
/// anything.
pub(super) struct Queue {
    messages: VecDeque<Message>,
    /// The sum of the messages.
    bytes: usize,
    /// Lines dropped since the last message was queued.
    pub(super) dropped: u64,
    /// Whether lines are dropped. It goes on until half of the queue is free, or
    /// a slow stream would get one notice a line.
    drops: bool,
    /// The line that changes, and whether the writer is still to show it.
    pub(super) live: Option<LiveLine>,
    pub(super) live_changed: bool,
    pub(super) writer: Writer,
    /// When the stream last took bytes, or got something to take after a time
    /// without.
    pub(super) progress: Option<Instant>,
    /// Whether the last write failed.
    pub(super) fails: bool,
}

/// Where the thread is that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    NotStarted,
    /// It waits for something to write, and needs a wake-up.
    Waits,
    Writes,
}

/// Whole lines.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
    /// How many lines were dropped before it.
    dropped_before: u64,
}

/// The line at the bottom of a terminal, which changes.
pub(in super::super) struct LiveLine {
    pub(in super::super) text: String,
    /// What follows the text where there is room for all of it.
    pub(in super::super) hint: String,
}

impl LiveLine {
    /// As much as a line of the terminal holds, in ASCII.
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
            drops: false,
            live: None,
            live_changed: false,
            writer: Writer::NotStarted,
            progress: None,
            fails: false,
        }
    }

    /// Queues a message, or drops and counts it. Says whether it is queued.
    pub(super) fn push(&mut self, bytes: Vec<u8>) -> bool {
        let room = if self.drops {
            QUEUE_BYTES_MAX / 2
        } else {
            QUEUE_BYTES_MAX
        };
        self.drops = self.bytes >= room;
        if self.drops {
            self.dropped += lines(&bytes);
            return false;
        }
        if self.is_empty() && self.writer != Writer::Writes {
            self.progress = Some(Instant::now());
        }
        self.bytes += bytes.len();
        self.messages.push_back(Message {
            bytes,
            dropped_before: std::mem::take(&mut self.dropped),
        });
        true
    }

    /// The next few messages: one, and as many more as one write takes.
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
        if self.messages.is_empty() && self.dropped > 0 && !self.fails {
            batch.0.push(Message {
                bytes: Vec::new(),
                dropped_before: std::mem::take(&mut self.dropped),
            });
        }
        Some(batch)
    }

    /// Whether the writer has nothing to do. What was dropped is told to a
    /// stream that takes bytes, and to no other.
    pub(super) fn is_empty(&self) -> bool {
        let told = self.dropped == 0 || self.fails;
        self.messages.is_empty() && told && !self.live_changed
    }
}

/// What is written at once.
#[derive(Default)]
pub(super) struct Batch(Vec<Message>);

impl Batch {
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>, stream: Stream) {
        for message in &self.0 {
            if message.dropped_before > 0 {
                bytes.extend_from_slice(notice(message.dropped_before, stream).as_bytes());
            }
            bytes.extend_from_slice(&message.bytes);
        }
    }

    /// How many lines a reader misses if it is not written.
    pub(super) fn lines_and_dropped(&self) -> u64 {
        let missing = |message: &Message| lines(&message.bytes) + message.dropped_before;
        self.0.iter().map(missing).sum()
    }
}

/// What stands for lines that were dropped.
fn notice(dropped: u64, stream: Stream) -> String {
    let lines = counted(usize::try_from(dropped).unwrap_or(usize::MAX), "line");
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    format!("farewell: {lines} dropped here, while {stream} took nothing\n")
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
        batch.append_to(&mut bytes, Stream::Stderr);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
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
    fn dropped_lines_are_told_before_the_next_line() {
        let mut queue = queue();
        for _ in 0..QUEUE_BYTES_MAX / WRITE_MAX {
            assert!(queue.push(vec![b'x'; WRITE_MAX]));
        }
        assert!(!queue.push(b"dropped\n".to_vec()));
        // Until half of the queue is free, further lines are dropped.
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
        let notice = notice(dropped, Stream::Stderr);
        assert_eq!(last, format!("{notice}after\n"));
    }

    #[test]
    fn a_message_of_any_length_finds_room_in_an_empty_queue() {
        let mut queue = queue();
        assert!(queue.push(vec![b'x'; 3 * QUEUE_BYTES_MAX]));
        assert!(!queue.push(b"dropped\n".to_vec()));
    }

    #[test]
    fn a_stream_that_fails_is_not_told_what_it_missed() {
        let mut queue = queue();
        queue.dropped = 3;
        queue.fails = true;
        assert!(queue.is_empty() && queue.take().is_none());
        queue.fails = false;
        assert!(text(&queue.take().unwrap()).contains("3 lines dropped"));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_live_line_fits_its_terminal() {
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
