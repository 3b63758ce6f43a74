//! Signals that do something else than to stop the program. The library handles those that
//! stop it.

use super::failure::Failure;

/// A signal with an action of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGHUP
    Hangup,
    /// SIGUSR2
    User2,
}

/// Calls `action` for each such signal, on a thread of its own that lives until the process
/// ends. Signals that arrive while `action` runs cause one more call.
///
/// The signal is handled also if it was ignored when the program started, as SIGHUP is
/// under `nohup`: the action is what the user has asked for, and does not end the program.
/// Where the system has no signals, this does nothing.
pub(super) fn on_signal(
    signal: Signal,
    action: impl FnMut() + Send + 'static,
) -> Result<(), Failure> {
    system::on_signal(signal, action).map_err(|error| {
        let message = format!("cannot handle the signal {}: {error}", signal.name());
        Failure::of_resource(message, &error)
    })
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::User2 => "SIGUSR2",
        }
    }
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::thread;

    use signal_hook::consts::SIGHUP;
    use signal_hook::consts::SIGUSR2;
    use signal_hook::iterator::Signals;

    use super::Signal;

    pub(super) fn on_signal(
        signal: Signal,
        mut action: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let (number, thread) = match signal {
            Signal::Hangup => (SIGHUP, "farewell-sighup"),
            Signal::User2 => (SIGUSR2, "farewell-sigusr2"),
        };
        // Set here, and not by the thread: from the return on, the signal does not end the
        // program. If the thread cannot be started, the program ends with that error.
        let mut signals = Signals::new([number])?;
        let wait = move || {
            for _ in signals.forever() {
                action();
            }
        };
        thread::Builder::new().name(thread.to_owned()).spawn(wait)?;
        Ok(())
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::Signal;

    pub(super) fn on_signal(_: Signal, _: impl FnMut() + Send + 'static) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_signal_causes_its_action_again_and_again() {
        let (called, calls) = mpsc::channel();
        on_signal(Signal::User2, move || called.send(()).unwrap()).unwrap();
        for _ in 0..3 {
            signal_hook::low_level::raise(signal_hook::consts::SIGUSR2).unwrap();
            calls.recv_timeout(Duration::from_secs(60)).unwrap();
        }
    }
}
