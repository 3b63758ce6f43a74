//! The queue of lines that wait for the writer.

use std::fmt;
use std::io::Write;
use std::mem;
use std::time::Instant;

use super::writer::Written;

/// Most bytes in the queue. One line may exceed it. As many may be in the hands of the
/// writer.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// No thread writes to the file or waits while it holds the lock of the queue.
pub(super) struct Queue {
    /// Whole lines.
    lines: Vec<u8>,
    /// Lines that are neither written nor lost: those of the queue, and those of the writer.
    unwritten: u64,
    /// Lines that are lost, and that the log does not know about.
    lost: u64,
    /// Whether the writer is to open the path again.
    pub(super) reopen: bool,
    /// Whether the writer does something.
    pub(super) is_writing: bool,
    /// When the file last took bytes, or when a line was queued while there was nothing to
    /// write.
    pub(super) progress: Option<Instant>,
}

/// What the writer does next.
pub(super) struct Batch {
    /// Before the lines.
    pub(super) reopen: bool,
    pub(super) lines: Vec<u8>,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            lines: Vec::new(),
            unwritten: 0,
            lost: 0,
            reopen: false,
            is_writing: false,
            progress: None,
        }
    }

    /// Queues a line, or loses and counts it. Returns whether the writer must be woken.
    pub(super) fn push(&mut self, line: fmt::Arguments<'_>) -> bool {
        if self.lines.len() >= QUEUE_BYTES_MAX {
            self.lost += 1;
            return false;
        }
        let is_idle = !self.has_work() && !self.is_writing;
        if is_idle {
            self.note_progress();
        }
        // A `Vec` takes every byte.
        let _ = writeln!(self.lines, "{line}");
        self.unwritten += 1;
        is_idle
    }

    pub(super) fn has_work(&self) -> bool {
        self.reopen || !self.lines.is_empty()
    }

    /// Takes all that is to be done.
    pub(super) fn take(&mut self) -> Batch {
        Batch {
            reopen: mem::take(&mut self.reopen),
            lines: mem::take(&mut self.lines),
        }
    }

    pub(super) fn note_progress(&mut self) {
        self.progress = Some(Instant::now());
    }

    /// Notes what became of lines.
    pub(super) fn note_written(&mut self, written: &Written) {
        self.unwritten -= written.whole + written.lost;
        self.lost += written.lost;
    }

    /// How many lines were lost since this was last called.
    pub(super) fn take_lost(&mut self) -> u64 {
        mem::take(&mut self.lost)
    }

    /// Lines that are not in the file, and that the log does not know about.
    pub(super) fn missing(&self) -> u64 {
        self.unwritten + self.lost
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn lines_that_find_the_queue_full_are_counted_until_the_file_takes_lines() {
        let mut queue = Queue::new();
        let line = "x".repeat(1023);
        assert!(queue.push(format_args!("{line}")));
        for _ in 1..QUEUE_BYTES_MAX / 1024 {
            assert!(
                !queue.push(format_args!("{line}")),
                "the writer is woken once"
            );
        }
        assert_eq!(queue.missing(), 1024);
        queue.push(format_args!("lost"));
        queue.push(format_args!("lost"));
        assert_eq!(queue.missing(), 1026);
        assert_eq!(queue.take().lines.len(), QUEUE_BYTES_MAX);
        assert!(!queue.has_work());
        let failed = Written {
            whole: 1000,
            lost: 4,
            error: Some(io::Error::other("no")),
        };
        queue.note_written(&failed);
        let whole = Written {
            whole: 20,
            lost: 0,
            error: None,
        };
        queue.note_written(&whole);
        assert_eq!(queue.take_lost(), 6);
        assert_eq!(queue.missing(), 0);
    }

    #[test]
    fn the_writer_is_woken_for_a_line_after_it_has_done_everything() {
        let mut queue = Queue::new();
        assert!(queue.push(format_args!("a")));
        queue.is_writing = true;
        assert_eq!(queue.take().lines, b"a\n");
        // The writer looks again before it waits.
        assert!(!queue.push(format_args!("b")));
        assert_eq!(queue.take().lines, b"b\n");
        queue.is_writing = false;
        assert!(queue.push(format_args!("c")));
    }
}
