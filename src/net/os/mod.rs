//! What differs between operating systems: small functions, each with a portable
//! version for systems that do not support it.

mod backlog;
#[cfg(feature = "signals")]
mod ctrl_c;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(unix))]
mod no_unix_socket;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
#[cfg(unix)]
mod ready;
#[cfg(unix)]
mod registration;
#[cfg(target_os = "linux")]
mod sock_diag;
#[cfg(all(unix, feature = "signals"))]
mod unix;
#[cfg(unix)]
mod unix_socket;

use std::time::Duration;

pub(crate) use backlog::lengthen_backlog;
#[cfg(target_os = "linux")]
pub(crate) use linux::accepted_is_nonblocking;
#[cfg(target_os = "linux")]
pub(crate) use linux::half_open;
#[cfg(all(target_os = "linux", feature = "signals"))]
use linux::ignored_signals;
#[cfg(target_os = "linux")]
pub(crate) use linux::is_running;
#[cfg(target_os = "linux")]
pub(crate) use linux::limit_unsent;
#[cfg(target_os = "linux")]
pub(crate) use linux::longest_round_trip;
#[cfg(target_os = "linux")]
pub(crate) use linux::nodelay_is_inherited;
#[cfg(target_os = "linux")]
pub(crate) use linux::open_files_max;
#[cfg(target_os = "linux")]
pub(crate) use linux::refuse_new_connections;
#[cfg(target_os = "linux")]
pub(crate) use linux::refuse_new_unix_connections;
#[cfg(target_os = "linux")]
pub(crate) use linux::send_before_more;
#[cfg(target_os = "linux")]
pub(crate) use linux::send_file;
#[cfg(target_os = "linux")]
pub(crate) use linux::short_read_means_empty;
#[cfg(target_os = "linux")]
pub(crate) use linux::thread_number;
#[cfg(target_os = "linux")]
pub(crate) use linux::thread_usage;
#[cfg(not(unix))]
pub(crate) use no_unix_socket::SocketFile;
#[cfg(not(unix))]
pub(crate) use no_unix_socket::UnixSocket;
#[cfg(not(unix))]
pub(crate) use no_unix_socket::is_named;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::accepted_is_nonblocking;
#[cfg(not(unix))]
pub(crate) use portable::deregister;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::half_open;
#[cfg(all(not(unix), feature = "signals"))]
pub(crate) use portable::handle_signals;
#[cfg(all(unix, not(target_os = "linux"), feature = "signals"))]
use portable::ignored_signals;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::is_running;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::limit_unsent;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::longest_round_trip;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::nodelay_is_inherited;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::open_files_max;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::refuse_new_connections;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::refuse_new_unix_connections;
#[cfg(not(unix))]
pub(crate) use portable::register;
#[cfg(not(unix))]
pub(crate) use portable::reregister;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::send_before_more;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::send_file;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::short_read_means_empty;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::thread_number;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::thread_usage;
#[cfg(not(unix))]
pub(crate) use portable::wait_for_any;
#[cfg(not(unix))]
pub(crate) use portable::wait_until_ready;
#[cfg(unix)]
pub(crate) use ready::wait_for_any;
#[cfg(unix)]
pub(crate) use ready::wait_until_ready;
#[cfg(unix)]
pub(crate) use registration::deregister;
#[cfg(unix)]
pub(crate) use registration::register;
#[cfg(unix)]
pub(crate) use registration::reregister;
#[cfg(all(unix, feature = "signals"))]
pub(crate) use unix::handle_signals;
#[cfg(unix)]
pub(crate) use unix_socket::SocketFile;
#[cfg(unix)]
pub(crate) use unix_socket::UnixSocket;
#[cfg(unix)]
pub(crate) use unix_socket::is_named;

/// What a thread waits for at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Bytes, or EOF.
    Input,
    /// Room in the kernel's send buffer.
    Room,
}

/// How much processor time a thread has used so far, and how often it has waited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadUsage {
    processor: Duration,
    waits: u64,
}

impl ThreadUsage {
    /// How long the thread has waited since `before`, which is `took` ago. A
    /// thread that was ready to run and only had no core has not waited.
    pub(crate) fn waited_since(self, before: Self, took: Duration) -> Duration {
        match self.waits > before.waits {
            true => took.saturating_sub(self.processor.saturating_sub(before.processor)),
            false => Duration::ZERO,
        }
    }
}

/// Which signals stop a server.
#[cfg(feature = "signals")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopSignals {
    /// SIGINT, SIGTERM and SIGHUP.
    All,
    /// SIGINT and SIGTERM. SIGHUP keeps its effect.
    InterruptAndTerminate,
}

/// A signal that was received.
#[cfg(feature = "signals")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "these systems have no SIGHUP"))]
pub(crate) enum ReceivedSignal {
    /// SIGINT or SIGTERM.
    InterruptOrTerminate,
    Hangup,
}

#[cfg(feature = "signals")]
impl StopSignals {
    /// Whether this signal stops the server.
    pub(crate) fn have(self, signal: ReceivedSignal) -> bool {
        self == Self::All || signal != ReceivedSignal::Hangup
    }
}

/// What happens after a signal was received.
#[cfg(feature = "signals")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalEffect {
    /// Nothing more.
    Nothing,
    /// The signal ends the process, as it does without a handler.
    EndProcess,
}
