//! What the program prints, in such a way that printing never waits.
//!
//! ```text
//! log lines, greeting, report, panics --> queue (bounded) --> writer --> write(2)
//!                          live line --> latest only  --^        |
//!                                                      may block here for ever
//! ```
//!
//! A pipe that is full and that no process reads, or a terminal that Ctrl+S has
//! stopped, blocks `write(2)` for as long as it likes. So each of stdout and
//! stderr has a queue and a thread of its own, and only that thread writes. A
//! message that finds no room in the queue is dropped and counted; once the
//! stream takes bytes again, one line says how many lines were dropped.
//!
//! At its end the program waits for what is queued: as long as the stream takes
//! bytes, for [`FLUSH_MAX`] at most; if the stream takes none, for [`STALL`]. The
//! writers are not joined: one may be blocked in `write(2)`, and the end of
//! `main` ends it.
//!
//! Nothing else in the service prints: neither `println!` nor a panic, whose
//! message comes here too ([`catch_panic_messages`]).

mod queue;

use std::backtrace::Backtrace;
use std::backtrace::BacktraceStatus;
use std::io;
use std::panic;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::os;
use super::os::Stream;
use super::os::WRITE_MAX;

pub(super) use self::queue::LiveLine;
use self::queue::Queue;
use self::queue::Writer;

/// The standard output: greeting, report, help.
pub(super) static STDOUT: Output = Output::new(Stream::Stdout);

/// The standard error: the log, the live line, why the program ends early.
pub(super) static STDERR: Output = Output::new(Stream::Stderr);

/// How long, at the end, a stream may take no byte until it is given up.
const STALL: Duration = Duration::from_secs(1);

/// How long, at the end, a stream may take in all, though it takes bytes.
const FLUSH_MAX: Duration = Duration::from_secs(10);

/// To the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[2K";

/// Cut off at the edge of the terminal what is longer, instead of wrapping it:
/// a line that wraps cannot be cleared. And back again.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// A standard stream, its queue and its writer.
pub(super) struct Output {
    stream: Stream,
    queue: Mutex<Queue>,
    /// Wakes the writer for something to write, and [`flush`](Output::flush)
    /// when nothing is left.
    changed: Condvar,
}

impl Output {
    const fn new(stream: Stream) -> Self {
        Self {
            stream,
            queue: Mutex::new(Queue::new()),
            changed: Condvar::new(),
        }
    }

    /// Prints whole lines. Returns at once, whatever the stream does; if there
    /// is no room, they are dropped and counted.
    pub(super) fn print(&'static self, lines: impl Into<Vec<u8>>) {
        let mut queue = self.lock();
        if queue.push(lines.into()) {
            self.wake(queue);
        }
    }

    /// Shows this line below everything else, instead of the one before; or
    /// none. Only for a terminal.
    pub(super) fn show_live(&'static self, line: Option<LiveLine>) {
        let mut queue = self.lock();
        queue.live = line;
        queue.live_changed = true;
        self.wake(queue);
    }

    /// Waits until everything is written, within the bounds of this module;
    /// time before `since` does not count. `false` if something is left.
    pub(super) fn flush(&'static self, since: Instant) -> bool {
        let mut queue = self.lock();
        if queue.writer == Writer::NotStarted && !queue.is_empty() {
            // There was no thread to be had. What fits is better than nothing.
            drop(queue);
            if !os::wait_writable(self.stream, Some(STALL)) {
                return false;
            }
            self.write_out(Wait::No);
            queue = self.lock();
        }
        loop {
            if queue.is_empty() && queue.writer != Writer::Writes {
                return true;
            }
            let stalled = queue.progress.map_or(since, |at| at.max(since)) + STALL;
            let end = stalled.min(since + FLUSH_MAX);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has the writer look at the queue.
    fn wake(&'static self, mut queue: MutexGuard<'_, Queue>) {
        match queue.writer {
            Writer::Waits => {
                // One wake-up is enough, however many lines come before it.
                queue.writer = Writer::Writes;
                drop(queue);
                self.changed.notify_all();
            }
            Writer::Writes => {}
            Writer::NotStarted => {
                let name = format!("farewell-{:?}", self.stream).to_lowercase();
                let writer = thread::Builder::new()
                    .name(name)
                    .spawn(|| self.write_out(Wait::Yes));
                // Without a thread the next message tries again, and so does
                // the end of the program.
                if writer.is_ok() {
                    queue.writer = Writer::Writes;
                }
            }
        }
    }

    /// Writes what is queued, and then waits for more.
    fn write_out(&self, wait: Wait) {
        let mut shows_live = false;
        let mut queue = self.lock();
        loop {
            let Some(batch) = queue.take() else {
                if wait == Wait::No {
                    return;
                }
                queue.writer = Writer::Waits;
                self.changed.notify_all();
                let woken = self.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if wait == Wait::Yes {
                queue.writer = Writer::Writes;
            }
            let live = queue.live.as_ref();
            let live = live.map(|line| line.fitted(os::columns(self.stream)));
            drop(queue);

            let mut bytes = Vec::new();
            if shows_live {
                bytes.extend_from_slice(CLEAR.as_bytes());
            }
            batch.append_to(&mut bytes, self.stream);
            if let Some(live) = &live {
                bytes.extend_from_slice(format!("{NO_WRAP}{live}{WRAP}").as_bytes());
            }
            shows_live = live.is_some();
            let written = self.write(&bytes);

            queue = self.lock();
            let failed_before = queue.fails;
            queue.fails = written.is_err();
            if let Err(error) = written {
                queue.dropped += batch.lines_and_dropped();
                if self.stream == Stream::Stdout && !failed_before {
                    drop(queue);
                    log::warn!("cannot write to stdout: {error}");
                    queue = self.lock();
                }
            }
        }
    }

    /// Writes all of it, however long that takes.
    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let piece = &bytes[..bytes.len().min(WRITE_MAX)];
            let written = os::write(self.stream, piece)?;
            if written > 0 {
                bytes = &bytes[written..];
                self.lock().progress = Some(Instant::now());
            }
        }
        Ok(())
    }

    /// The queue is whole at every moment, so a panic of a holder spoils
    /// nothing.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a loop of a writer waits for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// The standard error as the log writes to it: line by line.
pub(super) struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        STDERR.print(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has the message of a panic queued like a line of the log. std's own hook
/// writes to stderr, and would block the worker whose handler has panicked.
pub(super) fn catch_panic_messages() {
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        let mut text = format!("farewell: the thread {name}: {panicked}\n");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text += &format!("{backtrace}\n");
        }
        STDERR.print(text);
        if name == "main" {
            // Unwinding ends the process, and no flush comes after this.
            finish();
        }
    }));
}

/// Writes what is left, at the end of the program, and takes about two seconds
/// at most where the streams take nothing. Says so if the report is lost.
pub(super) fn finish() {
    let since = Instant::now();
    if !STDOUT.flush(since) {
        log::error!("stdout takes nothing: what was printed last is lost");
    }
    STDERR.flush(since);
}
