//! A thread that waits for its connection: a handler that reads a body, or
//! whoever has taken a connection over.
//!
//! The lot tells of changes as it does for those who are parked. A change is
//! noted until somebody waits for it, so a thread that waits for X only after
//! X has said "not yet" misses none.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use super::Wait;
use super::spots::Changes;

/// What happens to one connection, for the threads that have it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    noted: Mutex<Noted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Noted {
    input: bool,
    room: bool,
    /// Its spot is free: nothing will be noted any more.
    over: bool,
}

impl Watch {
    /// Waits for input or room, until the connection has ended, until
    /// `deadline`, or until `enough` says so; it is asked again when the server
    /// is in a new phase.
    pub(crate) fn wait(
        &self,
        wait: Wait,
        deadline: Option<Instant>,
        enough: &mut dyn FnMut() -> bool,
    ) {
        let mut noted = self.lock();
        loop {
            let flag = match wait {
                Wait::Input => &mut noted.input,
                Wait::Room | Wait::Piece | Wait::Turn => &mut noted.room,
            };
            if std::mem::take(flag) || noted.over || enough() {
                return;
            }
            let Some(deadline) = deadline else {
                noted = self
                    .changed
                    .wait(noted)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            noted = self
                .changed
                .wait_timeout(noted, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(super) fn note(&self, changes: Changes) {
        let mut noted = self.lock();
        noted.input |= changes.input;
        noted.room |= changes.room;
        drop(noted);
        self.changed.notify_all();
    }

    /// The server is in a new phase.
    pub(super) fn stir(&self) {
        // Under the lock, so that nobody is between asking and waiting.
        drop(self.lock());
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
