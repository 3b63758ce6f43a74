//! The signal dispositions that a child process inherits from this process.

use std::fs;
use std::sync::Arc;
use std::sync::Once;

use rustix::process::Signal;

/// Makes every child process begin with the default SIGHUP, SIGINT and SIGTERM, even if
/// this process ignores them. A shell script ignores SIGINT in background jobs, and
/// `nohup` ignores SIGHUP.
///
/// A child inherits an ignored signal; a signal with a handler has its default effect in
/// the child. So each ignored signal gets a handler that does nothing.
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

/// Whether a process ignores a signal. `process` is a process id, or `self`. Returns
/// `false` if the system has no `/proc`.
pub(crate) fn is_ignored(process: &str, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap());
    mask & (1 << (signal.as_raw() - 1)) != 0
}
