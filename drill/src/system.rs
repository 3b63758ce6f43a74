//! What differs between operating systems: signals, process groups and orphans.

use std::fmt;
use std::io;

#[cfg(target_os = "linux")]
pub(super) use linux::*;
#[cfg(not(target_os = "linux"))]
pub(super) use not_linux::*;
#[cfg(not(unix))]
pub(super) use other::*;
#[cfg(unix)]
pub(super) use unix::*;

/// A signal that asks a server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Term,
    Int,
    Quit,
    Hup,
}

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
        }
    }
}

/// Whether this system has signals.
pub(super) const HAS_SIGNALS: bool = cfg!(unix);

/// Calls `interrupt` for each Ctrl+C, on a separate thread.
fn on_ctrl_c(interrupt: impl Fn() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(interrupt).map_err(io::Error::other)
}

/// Whether the drill can find processes whose parent has ended.
pub(super) const FINDS_ORPHANS: bool = cfg!(target_os = "linux");

/// A process that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    id: u32,
    /// `None` if the process has ended since it was found.
    pub(super) group: Option<u32>,
    name: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.id)
    }
}

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::Child;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::thread;

    use rustix::process::Pid;
    use rustix::process::WaitId;
    use rustix::process::WaitIdOptions;
    use signal_hook::consts::SIGHUP;
    use signal_hook::consts::SIGINT;
    use signal_hook::consts::SIGTERM;
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    use super::Signal;

    /// Calls `interrupt` for each SIGINT, SIGTERM and SIGHUP, except for
    /// signals that this process ignores, such as SIGHUP under `nohup`.
    ///
    /// An ignored signal gets a handler that does nothing. The drill still
    /// ignores it, but the server does not inherit that: `--stop INT` stops the
    /// server even if the drill runs in the background of a script.
    pub(crate) fn on_interrupt(interrupt: impl Fn() + Clone + Send + 'static) -> io::Result<()> {
        let ignored = ignored_signals();
        let is_ignored = |signal: &i32| ignored & (1 << (signal - 1)) != 0;
        let (ignored, mut handled): (Vec<i32>, Vec<i32>) =
            [SIGINT, SIGTERM, SIGHUP].into_iter().partition(is_ignored);
        for signal in ignored {
            flag::register(signal, Arc::default())?;
        }
        if handled.contains(&SIGINT) {
            handled.retain(|&signal| signal != SIGINT);
            super::on_ctrl_c(interrupt.clone())?;
        }
        let mut signals = Signals::new(handled)?;
        thread::Builder::new()
            .name("drill-signal".to_owned())
            .spawn(move || signals.forever().for_each(|_| interrupt()))?;
        Ok(())
    }

    /// The ignored signals: bit 0 for signal 1, and so on. Zero on systems
    /// other than Linux, which do not report them.
    fn ignored_signals() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }

    pub(crate) fn give_own_group(command: &mut Command) {
        command.process_group(0);
    }

    /// Waits for the end of a child without reaping it. Returns its exit code,
    /// and the signal that ended it.
    pub(crate) fn wait(id: u32, _child: &Mutex<Child>) -> (Option<i32>, Option<i32>) {
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status =
            rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid(id)), how));
        match status {
            Ok(Some(status)) => (status.exit_status(), status.terminating_signal()),
            // This does not happen: the process is a child of this one and has
            // not been reaped.
            Ok(None) | Err(_) => (None, None),
        }
    }

    /// Sends a signal to a process, or to its process group.
    pub(crate) fn send(id: u32, signal: Signal, to_group: bool) -> io::Result<()> {
        let signal = match signal {
            Signal::Term => rustix::process::Signal::TERM,
            Signal::Int => rustix::process::Signal::INT,
            Signal::Quit => rustix::process::Signal::QUIT,
            Signal::Hup => rustix::process::Signal::HUP,
        };
        match to_group {
            true => rustix::process::kill_process_group(pid(id), signal)?,
            false => rustix::process::kill_process(pid(id), signal)?,
        }
        Ok(())
    }

    pub(crate) fn kill_group(id: u32, _child: &Mutex<Child>) -> io::Result<()> {
        Ok(rustix::process::kill_process_group(
            pid(id),
            rustix::process::Signal::KILL,
        )?)
    }

    pub(super) fn pid(id: u32) -> Pid {
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        id.expect("a process's number is positive and fits")
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::process;

    use rustix::process::Signal;
    use rustix::process::WaitId;
    use rustix::process::WaitIdOptions;

    use super::Process;
    use super::unix::pid;

    /// Makes this process the parent of every descendant whose parent ends.
    /// This finds a server that has left the group of its command.
    pub(crate) fn adopt_orphans() {
        // Every kernel since 3.4 supports this. If it fails, the group can
        // still be killed.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }

    /// The children of this process: those that its main thread has started,
    /// and adopted orphans. Empty if the kernel was built without this list.
    pub(crate) fn children() -> Vec<u32> {
        let this = process::id();
        let list = fs::read_to_string(format!("/proc/{this}/task/{this}/children"));
        let list = list.unwrap_or_default();
        let ids = list.split_whitespace().filter_map(|id| id.parse().ok());
        ids.collect()
    }

    /// Whether a child has ended with all of its threads; the last one closes
    /// its sockets. Reaps it if it has ended, unless `keep_zombie` is set.
    pub(crate) fn has_ended(child: u32, keep_zombie: bool) -> bool {
        let mut how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        how.set(WaitIdOptions::NOWAIT, keep_zombie);
        // An error means that another thread has reaped it.
        !matches!(
            rustix::process::waitid(WaitId::Pid(pid(child)), how),
            Ok(None)
        )
    }

    pub(crate) fn kill(id: u32) {
        // An error means that it has ended already.
        let _ = rustix::process::kill_process(pid(id), Signal::KILL);
    }

    /// The name and the group of a process.
    pub(crate) fn process_info(id: u32) -> Process {
        let stat = fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        parse_stat(id, &String::from_utf8_lossy(&stat)).unwrap_or(Process {
            id,
            group: None,
            name: "unnamed".to_owned(),
        })
    }

    /// Parses `1234 (name) STATE PARENT GROUP ...`. The name may contain any
    /// character.
    fn parse_stat(id: u32, stat: &str) -> Option<Process> {
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(") ")?;
        Some(Process {
            id,
            group: fields.split(' ').nth(2)?.parse().ok(),
            name: name.escape_debug().to_string(),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_name_and_group_of_a_process_are_read() {
            let group = rustix::process::getpgrp().as_raw_nonzero().get() as u32;
            assert_eq!(process_info(process::id()).group, Some(group));
            let odd = parse_stat(12, "12 (a) (b\n)) S 1 7 3").unwrap();
            assert_eq!((odd.name.as_str(), odd.group), ("a) (b\\n)", Some(7)));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod not_linux {
    use super::Process;

    pub(crate) fn adopt_orphans() {}

    pub(crate) fn children() -> Vec<u32> {
        Vec::new()
    }

    pub(crate) fn has_ended(_child: u32, _keep_zombie: bool) -> bool {
        true
    }

    pub(crate) fn kill(_id: u32) {}

    pub(crate) fn process_info(id: u32) -> Process {
        Process {
            id,
            group: None,
            name: "unnamed".to_owned(),
        }
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

    pub(crate) fn on_interrupt(interrupt: impl Fn() + Clone + Send + 'static) -> io::Result<()> {
        super::on_ctrl_c(interrupt)
    }

    /// Time between two checks whether a child has ended.
    const POLL_INTERVAL: Duration = Duration::from_millis(5);

    pub(crate) fn give_own_group(_command: &mut Command) {}

    pub(crate) fn wait(_id: u32, child: &Mutex<Child>) -> (Option<i32>, Option<i32>) {
        loop {
            let ended = child
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .try_wait();
            match ended {
                Ok(None) => thread::sleep(POLL_INTERVAL),
                Ok(Some(status)) => return (status.code(), None),
                Err(_) => return (None, None),
            }
        }
    }

    pub(crate) fn send(_id: u32, _signal: Signal, _to_group: bool) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "signals are not supported on this system",
        ))
    }

    pub(crate) fn kill_group(_id: u32, child: &Mutex<Child>) -> io::Result<()> {
        child.lock().unwrap_or_else(PoisonError::into_inner).kill()
    }
}
