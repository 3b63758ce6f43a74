//! Whether a server shares its listening socket.

use std::io;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Whether the server shares its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// Only this server has the listener. When it stops, the kernel refuses new
    /// connections, and the server serves those in the backlog.
    Sole,
    /// Another process or another handle has the listener too, and goes on
    /// accepting: with socket activation, or in a restart that passes the listener
    /// on. When the server stops, it only stops accepting. The backlog is left to
    /// the other holder.
    Shared,
}

/// The ownership of a listener, until the stop has used it.
#[derive(Debug)]
pub(crate) struct ListenerOwnership(Mutex<State>);

#[derive(Debug)]
struct State {
    ownership: Ownership,
    /// The stop has begun to treat the accept queue by the ownership.
    is_fixed: bool,
}

impl ListenerOwnership {
    pub(crate) fn new(ownership: Ownership) -> Self {
        Self(Mutex::new(State {
            ownership,
            is_fixed: false,
        }))
    }

    pub(crate) fn get(&self) -> Ownership {
        self.lock().ownership
    }

    /// Fixes the ownership, and returns it. The lock makes this and a change of the
    /// ownership come one after the other: either the stop goes by the change, or the
    /// change is refused.
    pub(crate) fn fix(&self) -> Ownership {
        let mut state = self.lock();
        state.is_fixed = true;
        state.ownership
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.lock().is_fixed
    }

    /// Changes the ownership after `prepare`. Returns whether it was not fixed yet.
    pub(crate) fn change(
        &self,
        ownership: Ownership,
        prepare: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<bool> {
        let mut state = self.lock();
        if state.is_fixed {
            return Ok(false);
        }
        prepare()?;
        state.ownership = ownership;
        Ok(true)
    }

    /// The lock guards plain values, which are consistent even if a holder panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
