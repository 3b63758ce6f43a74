//! Printing that never blocks its caller.
//!
//! ```text
//! log lines, greeting, report, panics --> queue (bounded) --> writer --> write(2)
//!                          live line --> latest only  --^        |
//!                                                      may block here for ever
//! ```
//!
//! A full pipe that no process reads, or a terminal that Ctrl+S has stopped,
//! blocks `write(2)` for an unlimited time. Therefore each of stdout and stderr
//! has a queue and a thread, and only that thread writes. A message that does
//! not fit into the queue is dropped and counted. When the stream accepts bytes
//! again, one line says how many lines were dropped.
//!
//! When the program ends, it waits until the queues are empty: for as long as
//! [`FlushTime`] says, and for [`STALL_TIMEOUT`] without progress. It does not join the threads, because one may be blocked in `write(2)`; they
//! end with the process.
//!
//! All output of the server goes through this module, also the messages of
//! panics ([`catch_panic_messages`]).

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

use super::access_log;
use super::os;
use super::os::StandardStream;
use super::os::WRITE_MAX;

pub(super) use self::queue::LiveLine;
use self::queue::Queue;
use self::queue::WriterState;

/// The standard output: greeting, report, help.
pub(super) static STDOUT: Output = Output::new(StandardStream::Stdout);

/// The standard error: log, live line, and the line that says why the program
/// ends early.
pub(super) static STDERR: Output = Output::new(StandardStream::Stderr);

/// How long a stream may accept no byte when the program ends.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a program that has served nothing waits for a stream that accepts bytes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the streams have at least, after a stop that took all of its time.
const FLUSH_TIMEOUT_MIN: Duration = Duration::from_millis(500);

/// Moves the cursor to the start of the line and clears the line.
const CLEAR: &str = "\r\x1b[2K";

/// Turns line wrapping off and on. A longer line is cut at the edge of the
/// terminal; a wrapped line could not be cleared.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// A standard stream with its queue and its writing thread.
pub(super) struct Output {
    stream: StandardStream,
    queue: Mutex<Queue>,
    /// Notified when there is something to write, which wakes the thread, and
    /// when nothing is left, which wakes [`flush`](Output::flush).
    changed: Condvar,
}

impl Output {
    const fn new(stream: StandardStream) -> Self {
        Self {
            stream,
            queue: Mutex::new(Queue::new()),
            changed: Condvar::new(),
        }
    }

    /// Queues whole lines and returns at once. If they do not fit into the
    /// queue, they are dropped and counted.
    pub(super) fn print(&'static self, lines: impl Into<Vec<u8>>) {
        let mut queue = self.lock();
        if queue.push(lines.into()) {
            self.wake(queue);
        }
    }

    /// Shows this line at the bottom of a terminal in place of the last one, or
    /// removes it.
    pub(super) fn show_live(&'static self, line: Option<LiveLine>) {
        let mut queue = self.lock();
        queue.live = line;
        queue.live_changed = true;
        self.wake(queue);
    }

    /// Waits until everything is written or the time is up. Returns whether everything
    /// is written.
    pub(super) fn flush(&'static self, time: FlushTime) -> bool {
        let mut queue = self.lock();
        if queue.writer == WriterState::NotStarted && !queue.is_empty() {
            // The writing thread could not be started, so this thread writes
            // what the stream accepts.
            drop(queue);
            if !os::wait_writable(self.stream, Some(time.left_since(None))) {
                return false;
            }
            self.write_out(WhenEmpty::Return);
            queue = self.lock();
        }
        loop {
            if queue.is_empty() && queue.writer != WriterState::Writing {
                return true;
            }
            let left = time.left_since(queue.progress);
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Wakes the writing thread, or starts it.
    fn wake(&'static self, mut queue: MutexGuard<'_, Queue>) {
        match queue.writer {
            WriterState::Waiting => {
                // One notification is enough for all lines until the thread has
                // woken.
                queue.writer = WriterState::Writing;
                drop(queue);
                self.changed.notify_all();
            }
            WriterState::Writing => {}
            WriterState::NotStarted => {
                let name = format!("farewell-{:?}", self.stream).to_lowercase();
                let writer = thread::Builder::new()
                    .name(name)
                    .spawn(|| self.write_out(WhenEmpty::Wait));
                // If the thread cannot be started, the next message and the end
                // of the program try again.
                if writer.is_ok() {
                    queue.writer = WriterState::Writing;
                }
            }
        }
    }

    /// Writes what is queued. Then waits for more or returns.
    fn write_out(&self, when_empty: WhenEmpty) {
        let mut shows_live = false;
        let mut queue = self.lock();
        loop {
            let Some(batch) = queue.take() else {
                if when_empty == WhenEmpty::Return {
                    return;
                }
                queue.writer = WriterState::Waiting;
                self.changed.notify_all();
                let woken = self.changed.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if when_empty == WhenEmpty::Wait {
                queue.writer = WriterState::Writing;
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
            let failed_before = queue.last_write_failed;
            queue.last_write_failed = written.is_err();
            if let Err(error) = written {
                queue.dropped += batch.lines_and_dropped();
                if self.stream == StandardStream::Stdout && !failed_before {
                    drop(queue);
                    log::warn!("cannot write to stdout: {error}");
                    queue = self.lock();
                }
            }
        }
    }

    /// Writes all bytes, however long that takes.
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

    /// The queue is consistent whenever the lock is released, also by a panic.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a writing loop does when the queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenEmpty {
    Wait,
    Return,
}

/// Sends what the logger writes to stderr.
pub(super) struct LogSink;

impl io::Write for LogSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        STDERR.print(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Queues the messages of panics like lines of the log. The hook of std writes
/// to stderr directly, and would block the worker whose handler panicked.
pub(super) fn catch_panic_messages() {
    panic::set_hook(Box::new(|panicked| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let mut text = format!("farewell: thread {name} {panicked}\n");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            text += &format!("{backtrace}\n");
        }
        STDERR.print(text);
        if name == "main" {
            // A panic of the main thread ends the process without another
            // flush.
            finish(FlushTime::whole());
        }
    }));
}

/// The time in which the streams take what is queued.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlushTime {
    begun: Instant,
    end: Instant,
}

impl FlushTime {
    /// For a program that ends without a stop.
    pub(super) fn whole() -> Self {
        let begun = Instant::now();
        Self {
            begun,
            end: begun + FLUSH_TIMEOUT,
        }
    }

    /// After a stop that took `took` and may take `bound`: what is left of it. So the
    /// program ends before its supervisor kills it, also if a stream is slow.
    pub(super) fn after_stop(took: Duration, bound: Duration) -> Self {
        let begun = Instant::now();
        let left = bound.saturating_sub(took);
        Self {
            begun,
            end: begun + left.clamp(FLUSH_TIMEOUT_MIN, FLUSH_TIMEOUT),
        }
    }

    /// How much longer the end of the program waits for a stream or file that last
    /// accepted bytes at `progress`.
    pub(super) fn left_since(self, progress: Option<Instant>) -> Duration {
        let last = progress.map_or(self.begun, |at| at.max(self.begun));
        let end = (last + STALL_TIMEOUT).min(self.end);
        end.saturating_duration_since(Instant::now())
    }
}

/// Writes what is queued when the program ends. If the streams are blocked, it
/// returns after about a second. Logs an error if stdout could not be written.
pub(super) fn finish(time: FlushTime) {
    if !STDOUT.flush(time) {
        log::error!("stdout is blocked: what was printed last is lost");
    }
    access_log::finish(time);
    STDERR.flush(time);
}

/// As in `1 request` and `2 requests`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
