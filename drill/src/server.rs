//! The server that is drilled: a child process with a group of its own.

use std::fmt;
use std::io;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use super::stage::Stage;
use super::system;
use super::system::Process;
use super::system::Signal;

/// How often it is seen whether processes are left.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long killed processes may take to be gone. One in a system call that
/// cannot be interrupted takes longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// How and when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    /// The signal that ended it, if it was one.
    pub(super) signal: Option<i32>,
    pub(super) at: Instant,
}

impl Exit {
    /// In words.
    pub(super) fn describe(&self) -> String {
        match self.code {
            Some(code) => format!("exit code {code}"),
            None => self.to_string(),
        }
    }
}

/// For a table.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "{code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// The processes of one round: the command, and all that descend from it.
#[derive(Clone, Debug)]
struct Family {
    command: u32,
    /// Children of this process that it had before, from the shell that it
    /// replaced, say.
    strangers: Vec<u32>,
}

impl Family {
    /// Those that run, and whose parent has ended: every other one has one of
    /// these above it. The command is one while it runs.
    fn running(&self) -> Vec<u32> {
        loop {
            let command_has_ended = system::has_ended(self.command, true);
            let mut children = system::children();
            children.retain(|child| match *child == self.command {
                true => !command_has_ended,
                false => !self.strangers.contains(child),
            });
            let listed = children.len();
            children.retain(|&child| child == self.command || !system::has_ended(child, false));
            // One that has ended since the list was read has left its children to
            // this process since then, too: they are in the next list.
            if !children.is_empty() || listed == 0 {
                return children;
            }
        }
    }

    fn wait_until_gone(&self) {
        while !self.running().is_empty() {
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// The server of one round. All of its processes are killed when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Arc<Mutex<Child>>,
    family: Family,
    /// Waits for the end of the process, and tells the stage. It leaves the
    /// process a zombie, so that its number, and that of its group, are not
    /// given out again until this is dropped.
    waiter: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the command. Its end is the server's, or `by_group` that of all its
    /// processes.
    pub(super) fn start(
        mut command: Command,
        by_group: bool,
        show_output: bool,
        stage: &Arc<Stage>,
    ) -> io::Result<Self> {
        let output = || match show_output {
            true => Stdio::from(io::stderr()),
            false => Stdio::null(),
        };
        command
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output());
        system::give_own_group(&mut command);
        system::adopt_orphans();
        let strangers = system::children();
        let child = command.spawn()?;
        let family = Family {
            command: child.id(),
            strangers,
        };
        let mut server = Self {
            child: Arc::new(Mutex::new(child)),
            family: family.clone(),
            waiter: None,
        };
        let (child, stage) = (Arc::clone(&server.child), Arc::clone(stage));
        let waiter = thread::Builder::new().name("drill-waiter".to_owned());
        server.waiter = Some(waiter.spawn(move || {
            let (code, signal) = system::wait(family.command, &child);
            if by_group {
                family.wait_until_gone();
            }
            let at = Instant::now();
            stage.change(|scene| scene.exit = Some(Exit { code, signal, at }));
        })?);
        Ok(server)
    }

    /// Signals the command, or all of its group.
    pub(super) fn signal(&self, signal: Signal, to_group: bool) -> io::Result<()> {
        system::send(self.family.command, signal, to_group)
    }

    /// What runs of it; not the children of what runs.
    pub(super) fn running(&self) -> Vec<Process> {
        let running = self.family.running().into_iter();
        running.map(system::look_up).collect()
    }

    /// Whether a process has left the group that a signal to all of it reaches.
    pub(super) fn has_left_group(&self, process: &Process) -> bool {
        let group = process.group;
        group.is_some_and(|group| group != self.family.command)
    }

    /// Ends all that runs of it.
    pub(super) fn kill(&self) {
        let deadline = Instant::now() + KILL_TIMEOUT;
        loop {
            // What is gone already need not be killed.
            let _ = system::kill_group(self.family.command, &self.child);
            let running = self.family.running();
            running.iter().copied().for_each(system::kill);
            // The children of those that were killed come to light next time.
            if running.is_empty() || Instant::now() > deadline {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Some(waiter) = self.waiter.take() {
            // One that panicked has told nobody of the end; the stage is gone.
            let _ = waiter.join();
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It has ended; this only lets go of the zombie.
        let _ = child.wait();
    }
}
