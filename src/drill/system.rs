//! What differs between systems: signals, and groups of processes.

#[cfg(not(unix))]
pub(super) use other::*;
#[cfg(unix)]
pub(super) use unix::*;

/// What asks a server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Term,
    Int,
    Quit,
    Hup,
}

/// Whether signals can be sent here.
pub(super) const HAS_SIGNALS: bool = cfg!(unix);

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::Child;
    use std::process::Command;
    use std::sync::Mutex;

    use rustix::process::Pid;
    use rustix::process::WaitId;
    use rustix::process::WaitIdOptions;

    use super::Signal;

    pub(in crate::drill) fn give_own_group(command: &mut Command) {
        command.process_group(0);
    }

    /// Waits for a child's end without reaping it: its exit code, and the
    /// signal that ended it.
    pub(in crate::drill) fn wait(id: u32, _child: &Mutex<Child>) -> (Option<i32>, Option<i32>) {
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status =
            rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid(id)), how));
        match status {
            Ok(Some(status)) => (status.exit_status(), status.terminating_signal()),
            // It cannot be: the child is ours, and not reaped.
            Ok(None) | Err(_) => (None, None),
        }
    }

    pub(in crate::drill) fn send(id: u32, signal: Signal) -> io::Result<()> {
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Int => rustix::process::Signal::INT,
            Signal::Quit => rustix::process::Signal::QUIT,
            Signal::Hup => rustix::process::Signal::HUP,
        };
        Ok(rustix::process::kill_process(pid(id), signal)?)
    }

    pub(in crate::drill) fn kill_group(id: u32, _child: &Mutex<Child>) -> io::Result<()> {
        Ok(rustix::process::kill_process_group(
            pid(id),
            rustix::process::Signal::KILL,
        )?)
    }

    fn pid(id: u32) -> Pid {
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        id.expect("a child's number is positive and fits")
    }
}

#[cfg(not(unix))]
mod other {
    use std::io;
    use std::process::Child;
    use std::process::Command;
    use std::sync::Mutex;
    use std::sync::PoisonError;
    use std::thread;
    use std::time::Duration;

    use super::Signal;

    /// How often it is seen whether a child has ended.
    const LOOK_EVERY: Duration = Duration::from_millis(5);

    pub(in crate::drill) fn give_own_group(_command: &mut Command) {}

    pub(in crate::drill) fn wait(_id: u32, child: &Mutex<Child>) -> (Option<i32>, Option<i32>) {
        loop {
            let ended = child
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .try_wait();
            match ended {
                Ok(None) => thread::sleep(LOOK_EVERY),
                Ok(Some(status)) => return (status.code(), None),
                Err(_) => return (None, None),
            }
        }
    }

    pub(in crate::drill) fn send(_id: u32, _signal: Signal) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "signals are not supported here",
        ))
    }

    pub(in crate::drill) fn kill_group(_id: u32, child: &Mutex<Child>) -> io::Result<()> {
        child.lock().unwrap_or_else(PoisonError::into_inner).kill()
    }
}
