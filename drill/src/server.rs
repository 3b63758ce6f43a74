//! The server under test: a child process in a process group of its own.

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

use super::system;
use super::system::Process;
use super::system::Signal;
use super::watch::RoundWatch;

/// Time between two checks whether processes are left.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long killed processes may take to end. A process in an uninterruptible
/// system call may take longer.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// How and when the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    /// The signal that ended it, if any.
    pub(super) signal: Option<i32>,
    pub(super) at: Instant,
}

impl Exit {
    /// A phrase for people.
    pub(super) fn describe(&self) -> String {
        match self.code {
            Some(code) => format!("exit code {code}"),
            None => self.to_string(),
        }
    }
}

/// The form in the table: the exit code, or the signal.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "{code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// The processes of one round: the command and its descendants.
#[derive(Clone, Debug)]
struct ProcessTree {
    command: u32,
    /// Children that this process had before. It inherits them from a shell
    /// that replaced itself with the drill, for example.
    earlier_children: Vec<u32>,
}

impl ProcessTree {
    /// The processes that run and whose parent has ended, and the command.
    /// Every other process of the tree has one of these as an ancestor.
    fn running(&self) -> Vec<u32> {
        loop {
            let command_has_ended = system::has_ended(self.command, true);
            let mut children = system::children();
            children.retain(|child| match *child == self.command {
                true => !command_has_ended,
                false => !self.earlier_children.contains(child),
            });
            let listed = children.len();
            children.retain(|&child| child == self.command || !system::has_ended(child, false));
            // A process that has ended since the list was read has left its
            // children to this process. The next list contains them.
            if !children.is_empty() || listed == 0 {
                return children;
            }
        }
    }

    fn wait_until_ended(&self) {
        while !self.running().is_empty() {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The server of one round. Dropping it kills all of its processes.
#[derive(Debug)]
pub(super) struct Server {
    child: Arc<Mutex<Child>>,
    tree: ProcessTree,
    /// Waits for the end of the process and records it in the watch. It does
    /// not reap the process: until this is dropped, the zombie keeps its
    /// number, and that of its group, from being reused.
    waiter: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the command. The server has ended when the command has, or with
    /// `by_group` when all of its processes have.
    pub(super) fn start(
        mut command: Command,
        by_group: bool,
        show_output: bool,
        watch: &Arc<RoundWatch>,
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
        let earlier_children = system::children();
        let child = command.spawn()?;
        let tree = ProcessTree {
            command: child.id(),
            earlier_children,
        };
        let mut server = Self {
            child: Arc::new(Mutex::new(child)),
            tree: tree.clone(),
            waiter: None,
        };
        let (child, watch) = (Arc::clone(&server.child), Arc::clone(watch));
        let waiter = thread::Builder::new().name("drill-waiter".to_owned());
        server.waiter = Some(waiter.spawn(move || {
            let (code, signal) = system::wait(tree.command, &child);
            if by_group {
                tree.wait_until_ended();
            }
            let at = Instant::now();
            watch.update(|state| state.exit = Some(Exit { code, signal, at }));
        })?);
        Ok(server)
    }

    /// Sends the signal to the command, or to its process group.
    pub(super) fn signal(&self, signal: Signal, to_group: bool) -> io::Result<()> {
        system::send(self.tree.command, signal, to_group)
    }

    /// The processes that run, without the descendants of these.
    pub(super) fn running(&self) -> Vec<Process> {
        let running = self.tree.running().into_iter();
        running.map(system::process_info).collect()
    }

    /// Whether the process is in another group than the command, so that a
    /// signal to the group does not reach it.
    pub(super) fn has_left_group(&self, process: &Process) -> bool {
        let group = process.group;
        group.is_some_and(|group| group != self.tree.command)
    }

    /// Kills all processes of the server.
    pub(super) fn kill(&self) {
        let deadline = Instant::now() + KILL_TIMEOUT;
        loop {
            // An error means that the group has ended already.
            let _ = system::kill_group(self.tree.command, &self.child);
            let running = self.tree.running();
            running.iter().copied().for_each(system::kill);
            // The children of killed processes become children of this process,
            // and the next list contains them.
            if running.is_empty() || Instant::now() > deadline {
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Some(waiter) = self.waiter.take() {
            // The join fails only if the thread has panicked. Nothing waits for
            // its message any more.
            let _ = waiter.join();
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // The process has ended; this reaps the zombie.
        let _ = child.wait();
    }
}
