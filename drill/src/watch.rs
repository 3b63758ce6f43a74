//! The state that the threads of one round share.

use std::io;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use super::DrillError;
use super::server::Exit;

/// Shared by the clients, by the thread that waits for the server's end, and by
/// the thread that runs the round.
#[derive(Debug, Default)]
pub(super) struct RoundWatch {
    state: Mutex<RoundState>,
    changed: Condvar,
    /// Taken just before the server is told to stop.
    stop: OnceLock<Instant>,
    /// The same as `state.exit.is_some()`, but without the lock: the clients
    /// check it before each attempt.
    server_ended: AtomicBool,
}

/// What the threads can wait for.
#[derive(Debug, Default)]
pub(super) struct RoundState {
    pub(super) exit: Option<Exit>,
    /// Whether a client has got a response with the expected status, or with
    /// one below 500.
    pub(super) answered: bool,
    /// The server has answered the request to stop with a status that is not
    /// 2xx.
    pub(super) stop_rejected: bool,
    /// Clients whose threads have not ended.
    pub(super) clients_running: usize,
    /// Why this machine cannot make connections.
    pub(super) local_error: Option<io::Error>,
}

impl RoundState {
    /// Returns an error if this machine cannot make connections.
    pub(super) fn check(&self) -> Result<(), DrillError> {
        match &self.local_error {
            Some(error) => Err(DrillError::failed(format!(
                "this machine cannot make connections: {error}"
            ))),
            None => Ok(()),
        }
    }
}

impl RoundWatch {
    /// Waits until the state satisfies `holds`, or until the deadline. Returns
    /// whether it does.
    pub(super) fn wait(&self, until: Instant, holds: impl Fn(&RoundState) -> bool) -> bool {
        let mut state = self.state();
        loop {
            if holds(&state) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Changes the state and wakes every thread that waits for it.
    pub(super) fn update(&self, change: impl FnOnce(&mut RoundState)) {
        let mut state = self.state();
        change(&mut state);
        if state.exit.is_some() {
            self.server_ended.store(true, Relaxed);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RoundState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the stop as happening now, and returns the time of the first such
    /// call.
    pub(super) fn mark_stop(&self) -> Instant {
        *self.stop.get_or_init(Instant::now)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.get().is_some()
    }

    pub(super) fn server_has_ended(&self) -> bool {
        self.server_ended.load(Relaxed)
    }

    /// Sleeps until the time has passed or the server has ended. Returns
    /// whether the server still runs.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        !self.wait(Instant::now() + time, |state| state.exit.is_some())
    }
}
