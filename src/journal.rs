//! What the library has to say, on its way to the application's logger.
//!
//! A logger is code of the application: it may block (a terminal that is
//! stopped, a pipe that is full), take its time, or panic. So no thread that
//! accepts, serves or stops calls it. They hand their lines to a thread of its
//! own, over a bounded channel; a line that finds the channel full is dropped,
//! and the number of these is logged as soon as the logger takes lines again.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use log::Level;

use crate::isolate::isolate;

/// How many lines may wait for the logger.
const LINES_MAX: usize = 1024;

/// Writes a line to a [`Journal`], with the target of the module that does:
/// `note!(journal, Warn, "{count} connections")`.
macro_rules! note {
    ($journal:expr, $level:ident, $($text:tt)+) => {
        // Before the text is put together: most lines are wanted by no logger.
        if $crate::journal::is_wanted(log::Level::$level) {
            $journal.write(log::Level::$level, module_path!(), format_args!($($text)+));
        }
    };
}
pub(crate) use note;

/// Whether the application's logger wants lines of this level at all. What it
/// wants of each target is for its own thread to ask.
#[inline]
pub(crate) fn is_wanted(level: Level) -> bool {
    level <= log::STATIC_MAX_LEVEL && level <= log::max_level()
}

/// Where the threads of a server write what is to be logged.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Dropped to end the thread that writes the lines out.
    sender: Mutex<Option<Sender<Line>>>,
    dropped: AtomicU64,
}

/// What the threads of a server have written.
pub(crate) type Lines = Receiver<Line>;

/// One line for the log.
#[derive(Debug)]
pub(crate) struct Line {
    level: Level,
    target: &'static str,
    text: String,
}

impl Journal {
    /// An empty journal, and its lines for the thread that
    /// [writes them out](Self::write_out).
    pub(crate) fn new() -> (Arc<Self>, Lines) {
        let (sender, lines) = crossbeam_channel::bounded(LINES_MAX);
        let journal = Self {
            sender: Mutex::new(Some(sender)),
            dropped: AtomicU64::new(0),
        };
        (Arc::new(journal), lines)
    }

    /// A journal that goes nowhere.
    #[cfg(any(test, fuzzing, feature = "internals"))]
    pub(crate) fn unread() -> Arc<Self> {
        Self::new().0
    }

    /// Hands a line to the logger's thread. Never waits, and calls no code of
    /// the application: it may be called with a lock held.
    pub(crate) fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>) {
        if !is_wanted(level) {
            return;
        }
        let line = Line {
            level,
            target,
            text: text.to_string(),
        };
        let sender = self.lock();
        let sent = sender.as_ref().map(|sender| sender.try_send(line));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Nothing more is logged. The thread that writes the lines out ends when
    /// it has written those that are there.
    pub(crate) fn close(&self) {
        drop(self.lock().take());
    }

    /// Gives the lines to the logger, until the journal is closed.
    pub(crate) fn write_out(&self, lines: &Lines) {
        for line in lines {
            line.log();
            let dropped = self.dropped.swap(0, Relaxed);
            if dropped > 0 {
                Line {
                    level: Level::Warn,
                    target: module_path!(),
                    text: format!("the logger was too slow: {dropped} lines were dropped"),
                }
                .log();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender<Line>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn log(self) {
        let Self {
            level,
            target,
            text,
        } = self;
        // A logger that panics loses this line, and nothing else.
        let _ = isolate(|| log::log!(target: target, level, "{text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_find_no_room_are_counted() {
        let (journal, lines) = Journal::new();
        log::set_max_level(log::LevelFilter::Warn);
        note!(journal, Debug, "not wanted");
        for number in 0..LINES_MAX + 3 {
            note!(journal, Warn, "line {number}");
        }
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(journal.dropped.load(Relaxed), 3);
        // No logger is installed here: every line is taken at once.
        journal.close();
        journal.write_out(&lines);
        assert_eq!((lines.len(), journal.dropped.load(Relaxed)), (0, 0));
        note!(journal, Warn, "too late");
        assert_eq!(journal.dropped.load(Relaxed), 1);
    }
}
