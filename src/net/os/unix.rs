//! Unix: SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::sync::mpsc;
use std::thread;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::SignalEffect;
use super::ctrl_c;
use super::ignored_signals;

/// Calls `received` for each SIGINT, SIGTERM and SIGHUP, on threads that live
/// until the process ends. A signal that the process ignores stays ignored.
pub(crate) fn handle_signals(received: fn() -> SignalEffect) -> io::Result<()> {
    let ignored = ignored_signals();
    let mut signals = vec![SIGINT, SIGTERM, SIGHUP];
    signals.retain(|signal| ignored & (1 << (signal - 1)) == 0);
    // `ctrlc` handles SIGINT. With its feature `termination`, which any crate of
    // the program may have turned on, it handles the other two as well, ignored
    // or not. So it is not used when one of the three is ignored.
    let by_ctrlc = signals.len() == 3;
    signals.retain(|&signal| !(by_ctrlc && signal == SIGINT));
    if !signals.is_empty() {
        watch(signals, received)?;
    }
    // After `watch`: with `termination`, `ctrlc` then replaces the handlers of
    // `watch`, and no signal arrives twice.
    if by_ctrlc {
        ctrl_c::handle(received, || end_process(SIGINT))?;
    }
    Ok(())
}

/// Waits for these signals on a thread of its own.
fn watch(signals: Vec<i32>, received: fn() -> SignalEffect) -> io::Result<()> {
    // The new thread sets the handlers, so if it cannot be started, the signals
    // keep their default effect.
    let (sender, result) = mpsc::channel();
    let wait = move || match Signals::new(signals) {
        Ok(mut signals) => {
            // It fails only if no thread waits for the result.
            let _ = sender.send(Ok(()));
            for signal in signals.forever() {
                match received() {
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
