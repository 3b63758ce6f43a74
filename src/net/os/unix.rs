//! Unix: SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::ReceivedSignal;
use super::SignalEffect;
use super::StopSignals;
use super::ctrl_c;
use super::ignored_signals;

/// What this process handles so far. It stays as it is after an error: a handler that is
/// set by then cannot be removed.
static HANDLED: Mutex<Handled> = Mutex::new(Handled {
    interrupt_and_terminate: None,
    hangup: None,
});

/// The results of setting the handlers; `None` where none has been set.
struct Handled {
    interrupt_and_terminate: Option<Result<(), KeptError>>,
    hangup: Option<Result<(), KeptError>>,
}

/// An error that can be returned again.
#[derive(Clone, Debug)]
enum KeptError {
    /// With its number in the system.
    System(i32),
    Other(String),
}

impl From<io::Error> for KeptError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::System(number),
            None => Self::Other(error.to_string()),
        }
    }
}

impl From<KeptError> for io::Error {
    fn from(error: KeptError) -> Self {
        match error {
            KeptError::System(number) => Self::from_raw_os_error(number),
            KeptError::Other(text) => Self::other(text),
        }
    }
}

/// Calls `received` for each of these signals, on threads that live until the process
/// ends. A signal that the process ignores stays ignored. Each signal is handled once,
/// however often this is called.
pub(crate) fn handle_signals(
    wanted: StopSignals,
    received: fn(ReceivedSignal) -> SignalEffect,
) -> io::Result<()> {
    let mut handled = HANDLED.lock().unwrap_or_else(PoisonError::into_inner);
    let wants_hangup = wanted.have(ReceivedSignal::Hangup);
    let result = match (&handled.interrupt_and_terminate, &handled.hangup) {
        (None, _) => {
            let result = handle_first(wants_hangup, received).map_err(KeptError::from);
            handled.interrupt_and_terminate = Some(result.clone());
            if wants_hangup {
                handled.hangup = Some(result.clone());
            }
            result
        }
        (Some(Ok(())), None) if wants_hangup => {
            let result = watch_not_ignored(&[SIGHUP], received).map_err(KeptError::from);
            handled.hangup = Some(result.clone());
            result
        }
        (Some(Ok(())), Some(hangup)) if wants_hangup => hangup.clone(),
        (Some(result), _) => result.clone(),
    };
    result.map_err(io::Error::from)
}

/// Handles SIGINT and SIGTERM, and SIGHUP if it is wanted.
fn handle_first(
    wants_hangup: bool,
    received: fn(ReceivedSignal) -> SignalEffect,
) -> io::Result<()> {
    let wanted: &[i32] = match wants_hangup {
        true => &[SIGINT, SIGTERM, SIGHUP],
        false => &[SIGINT, SIGTERM],
    };
    // `ctrlc` handles SIGINT. With its feature `termination`, which any crate of
    // the program may have turned on, it handles the other two as well, wanted and
    // ignored or not. So it is not used unless all three are wanted, and none is ignored.
    let ignored = ignored_signals();
    if !wants_hangup || wanted.iter().any(|&signal| is_in(ignored, signal)) {
        return watch_not_ignored(wanted, received);
    }
    watch(vec![SIGTERM, SIGHUP], received)?;
    // After `watch`: with `termination`, `ctrlc` then replaces the handlers of
    // `watch`, and no signal arrives twice.
    ctrl_c::handle(received, || end_process(SIGINT))
}

fn is_in(signals: u64, signal: i32) -> bool {
    signals & (1 << (signal - 1)) != 0
}

/// Waits for those of the signals that the process does not ignore.
fn watch_not_ignored(
    signals: &[i32],
    received: fn(ReceivedSignal) -> SignalEffect,
) -> io::Result<()> {
    let ignored = ignored_signals();
    let mut signals = signals.to_vec();
    signals.retain(|&signal| !is_in(ignored, signal));
    match signals.is_empty() {
        true => Ok(()),
        false => watch(signals, received),
    }
}

/// Waits for these signals on a thread of its own.
fn watch(signals: Vec<i32>, received: fn(ReceivedSignal) -> SignalEffect) -> io::Result<()> {
    // The new thread sets the handlers, so if it cannot be started, the signals
    // keep their default effect.
    let (sender, result) = mpsc::channel();
    let wait = move || match Signals::new(signals) {
        Ok(mut signals) => {
            // It fails only if no thread waits for the result.
            let _ = sender.send(Ok(()));
            for signal in signals.forever() {
                let which = match signal {
                    SIGHUP => ReceivedSignal::Hangup,
                    _ => ReceivedSignal::InterruptOrTerminate,
                };
                match received(which) {
                    SignalEffect::Nothing => {}
                    SignalEffect::EndProcess => end_process(signal),
                }
            }
        }
        Err(error) => {
            let _ = sender.send(Err(error));
        }
    };
    thread::Builder::new()
        .name("farewell-signal".to_owned())
        .spawn(wait)?;
    result
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread for signals has ended")))
}

/// Ends the process by this signal.
fn end_process(signal: i32) {
    // It fails only for a signal without a known default action.
    let _ = low_level::emulate_default_handler(signal);
}
