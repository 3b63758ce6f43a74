//! Where a handler reads the rest of its request's body: from the connection,
//! which is in its worker's slot meanwhile, so that a stop can take it away at
//! any time. The thread that reads waits for the socket itself: it needs no other
//! worker to be free.

use std::io;
use std::io::PipeReader;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use socket2::SockRef;

use super::connection::Connection;
use super::connection::Pulled;
use super::in_flight::InFlight;
use super::services::Services;
use crate::journal::Journal;
use crate::journal::note;
use crate::os;
use crate::os::Ready;
use crate::service::request_body::BodyError;
use crate::service::request_body::Inlet;

/// It holds no handle of the engine: a body that outlives its server keeps
/// nothing of the application's alive.
pub(super) struct SlotBodySource {
    journal: Arc<Journal>,
    slot: Arc<InFlight>,
    /// The exchange that it is the body of. Another request may be in the slot
    /// when a handler has given its body to a thread, and returned.
    exchange: (u64, u64),
    /// Once it had to wait.
    watched: Option<Watched>,
    trailers: Option<Box<HeaderMap>>,
}

/// What a thread waits for. It is the thread's own, so that the connection may
/// end meanwhile.
pub(super) struct Watched {
    socket: TcpStream,
    /// Closed when the connection goes on without the body, or ends.
    over: PipeReader,
}

/// What a look at the connection gave.
enum Tried {
    Done(Result<usize, BodyError>),
    Wait(Ready, Instant),
}

impl SlotBodySource {
    pub(super) fn new(services: &Services, slot: Arc<InFlight>, exchange: (u64, u64)) -> Self {
        Self {
            journal: Arc::clone(&services.journal),
            slot,
            exchange,
            watched: None,
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
        if self.watched.is_none() {
            match connection.watch_body() {
                Ok((socket, over)) => self.watched = Some(Watched { socket, over }),
                Err(error) => {
                    let text = "cannot wait for the body of";
                    note!(self.journal, Error, "{text} {connection:?}: {error}");
                    return Tried::Done(Err(BodyError::GONE));
                }
            }
        }
        Tried::Wait(ready, until)
    }

    fn wait(&self, ready: Ready, until: Instant) -> io::Result<()> {
        let Some(Watched { socket, over }) = &self.watched else {
            return Ok(());
        };
        let timeout = until.saturating_duration_since(Instant::now());
        os::wait_until_ready(&SockRef::from(socket), ready, Some(timeout), &[over])
    }
}

impl Inlet for SlotBodySource {
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
                Tried::Done(result) => return result,
                Tried::Wait(ready, until) => {
                    if let Err(error) = self.wait(ready, until) {
                        note!(self.journal, Error, "cannot wait for a body: {error}");
                        return Err(BodyError::GONE);
                    }
                }
            }
        }
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        self.trailers.take()
    }
}
