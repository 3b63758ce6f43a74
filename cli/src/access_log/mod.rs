//! `--access-log-file`: the lines of the access log in a file of their own.
//!
//! ```text
//! worker --> journal of the library --> log thread --> logger (live.rs)
//!                                                        | target farewell::access
//!                                                        v
//!                                          queue (bounded) --> writer --> file
//!                                SIGHUP --> reopen --------------^
//! ```
//!
//! A disk can block `write(2)` for an unlimited time, as a network file system does when
//! its server is gone. So only the writer, a thread of its own, touches the file. A line
//! that does not fit into the queue, or that the file does not take, is lost and counted,
//! and the log on stderr says how many were.
//!
//! When the program ends, it waits until the queue is empty, as it does for the standard
//! streams: see [`output`](super::output).

mod queue;
mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::thread;

use self::queue::Batch;
use self::queue::Queue;
use self::writer::Writer;
use super::args::Options;
use super::failure::Failure;
use super::os;
use super::output::FlushTime;
use super::output::counted;
use super::signals::Signal;
use super::signals::on_signal;

/// The target of the library's lines.
pub(super) const TARGET: &str = "farewell::access";

/// The file of this process, if there is one.
static FILE: OnceLock<AccessLogFile> = OnceLock::new();

/// The file that has the access log, with its queue and its writer.
pub(super) struct AccessLogFile {
    path: PathBuf,
    /// The path, as it is shown to people.
    name: String,
    queue: Mutex<Queue>,
    /// Notified when there is something for the writer to do, and when the writer has
    /// done everything.
    changed: Condvar,
}

/// Opens the file of `--access-log-file`, and has SIGHUP reopen it. `None` without that
/// option.
pub(super) fn open(options: &Options) -> Result<Option<&'static AccessLogFile>, Failure> {
    let Some(path) = &options.access_log_file else {
        return Ok(None);
    };
    let file = os::open_log(path).map_err(|error| cannot_open(path, &error, options))?;
    let log = FILE.get_or_init(|| AccessLogFile::new(path.clone()));
    let writer = Writer::new(file);
    thread::Builder::new()
        .name("farewell-access-log".to_owned())
        .spawn(move || log.write_out(writer))
        .map_err(|error| {
            Failure::error(format!(
                "cannot start the thread that writes the access log: {error}"
            ))
        })?;
    on_signal(Signal::Hangup, || log.reopen())?;
    Ok(Some(log))
}

/// Checks that the file can be opened, or created if it is not there, without creating it.
pub(super) fn check(options: &Options) -> Result<(), Failure> {
    let Some(path) = &options.access_log_file else {
        return Ok(());
    };
    let result = match path.exists() {
        true => os::open_log(path).map(drop),
        false => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            os::check_can_create_in(folder.unwrap_or(Path::new(".")))
        }
    };
    result.map_err(|error| cannot_open(path, &error, options))
}

fn cannot_open(path: &Path, error: &io::Error, options: &Options) -> Failure {
    let option = options.name("access_log_file");
    let problem = format!("cannot open the access log {} ({option})", path.display());
    match error.raw_os_error() {
        Some(os::NO_READER) => Failure::error(format!(
            "{problem}: it is a FIFO that no process reads, or a socket"
        )),
        _ => Failure::error(format!("{problem}: {error}")),
    }
}

/// Has the file opened again, if there is one, as SIGHUP does.
pub(super) fn reopen() {
    if let Some(log) = FILE.get() {
        log.reopen();
    }
}

/// Waits until every line is written or the time is up. If lines are lost, the log says how
/// many.
pub(super) fn finish(time: FlushTime) {
    if let Some(log) = FILE.get() {
        log.flush(time);
    }
}

impl AccessLogFile {
    fn new(path: PathBuf) -> Self {
        Self {
            name: path.display().to_string(),
            path,
            queue: Mutex::new(Queue::new()),
            changed: Condvar::new(),
        }
    }

    /// Queues a line and returns at once. If it does not fit into the queue, it is lost and
    /// counted.
    pub(super) fn write(&self, line: fmt::Arguments<'_>) {
        let mut queue = self.lock();
        if queue.push(line) {
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// Has the writer open the path again, which another file may have by now.
    fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    /// The loop of the writer. It ends with the process.
    fn write_out(&self, mut writer: Writer<File>) {
        let mut fails = false;
        loop {
            let batch = self.next_batch();
            if batch.reopen {
                self.reopen_now(&mut writer);
            }
            let written = writer.write(&batch.lines, || self.lock().note_progress());
            self.lock().note_written(&written);
            match &written.error {
                // Said once, and not for each line, until lines are written again.
                Some(error) if !fails => log::error!(
                    "cannot write the access log {}: {error}; lines are lost until it can be written",
                    self.name
                ),
                Some(_) => {}
                None => {
                    let lost = self.lock().take_lost();
                    if lost > 0 {
                        self.warn_lost(lost);
                    }
                }
            }
            fails = written.error.is_some();
        }
    }

    /// Waits for something to do.
    fn next_batch(&self) -> Batch {
        let mut queue = self.lock();
        queue.is_writing = false;
        while !queue.has_work() {
            self.changed.notify_all();
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_writing = true;
        queue.take()
    }

    fn reopen_now(&self, writer: &mut Writer<File>) {
        match os::open_log(&self.path) {
            Ok(file) => {
                let written = writer.switch_to(file);
                self.lock().note_written(&written);
                log::info!("reopened the access log {}", self.name);
            }
            Err(error) => log::error!(
                "cannot reopen the access log {}: {error}; the file that was open before is still used",
                self.name
            ),
        }
    }

    fn warn_lost(&self, lines: u64) {
        let lines = counted(usize::try_from(lines).unwrap_or(usize::MAX), "line");
        let name = &self.name;
        log::warn!("{lines} of the access log {name} lost, because the file did not take them");
    }

    fn flush(&self, time: FlushTime) {
        let mut queue = self.lock();
        while queue.has_work() || queue.is_writing {
            let left = time.left_since(queue.progress);
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let missing = queue.missing();
        drop(queue);
        if missing > 0 {
            self.warn_lost(missing);
        }
    }

    /// The queue is consistent whenever the lock is released, also by a panic.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
