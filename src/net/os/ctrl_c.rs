//! Ctrl+C, by the crate `ctrlc`.

use std::io;

use super::ReceivedSignal;
use super::SignalEffect;

/// Calls `received` for each Ctrl+C, on a thread that `ctrlc` starts and that
/// lives until the process ends. Then calls `end` if the result is
/// [`SignalEffect::EndProcess`].
pub(super) fn handle(
    received: fn(ReceivedSignal) -> SignalEffect,
    end: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let handler = move || match received(ReceivedSignal::InterruptOrTerminate) {
        SignalEffect::Nothing => {}
        SignalEffect::EndProcess => end(),
    };
    ctrlc::set_handler(handler).map_err(|error| match error {
        ctrlc::Error::System(error) => error,
        other => io::Error::other(other),
    })
}
