//! The new process of a restart, as the old one sees it.

use std::io;
use std::os::fd::OwnedFd;
use std::process;
use std::process::Child;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;

use super::VARIABLE;
use super::program::Program;

/// The variables of a supervisor that are for the old process alone.
const OF_THIS_PROCESS: [&str; 4] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// How often to look whether the process has ended.
const INTERVAL: Duration = Duration::from_millis(10);

/// A process that has not taken over. Its drop kills it and waits for its end.
#[derive(Debug)]
pub(super) struct NewProcess {
    /// `None` once it is released.
    child: Option<Child>,
    /// It has said that it is ready. It accepts connections, and may have requests.
    pub(super) is_ready: bool,
}

impl NewProcess {
    /// Starts the program with this end of the channel.
    pub(super) fn start(program: &Program, channel: OwnedFd) -> io::Result<Self> {
        let mut command = program.command();
        for variable in OF_THIS_PROCESS {
            command.env_remove(variable);
        }
        command
            .env(VARIABLE, process::id().to_string())
            .stdin(Stdio::from(channel));
        Ok(Self {
            child: Some(command.spawn()?),
            is_ready: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    /// Asks it to stop, and waits until it has ended, or it is `too_late`: then it is killed.
    pub(super) fn stop(mut self, mut too_late: impl FnMut() -> bool) {
        if let Some(child) = &self.child
            && let Err(error) = rustix::process::kill_process(Pid::from_child(child), Signal::TERM)
        {
            log::debug!("cannot ask process {} to stop: {error}", child.id());
        }
        while self.ended().is_none() && !too_late() {
            thread::sleep(INTERVAL);
        }
    }

    /// From here on it needs this process no more.
    pub(super) fn release(mut self) {
        self.child = None;
    }
}

impl Drop for NewProcess {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only if it has ended and was waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
