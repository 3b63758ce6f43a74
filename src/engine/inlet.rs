//! How a handler reads the rest of its request's body: through the connection,
//! which is in its worker's in-flight slot meanwhile, so that an abort can take
//! it away at any time.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;

use super::Engine;
use super::connection::Connection;
use super::connection::Pulled;
use super::in_flight::InFlight;
use super::lot::Lot;
use super::lot::Wait;
use super::lot::Watch;
use crate::journal::Journal;
use crate::journal::note;
use crate::service::request_body::BodyError;
use crate::service::request_body::Inlet;

/// It holds no handle of the engine: a body that outlives its server keeps
/// nothing of the application's alive.
pub(super) struct SlotInlet {
    lot: Arc<Lot>,
    journal: Arc<Journal>,
    slot: Arc<InFlight>,
    /// The exchange that it is the body of. Another request may be in the slot
    /// when a handler has given its body to a thread, and returned.
    exchange: (u64, u64),
    /// Once it had to wait.
    watch: Option<Arc<Watch>>,
    trailers: Option<Box<HeaderMap>>,
}

/// What a look at the connection gave.
enum Tried {
    Done(Result<usize, BodyError>),
    /// There is a watch now: what came before is not noted, so try again.
    Again,
    Wait(Wait, Instant),
}

impl SlotInlet {
    pub(super) fn new(engine: &Engine, slot: Arc<InFlight>, exchange: (u64, u64)) -> Self {
        Self {
            lot: Arc::clone(&engine.lot),
            journal: Arc::clone(&engine.journal),
            slot,
            exchange,
            watch: None,
            trailers: None,
        }
    }

    fn try_read(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Tried {
        let (wait, until) = match connection.pull_body(buffer, Instant::now()) {
            Pulled::Bytes(count) => return Tried::Done(Ok(count)),
            Pulled::End(trailers) => {
                self.trailers = trailers;
                return Tried::Done(Ok(0));
            }
            Pulled::Failed(error) => return Tried::Done(Err(error)),
            Pulled::Wait(wait, until) => (wait, until),
        };
        if self.watch.is_some() {
            return Tried::Wait(wait, until);
        }
        match self.lot.watch(connection) {
            Ok(watch) => {
                self.watch = Some(watch);
                Tried::Again
            }
            Err(error) => {
                note!(
                    self.journal,
                    Error,
                    "cannot wait for {connection:?}: {error}"
                );
                Tried::Done(Err(BodyError::GONE))
            }
        }
    }
}

impl Inlet for SlotInlet {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let slot = Arc::clone(&self.slot);
        loop {
            let mark = self.watch.as_ref().map(|watch| watch.mark());
            let tried = slot.with_connection(|connection| match connection {
                Some(connection) if connection.exchange_number() == self.exchange => {
                    self.try_read(connection, buffer)
                }
                _ => Tried::Done(Err(BodyError::OVER)),
            });
            match (tried, &self.watch, mark) {
                (Tried::Done(result), ..) => return result,
                // Taking the connection from the slot ends the watch.
                (Tried::Wait(wait, until), Some(watch), Some(mark)) => {
                    watch.wait(wait, mark, Some(until), &mut || false);
                }
                (Tried::Again | Tried::Wait(..), ..) => {}
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }
}
