//! Ctrl+C ends the drill, and the server with it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use super::Failure;
use super::server::Server;
use super::system;

/// Whether the drill was interrupted, and the server that would be left behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    interrupted: bool,
    server: Weak<Server>,
}

impl Interrupt {
    /// Has every signal that ends this process kill the server first. What the
    /// drill waits for then, it waits for in vain no longer.
    pub(super) fn handle() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let here = interrupt.clone();
        system::on_interrupt(move || here.interrupt())
            .map_err(|error| Failure::error(format!("cannot handle signals: {error}")))?;
        Ok(interrupt)
    }

    /// Starts a server that an interrupt is to kill.
    pub(super) fn watch(
        &self,
        start: impl FnOnce() -> Result<Server, Failure>,
    ) -> Result<Arc<Server>, Failure> {
        // The lock is held over the start, so that no interrupt falls between
        // it and the note of it.
        let mut state = self.state();
        if state.interrupted {
            return Err(Failure::interrupted());
        }
        let server = Arc::new(start()?);
        state.server = Arc::downgrade(&server);
        Ok(server)
    }

    /// An error if the drill was interrupted.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.state().interrupted {
            true => Err(Failure::interrupted()),
            false => Ok(()),
        }
    }

    fn interrupt(&self) {
        let mut state = self.state();
        state.interrupted = true;
        if let Some(server) = state.server.upgrade() {
            server.kill();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
