//! What differs between systems: signals, and groups of processes.

use std::io;

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

/// Has `interrupt` called for each Ctrl+C, on a thread of its own.
fn on_ctrl_c(interrupt: impl Fn() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(interrupt).map_err(io::Error::other)
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

    /// Has `interrupt` called for each SIGINT, SIGTERM and SIGHUP, save those
    /// that this process ignores, as SIGHUP under `nohup`.
    ///
    /// Those get a handler that does nothing. To the drill that is the same,
    /// and its server does not inherit it: `--stop INT` stops the server even
    /// if the drill runs in the background of a script.
    pub(in crate::drill) fn on_interrupt(
        interrupt: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<()> {
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

    /// Bit 0 for signal 1, and so on. Linux tells; elsewhere none is known.
    fn ignored_signals() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }

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

    pub(in crate::drill) fn on_interrupt(
        interrupt: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<()> {
        super::on_ctrl_c(interrupt)
    }

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
