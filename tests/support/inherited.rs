//! What a child process inherits of the signals of this one.

use std::fs;
use std::sync::Arc;
use std::sync::Once;

use rustix::process::Signal;

/// Has every child begin with SIGHUP, SIGINT and SIGTERM as they are by
/// default, even if they are ignored here: SIGINT is in the background of a
/// script, and SIGHUP under `nohup`.
///
/// A signal that is ignored is so in a child too; one that is handled has its
/// default effect there. So what is ignored gets a handler that does nothing.
pub(crate) fn begin_with_default_signals() {
    static ONCE: Once = Once::new();

    ONCE.call_once(|| {
        for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
            if is_ignored("self", signal) {
                signal_hook::flag::register(signal.as_raw(), Arc::default()).unwrap();
            }
        }
    });
}

/// Whether a process ignores a signal, where the system tells. Its id may be
/// `self`.
pub(crate) fn is_ignored(process: &str, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap());
    mask & (1 << (signal.as_raw() - 1)) != 0
}
