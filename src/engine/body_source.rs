//! Where a handler reads the rest of its request's body. The bytes come from the
//! connection, which is in its worker's slot meanwhile, so that a stop can take it
//! away at any time. The thread that reads waits for the socket itself: it does not
//! need a free worker.

use std::io;
use std::io::PipeReader;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::StatusCode;

use super::connection::Connection;
use super::connection::Pulled;
use super::in_flight::InFlight;
use super::services::Services;
use crate::http1::Refusal;
use crate::journal::Journal;
use crate::journal::note;
use crate::message::request_body::BodyError;
use crate::message::request_body::BodySource;
use crate::net::os::Ready;
use crate::net::stream::Stream;

/// It holds no handle of the engine, so a body that outlives its server does not keep
/// the handler alive.
pub(super) struct SlotBodySource {
    journal: Arc<Journal>,
    slot: Arc<InFlight>,
    /// The exchange that the body belongs to. A handler may give its body to another
    /// thread and return; then another exchange may be in the slot.
    exchange: (u64, u64),
    /// Ends when the connection goes on without the body, or is closed. `None` until
    /// a read has to wait.
    over: Option<PipeReader>,
    trailers: Option<Box<HeaderMap>>,
}

/// The result of one attempt to read from the connection.
enum Tried {
    Done(Result<usize, BodyError>),
    /// Wait on this handle of the socket: the connection may be closed meanwhile.
    Wait(Stream, Ready, Instant),
}

impl SlotBodySource {
    pub(super) fn new(services: &Services, slot: Arc<InFlight>, exchange: (u64, u64)) -> Self {
        Self {
            journal: Arc::clone(&services.journal),
            slot,
            exchange,
            over: None,
            trailers: None,
        }
    }

    fn try_read(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Tried {
        let (ready, until) = match connection.pull_body(buffer, Instant::now()) {
            Pulled::Bytes(count) => return Tried::Done(Ok(count)),
            Pulled::End(trailers) => {
                self.trailers = trailers;
                return Tried::Done(Ok(0));
            }
            Pulled::Failed(error) => return Tried::Done(Err(error)),
            Pulled::Wait(ready, until) => (ready, until),
        };
        if self.over.is_none() {
            match connection.leave_to_handler() {
                Ok(over) => self.over = Some(over),
                Err(error) => return Tried::Done(Err(self.cannot_wait(&error))),
            }
        }
        Tried::Wait(connection.share_stream(), ready, until)
    }

    fn cannot_wait(&self, error: &io::Error) -> BodyError {
        note!(
            self.journal,
            Error,
            "cannot wait for the rest of a request body: {error}"
        );
        let status = StatusCode::SERVICE_UNAVAILABLE;
        BodyError::refused(Refusal::new(
            status,
            "the server cannot read the request body",
        ))
    }
}

impl BodySource for SlotBodySource {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let slot = Arc::clone(&self.slot);
        loop {
            let tried = slot.slot.with_connection(|connection| match connection {
                Some(connection) if connection.exchange_number() == self.exchange => {
                    self.try_read(connection, buffer)
                }
                _ => Tried::Done(Err(BodyError::OVER)),
            });
            match tried {
                Tried::Done(result) => {
                    if result == Err(BodyError::OVER) {
                        self.over = None;
                    }
                    return result;
                }
                Tried::Wait(stream, ready, until) => {
                    let waited = stream.wait(ready, Some(until), self.over.as_slice());
                    if let Err(error) = waited {
                        return Err(self.cannot_wait(&error));
                    }
                }
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }
}
