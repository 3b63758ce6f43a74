//! Processes in sessions of their own, and what the kernel reports about them.
//!
//! With autogroup scheduling, the kernel first divides processor time between
//! process sessions. A server that shares a session with its load generator
//! runs less often, finds more work each time it runs, and therefore looks
//! faster than it is on its own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use super::Result;

/// The session of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// A new session, by `setsid`.
    Own,
    /// The session of the bench, shared by all processes.
    Shared,
}

/// Processes that are killed when the bench is interrupted.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the processes on Ctrl+C and SIGTERM: a terminal does not signal
/// processes in other sessions.
///
/// # Errors
///
/// If the signals cannot be handled.
#[allow(clippy::exit, reason = "nothing else ends a bench that is interrupted")]
pub(crate) fn end_with_the_bench() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        signals.forever().next();
        for &id in running().iter() {
            kill_tree(id);
        }
        std::process::exit(130);
    });
    Ok(())
}

/// A process. Dropping it kills the process and its descendants.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// # Errors
    ///
    /// If the program, or `setsid`, cannot be started.
    pub(crate) fn start(
        program: &[String],
        session: Session,
        output: Stdio,
        errors: Stdio,
    ) -> Result<Self> {
        let mut words: Vec<&str> = program.iter().map(String::as_str).collect();
        if session == Session::Own {
            // `setsid` forks only if it is a group leader, which a child is
            // not. So it becomes the program, and the process number stays the
            // same.
            words.insert(0, "setsid");
        }
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", words[0]))?;
        running().push(child.id());
        Ok(Self { child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, to read its output or to wait for it.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// # Errors
    ///
    /// If the process is not in the expected session.
    pub(crate) fn check_session(&self, session: Session) -> Result<()> {
        let leads = stat(self.id()).and_then(|fields| fields.get(3)?.parse().ok());
        let own = leads == Some(u64::from(self.id()));
        match own == (session == Session::Own) {
            true => Ok(()),
            false => Err(
                "the process is not in the expected session: setsid has forked or failed".into(),
            ),
        }
    }

    /// # Errors
    ///
    /// If the process has ended, or the signal is not TERM, INT or QUIT.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let signal = match name {
            "TERM" => Signal::TERM,
            "INT" => Signal::INT,
            "QUIT" => Signal::QUIT,
            _ => return Err(format!("unknown signal {name}: use TERM, INT or QUIT").into()),
        };
        rustix::process::kill_process(Pid::from_child(&self.child), signal)?;
        Ok(())
    }

    /// # Errors
    ///
    /// If the process does not end in this time.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < timeout {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_micros(200));
        }
        Err(format!("the process did not end within {timeout:?}").into())
    }

    /// User and system time so far, including descendants.
    pub(crate) fn processor_time(&self) -> Duration {
        // Fields 14 and 15 in proc(5). They count clock ticks.
        let ticks: u64 = self
            .tree()
            .into_iter()
            .filter_map(stat)
            .filter_map(|fields| {
                Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
            })
            .sum();
        Duration::from_secs(ticks) / rustix::param::clock_ticks_per_second() as u32
    }

    /// `VmRSS` or `VmHWM` in KiB, including descendants.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        let of_one = |id: u32| status_field(&format!("/proc/{id}/status"), field);
        self.tree().into_iter().filter_map(of_one).sum()
    }

    /// How many threads there are, including those of descendants.
    pub(crate) fn threads(&self) -> usize {
        let of_one = |id: u32| fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
        self.tree().into_iter().map(of_one).sum()
    }

    /// Voluntary context switches of each thread so far. Each ends with a
    /// wake-up.
    pub(crate) fn waits(&self) -> Waits {
        let mut waits = HashMap::new();
        for id in self.tree() {
            let threads = fs::read_dir(format!("/proc/{id}/task"));
            for thread in threads.into_iter().flatten().flatten() {
                // The thread may have ended.
                let status = thread.path().join("status");
                let count = status_field(&status.to_string_lossy(), "voluntary_ctxt_switches");
                waits.insert(thread.file_name(), count.unwrap_or_default());
            }
        }
        Waits(waits)
    }

    /// The process and its descendants.
    fn tree(&self) -> Vec<u32> {
        process_tree(self.id())
    }
}

/// The voluntary context switches of each thread of a process, by thread
/// number.
#[derive(Debug)]
pub(crate) struct Waits(HashMap<OsString, f64>);

impl Waits {
    /// Context switches since an earlier count. Threads that have ended since
    /// then are not included.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or_default();
        let more = self.0.iter().map(|(thread, count)| count - before(thread));
        more.sum()
    }
}

/// A number in a file such as `/proc/PID/status`.
fn status_field(path: &str, field: &str) -> Option<f64> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A process and its descendants.
fn process_tree(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&id) = tree.get(next) {
        let threads = fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten();
        for thread in threads.flatten() {
            // The thread may have ended.
            let children = fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            tree.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    tree
}

/// Kills a process and its descendants.
fn kill_tree(root: u32) {
    for id in process_tree(root) {
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // The process may have ended.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        running().retain(|&id| id != self.id());
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        kill_tree(self.id());
        // The status does not matter, because the process was killed.
        let _ = self.child.wait();
    }
}

/// The fields of `/proc/PID/stat` after the name. The first is the state.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name is in parentheses, and may contain blanks and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Returns a port that is free now.
///
/// # Errors
///
/// If there is no free port.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Raises the limit on open files to the allowed maximum, for this process and
/// its children. Returns the limit.
pub(crate) fn raise_open_files() -> u64 {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // If this fails, the old limit is returned.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    limit.unwrap_or(u64::MAX)
}
