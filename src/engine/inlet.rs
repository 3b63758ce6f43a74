//! How a handler reads the rest of its request's body: through the connection,
//! which lies on its worker's desk meanwhile, so that an abort can take it away
//! at any time.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;

use super::Engine;
use super::connection::Pulled;
use super::lot::Watch;
use super::worker::Desk;
use crate::service::request_body::BodyError;
use crate::service::request_body::Inlet;

pub(super) struct DeskInlet {
    engine: Arc<Engine>,
    desk: Arc<Desk>,
    /// Whose body it is. Another request may lie on the desk when a handler has
    /// given its body to a thread, and returned.
    exchange: (u64, u64),
    /// Once it had to wait.
    watch: Option<Arc<Watch>>,
    trailers: Option<Box<HeaderMap>>,
}

impl DeskInlet {
    pub(super) fn new(engine: Arc<Engine>, desk: Arc<Desk>, exchange: (u64, u64)) -> Self {
        Self {
            engine,
            desk,
            exchange,
            watch: None,
            trailers: None,
        }
    }
}

impl Inlet for DeskInlet {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        loop {
            let mark = self.watch.as_ref().map(|watch| watch.mark());
            let mut desk = self.desk.lock();
            let Some(connection) = desk
                .as_mut()
                .filter(|connection| connection.exchange_number() == self.exchange)
            else {
                return Err(BodyError::OVER);
            };
            let (wait, until) = match connection.pull_body(buffer, Instant::now()) {
                Pulled::Bytes(count) => return Ok(count),
                Pulled::End(trailers) => {
                    self.trailers = trailers;
                    return Ok(0);
                }
                Pulled::Failed(error) => return Err(error),
                Pulled::Wait(wait, until) => (wait, until),
            };
            let (Some(watch), Some(mark)) = (&self.watch, mark) else {
                let watch = self.engine.lot.watch(connection).map_err(|error| {
                    log::error!("cannot wait for {connection:?}: {error}");
                    BodyError::GONE
                })?;
                // And tries again: what came before there was a watch is not noted.
                self.watch = Some(watch);
                continue;
            };
            // Whoever takes the connection from the desk ends the watch.
            drop(desk);
            watch.wait(wait, mark, Some(until), &mut || false);
        }
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }
}
