//! Passes the library's log lines to the application's logger.
//!
//! A logger is code of the application: it may block (on a stopped terminal or a
//! full pipe), be slow, or panic. So no thread that accepts, serves or stops calls
//! it. These threads send their lines over a channel to the log thread, which calls
//! the logger. The lines that wait have a limit in bytes. A line beyond it is dropped.
//! The number of dropped lines is logged as soon as the logger takes lines again.
//!
//! The log thread asks the logger in advance which levels it wants for the targets
//! of this library. A line that the logger would discard is not formatted.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use log::Level;
use log::LevelFilter;

use crate::isolate::isolate;

/// How many bytes of lines may wait for the logger, [`LINE_OVERHEAD`] included. With an
/// access log of usual lines these are about 25 000, or some tenths of a second under full
/// load: the log thread may have to wait for a core.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many of these are reserved for warnings and errors.
const RESERVED_FOR_WARNINGS: usize = WAITING_BYTES_MAX / 8;

/// What a line needs beside its text.
const LINE_OVERHEAD: usize = size_of::<Line>();

/// The target of the access log.
pub(crate) const ACCESS: &str = "farewell::access";

/// The targets of the lines in a journal: [`ACCESS`], and every module that calls
/// `note!`. A test checks that none is missing.
const TARGETS: &[&str] = &[
    ACCESS,
    "farewell::shutdown::drain",
    "farewell::engine::acceptor",
    "farewell::engine::body_source",
    "farewell::engine::connection::answer",
    "farewell::engine::connection::leave",
    "farewell::engine::connection::partial_body",
    "farewell::engine::connection::refuse",
    "farewell::engine::connection::writing",
    "farewell::engine::in_flight",
    "farewell::engine::refusals",
    "farewell::engine::services",
    "farewell::engine::shard",
    "farewell::engine::shard::job",
    "farewell::engine::thread_group",
    "farewell::engine::upgraded",
    "farewell::engine::user_code",
    "farewell::engine::worker",
    "farewell::engine::worker::calls",
    "farewell::engine::worker_pool",
    "farewell::journal",
];

/// Writes a line to a [`Journal`], with the calling module as its target:
/// `note!(journal, Warn, "{count} connections")`.
macro_rules! note {
    ($journal:expr, $level:ident, $($text:tt)+) => {
        // Asked before the text is formatted: the logger wants few of the lines.
        if $journal.wants(log::Level::$level) {
            $journal.write(log::Level::$level, module_path!(), format_args!($($text)+));
        }
    };
}
pub(crate) use note;

/// Takes the log lines of a server's threads. No thread waits in it.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Its drop ends the log thread.
    sender: Mutex<Option<Sender<Line>>>,
    /// The bytes of the lines in the channel.
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
    /// The `log::max_level` at which the log thread has asked the logger, and the
    /// highest level that the logger wants of our lines. See [`packed`].
    asked: AtomicUsize,
}

/// Packs two levels into one number, so that one store changes both.
fn packed(max_level: LevelFilter, wanted: LevelFilter) -> usize {
    const LEVELS: usize = LevelFilter::Trace as usize + 1;

    max_level as usize * LEVELS + wanted as usize
}

/// The logger has not been asked. It is no value of [`packed`].
const NOT_ASKED: usize = usize::MAX;

/// The lines that the threads of a server have written.
pub(crate) type Lines = Receiver<Line>;

/// One line for the log.
#[derive(Debug)]
pub(crate) struct Line {
    level: Level,
    target: &'static str,
    text: String,
}

impl Journal {
    /// An empty journal, and the end of its channel for the log thread, which
    /// [writes the lines out](Self::write_out).
    pub(crate) fn new() -> (Arc<Self>, Lines) {
        let (sender, lines) = crossbeam_channel::unbounded();
        let journal = Self {
            sender: Mutex::new(Some(sender)),
            waiting_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            asked: AtomicUsize::new(NOT_ASKED),
        };
        (Arc::new(journal), lines)
    }

    /// A journal that drops every line.
    #[cfg(any(test, fuzzing, feature = "internals"))]
    pub(crate) fn unread() -> Arc<Self> {
        Self::new().0
    }

    /// Whether the logger may want a line of this level.
    #[inline]
    pub(crate) fn wants(&self, level: Level) -> bool {
        let max_level = log::max_level();
        if level > log::STATIC_MAX_LEVEL || level > max_level {
            return false;
        }
        // If `max_level` has changed since the logger was asked, it may want more.
        let asked = self.asked.load(Relaxed);
        let first = packed(max_level, LevelFilter::Off);
        let last = packed(max_level, LevelFilter::Trace);
        !(first..=last).contains(&asked) || asked - first >= level as usize
    }

    /// Asks the logger which of our lines it wants.
    fn ask(&self) {
        let max_level = log::max_level();
        let wanted = |level: &Level| {
            TARGETS
                .iter()
                .any(|target| log::log_enabled!(target: *target, *level))
        };
        let levels = || Level::iter().filter(|level| *level <= max_level);
        let wanted = isolate(|| levels().filter(wanted).max());
        if let Ok(wanted) = wanted {
            let wanted = wanted.map_or(LevelFilter::Off, |level| level.to_level_filter());
            self.asked.store(packed(max_level, wanted), Relaxed);
        }
    }

    /// Sends a line to the log thread. It never waits, and calls no code of the
    /// application, so it may be called with a lock held.
    pub(crate) fn write(&self, level: Level, target: &'static str, text: fmt::Arguments<'_>) {
        if !self.wants(level) {
            return;
        }
        let line = Line {
            level,
            target,
            text: text.to_string(),
        };
        let most = match level {
            Level::Error | Level::Warn => WAITING_BYTES_MAX,
            Level::Info | Level::Debug | Level::Trace => WAITING_BYTES_MAX - RESERVED_FOR_WARNINGS,
        };
        let bytes = line.bytes();
        // The lock keeps another line from taking the room in between.
        let sender = self.lock();
        let sent = sender
            .as_ref()
            .filter(|_| self.waiting_bytes.load(Relaxed) + bytes <= most)
            .map(|sender| {
                // Counted first, so that the log thread subtracts no line that is not counted.
                self.waiting_bytes.fetch_add(bytes, Relaxed);
                sender.send(line)
            });
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Ends the log thread, once it has written the lines that are there. Later
    /// lines are dropped.
    pub(crate) fn close(&self) {
        drop(self.lock().take());
    }

    /// Passes the lines to the logger, until the journal is closed.
    pub(crate) fn write_out(&self, lines: &Lines) {
        self.ask();
        for line in lines {
            self.waiting_bytes.fetch_sub(line.bytes(), Relaxed);
            line.log();
            // The logger's filter may have changed.
            if lines.is_empty() {
                self.ask();
            }
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
    fn bytes(&self) -> usize {
        LINE_OVERHEAD + self.text.len()
    }

    fn log(self) {
        let Self {
            level,
            target,
            text,
        } = self;
        // If the logger panics, only this line is lost.
        let _ = isolate(|| log::log!(target: target, level, "{text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_find_the_journal_full_are_counted() {
        let (journal, lines) = Journal::new();
        log::set_max_level(LevelFilter::Warn);
        note!(journal, Debug, "not wanted");
        let text = "x".repeat(1024 - LINE_OVERHEAD);
        for _ in 0..WAITING_BYTES_MAX / 1024 + 3 {
            note!(journal, Warn, "{text}");
        }
        assert_eq!(lines.len(), WAITING_BYTES_MAX / 1024);
        assert_eq!(journal.dropped.load(Relaxed), 3);
        // No logger is installed, so every line is taken at once.
        journal.close();
        journal.write_out(&lines);
        assert_eq!((lines.len(), journal.dropped.load(Relaxed)), (0, 0));
        assert_eq!(journal.waiting_bytes.load(Relaxed), 0);
        journal.asked.store(NOT_ASKED, Relaxed);
        note!(journal, Warn, "too late");
        assert_eq!(journal.dropped.load(Relaxed), 1);
        log::set_max_level(LevelFilter::Off);
    }

    #[test]
    fn the_answer_of_the_logger_counts_for_its_max_level_only() {
        let (journal, _lines) = Journal::new();
        let max_level = log::max_level();
        assert_eq!(journal.wants(Level::Error), max_level >= LevelFilter::Error);
        for wanted in LevelFilter::iter() {
            journal
                .asked
                .store(packed(LevelFilter::Trace, wanted), Relaxed);
            for level in Level::iter() {
                let first = packed(LevelFilter::Trace, LevelFilter::Off);
                let asked = journal.asked.load(Relaxed);
                assert_eq!(asked - first >= level as usize, level <= wanted);
            }
        }
    }
}
