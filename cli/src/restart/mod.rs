//! A restart without a gap: SIGUSR2 starts a new process of the program, which gets the
//! listening sockets. The old process stops when the new one is ready to take over. If the
//! new one does not get ready, the old one goes on.
//!
//! ```text
//!   old process                                    new process
//!     SIGUSR2
//!     starts the new process  -- its sockets -->     binds, starts every thread,
//!                                                    and accepts connections
//!                             <--- ready -------
//!                             --- take over --->     owns the sockets
//!                             <--- taken -------
//!     owns them no longer,
//!     tells the supervisor
//!                             --- closes ------->    tells the supervisor
//!     drains, and ends
//! ```
//!
//! The messages go over a pair of sockets that only these two processes have: the new one
//! finds its end at its standard input. Until *taken*, the old process is as it was: if the
//! new one ends, says something else, or says nothing until `--restart-timeout`, it is
//! killed, and the old process goes on. If the old process is asked to stop before *taken*,
//! it asks the new one to stop too. See [`farewell::ListenerHandle`] for why no connection
//! is lost then.

#[cfg(unix)]
mod channel;
#[cfg(unix)]
mod new;
#[cfg(unix)]
mod new_process;
#[cfg(unix)]
mod old;
#[cfg(unix)]
mod program;
#[cfg(not(unix))]
mod unavailable;

#[cfg(unix)]
pub(super) use self::new::Predecessor;
#[cfg(unix)]
pub(super) use self::new::predecessor;
#[cfg(unix)]
pub(super) use self::old::Restarts;
#[cfg(not(unix))]
pub(super) use self::unavailable::Predecessor;
#[cfg(not(unix))]
pub(super) use self::unavailable::Restarts;
#[cfg(not(unix))]
pub(super) use self::unavailable::predecessor;

/// The environment variable that tells a new process of a restart which process has
/// started it.
pub(super) const VARIABLE: &str = "FAREWELL_RESTART";
