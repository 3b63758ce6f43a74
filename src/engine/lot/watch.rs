//! A thread that waits for its connection: a handler that reads a body, or
//! whoever has taken a connection over.
//!
//! The lot tells of changes as it does for those who are parked. A thread takes
//! a mark, tries, and waits for what has changed since its mark: so it misses
//! nothing, and threads that share a connection take nothing from each other.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use super::Wait;
use super::spots::Changes;
use crate::waiting::wait_until;

/// What happens to one connection, for the threads that have it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    noted: Mutex<Noted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Noted {
    changes: Mark,
    /// Nothing will be noted any more.
    over: bool,
}

/// How often input, and room, have been noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    input: u64,
    room: u64,
}

impl Watch {
    /// What has been noted so far. To be taken before a try.
    pub(crate) fn mark(&self) -> Mark {
        self.lock().changes
    }

    /// Waits for input or room since `mark`, until the watch is over, until
    /// `deadline`, or until `enough` says so; it is asked again when the server
    /// is in a new phase.
    pub(crate) fn wait(
        &self,
        wait: Wait,
        mark: Mark,
        deadline: Option<Instant>,
        enough: &mut dyn FnMut() -> bool,
    ) {
        // Whatever ends it: the caller tries again.
        wait_until(&self.changed, self.lock(), deadline, |noted| {
            let changed = match wait {
                Wait::Input => noted.changes.input != mark.input,
                Wait::Room | Wait::Piece | Wait::Turn | Wait::Soon => {
                    noted.changes.room != mark.room
                }
            };
            changed || noted.over || enough()
        });
    }

    pub(super) fn note(&self, changes: Changes) {
        let mut noted = self.lock();
        noted.changes.input += u64::from(changes.input);
        noted.changes.room += u64::from(changes.room);
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
