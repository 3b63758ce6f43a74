//! Ctrl+C, SIGTERM and SIGHUP end the drill and its server.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use super::DrillError;
use super::server::Server;
use super::system;

/// Whether the drill was interrupted, and the server that an interrupt kills.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<Mutex<InterruptState>>);

#[derive(Debug, Default)]
struct InterruptState {
    interrupted: bool,
    server: Weak<Server>,
}

impl Interrupt {
    /// Makes each of these signals kill the server. The drill then notices that
    /// the server has ended, whatever it waits for.
    pub(super) fn handle() -> Result<Self, DrillError> {
        let interrupt = Self::default();
        let shared = interrupt.clone();
        system::on_interrupt(move || shared.interrupt())
            .map_err(|error| DrillError::failed(format!("cannot handle signals: {error}")))?;
        Ok(interrupt)
    }

    /// Starts a server that an interrupt kills.
    pub(super) fn start_server(
        &self,
        start: impl FnOnce() -> Result<Server, DrillError>,
    ) -> Result<Arc<Server>, DrillError> {
        // The lock is held until the server is registered, so that an interrupt
        // during its start kills it too.
        let mut state = self.state();
        if state.interrupted {
            return Err(DrillError::interrupted());
        }
        let server = Arc::new(start()?);
        state.server = Arc::downgrade(&server);
        Ok(server)
    }

    /// Returns an error if the drill was interrupted.
    pub(super) fn check(&self) -> Result<(), DrillError> {
        match self.state().interrupted {
            true => Err(DrillError::interrupted()),
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

    fn state(&self) -> MutexGuard<'_, InterruptState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
