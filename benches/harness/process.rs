//! A process in a session of its own, and what the kernel knows of it.
//!
//! With autogroup scheduling the kernel shares the processor between process
//! sessions first. A server in one session with its load generator gets to run
//! less often, hence finds more to do each time, and looks faster than it is
//! where it runs by itself.

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

/// Whose session a process is started in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// One of its own, by `setsid`.
    Own,
    /// The bench's, with all the others.
    Shared,
}

/// Those that are to end with the bench, however it ends.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has Ctrl+C and SIGTERM end the processes too: in sessions of their own they
/// would not hear of it.
///
/// # Errors
///
/// When signals cannot be handled.
#[allow(clippy::exit, reason = "nothing else ends a bench that is interrupted")]
pub(crate) fn end_with_the_bench() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        signals.forever().next();
        for &id in running().iter() {
            kill(id);
        }
        std::process::exit(130);
    });
    Ok(())
}

/// A process that is killed, with its children, when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// # Errors
    ///
    /// When the program, or `setsid`, cannot be started.
    pub(crate) fn start(
        program: &[String],
        session: Session,
        output: Stdio,
        errors: Stdio,
    ) -> Result<Self> {
        let mut words: Vec<&str> = program.iter().map(String::as_str).collect();
        if session == Session::Own {
            // As a child is no leader of a process group, `setsid` becomes the
            // program, and the process number stays.
            words.insert(0, "setsid");
        }
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", words[0]))?;
        running().push(child.id());
        Ok(Self { child })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process, to read its output or to wait for it.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// # Errors
    ///
    /// When it has not the session that it should have.
    pub(crate) fn check_session(&self, session: Session) -> Result<()> {
        let leads = stat(self.id()).and_then(|fields| fields.get(3)?.parse().ok());
        let own = leads == Some(u64::from(self.id()));
        match own == (session == Session::Own) {
            true => Ok(()),
            false => Err("setsid gave the process another number, or no session".into()),
        }
    }

    /// # Errors
    ///
    /// When the process has ended, or the signal's name is none of TERM, INT
    /// and QUIT.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let signal = match name {
            "TERM" => Signal::TERM,
            "INT" => Signal::INT,
            "QUIT" => Signal::QUIT,
            _ => return Err(format!("{name} is no signal of a stop").into()),
        };
        rustix::process::kill_process(Pid::from_child(&self.child), signal)?;
        Ok(())
    }

    /// # Errors
    ///
    /// When it has not ended in that time.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < at_most {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_micros(200));
        }
        Err(format!("the process did not end within {at_most:?}").into())
    }

    /// User and system time so far, with its children's.
    pub(crate) fn processor_time(&self) -> Duration {
        // Two fields, 14 and 15 in proc(5), count ticks.
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

    /// `VmRSS` or `VmHWM`, with its children's, in KiB.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        let of_one = |id: u32| status_field(&format!("/proc/{id}/status"), field);
        self.tree().into_iter().filter_map(of_one).sum()
    }

    /// How often each of its threads has waited for something so far: each wait
    /// ends with a wake-up.
    pub(crate) fn waits(&self) -> Waits {
        let mut waits = HashMap::new();
        for id in self.tree() {
            let threads = fs::read_dir(format!("/proc/{id}/task"));
            for thread in threads.into_iter().flatten().flatten() {
                // A thread that has ended meanwhile has no count.
                let status = thread.path().join("status");
                let count = status_field(&status.to_string_lossy(), "voluntary_ctxt_switches");
                waits.insert(thread.file_name(), count.unwrap_or_default());
            }
        }
        Waits(waits)
    }

    /// The process and its descendants.
    fn tree(&self) -> Vec<u32> {
        tree(self.id())
    }
}

/// The voluntary context switches of each thread of a process, by its number.
#[derive(Debug)]
pub(crate) struct Waits(HashMap<OsString, f64>);

impl Waits {
    /// How many there were since an earlier count. Threads that have ended since
    /// are not in it.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or_default();
        let more = self.0.iter().map(|(thread, count)| count - before(thread));
        more.sum()
    }
}

/// A number of a file like `/proc/PID/status`.
fn status_field(path: &str, field: &str) -> Option<f64> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&id) = tree.get(next) {
        let threads = fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten();
        for thread in threads.flatten() {
            // A thread that has ended meanwhile has none.
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
fn kill(root: u32) {
    for id in tree(root) {
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // One that has ended already cannot be killed.
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
        kill(self.id());
        // It has been killed: there is nothing to learn from how it ended.
        let _ = self.child.wait();
    }
}

/// The fields of `/proc/PID/stat` after the name, the first is the state.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name is in parentheses, and may have blanks and parentheses.
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// A port that is free now.
///
/// # Errors
///
/// When there is none.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Raises this process's limit of open files, which its children inherit, to
/// what is allowed. Returns what it is then.
pub(crate) fn raise_open_files() -> u64 {
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // When it fails, the old limit holds, and is what is returned.
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    limit.unwrap_or(u64::MAX)
}
