//! The acceptor: brings in connections while the server runs; at the end it
//! closes the door, sweeps up those whom the kernel has let in, and goes.

use std::cell::Cell;
use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::connection::Connection;
use super::queue::Sender;
use crate::drain::phase::Phase;
use crate::net::listener::Accepted;
use crate::net::listener::Listener;
use crate::net::listener::Ownership;
use crate::net::stream::Stream;

/// How long to leave the kernel alone when it is out of something, unless a
/// connection closes earlier.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How often to look whether handshakes are still half-open. Nothing reports
/// it.
const SETTLE_LOOK: Duration = Duration::from_millis(2);

/// The acceptor's thread, and all that it holds. Dropping it says that no
/// connection will come, and drops one of the queue's two senders.
pub(crate) struct Acceptor {
    engine: Arc<Engine>,
    listener: Listener,
    queue: Sender,
    /// Accepting fails since a while; it was logged when it began.
    out_of_resources: Cell<bool>,
}

impl Acceptor {
    pub(crate) fn new(engine: Arc<Engine>, listener: Listener, queue: Sender) -> Self {
        Self {
            engine,
            listener,
            queue,
            out_of_resources: Cell::new(false),
        }
    }

    /// Accepts until the server stops; then cleans up.
    pub(crate) fn run(self) {
        self.accept_until_stopped();
        self.engine.set_acceptor_awake();
        match self.listener.ownership() {
            Ownership::Sole => self.sweep(),
            // Its backlog is the business of whoever goes on with it.
            Ownership::Shared => {}
        }
    }

    fn accept_until_stopped(&self) {
        while !self.stopping() {
            if !self.wait_for_a_place(None, || self.stopping()) {
                return;
            }
            match self.listener.accept() {
                Accepted::Connection(socket, peer) => self.admit(socket, peer),
                Accepted::Nobody => {}
                Accepted::Failed(error) => self.back_off(&error),
            }
        }
    }

    /// Serves those whom the kernel has let in, down to the last one.
    ///
    /// With the door closed their number only falls, so this ends when they
    /// have been accepted and no handshake is half-open. Where the door stays
    /// open it ends when the backlog is found empty, or after `settle`.
    fn sweep(&self) {
        let config = &self.engine.config;
        let settled = Instant::now() + config.settle;
        let closed = self.close_door();
        if let Err(error) = self.listener.set_nonblocking(true) {
            log::error!("cannot sweep the backlog: {error}");
            return;
        }
        let end = || match closed {
            true => self.engine.life.deadline().map(|at| at + config.linger),
            false => Some(settled),
        };
        loop {
            // Counted before the backlog is emptied: a handshake that ends in
            // between is found there. The other way round it would be lost.
            let half_open = if closed { self.listener.half_open() } else { 0 };
            if !self.empty_backlog(end) || half_open == 0 {
                return;
            }
            if Instant::now() >= settled {
                log::warn!("{half_open} handshakes did not end within the settle time");
                return;
            }
            let look = Instant::now() + SETTLE_LOOK;
            self.engine.life.wait_for_phase(Phase::Aborting, Some(look));
        }
    }

    fn close_door(&self) -> bool {
        if !self.engine.config.close_door {
            return false;
        }
        match self.listener.close_door() {
            Ok(()) => {
                self.engine.life.door_closed();
                true
            }
            Err(error) => {
                log::info!("new connections cannot be refused while the backlog is swept: {error}");
                false
            }
        }
    }

    /// Accepts until there is nobody. `false` if `end` came first.
    fn empty_backlog(&self, end: impl Fn() -> Option<Instant>) -> bool {
        let over = || end().is_some_and(|end| Instant::now() >= end);
        loop {
            if over() || !self.wait_for_a_place(end(), || false) {
                log::warn!("the backlog was not empty when the listener closed");
                return false;
            }
            match self.listener.accept() {
                Accepted::Connection(socket, peer) => self.admit(socket, peer),
                Accepted::Nobody => return true,
                Accepted::Failed(error) => self.back_off(&error),
            }
        }
    }

    fn admit(&self, socket: TcpStream, peer: SocketAddr) {
        if self.engine.knocker.knows(peer) {
            return;
        }
        let stream = match Stream::new(socket) {
            Ok(stream) => stream,
            Err(error) => {
                log::warn!("{peer} was gone before it could be served: {error}");
                return;
            }
        };
        let mut local = self.listener.address();
        if local.ip().is_unspecified() {
            local = stream.local_addr().unwrap_or(local);
        }
        if self.out_of_resources.replace(false) {
            log::info!("accepting again");
        }
        let ticket = self.engine.books.connection_accepted();
        let connection = Connection::new(stream, peer, local, ticket, Instant::now());
        self.queue.send(Box::new(connection));
    }

    /// Waits until one more connection may be open. At the limit the others
    /// stay in the kernel's queue.
    fn wait_for_a_place(&self, until: Option<Instant>, give_up: impl Fn() -> bool) -> bool {
        let has_place = || self.engine.books.open() < self.engine.config.max_connections;
        if has_place() {
            return true;
        }
        self.engine
            .life
            .wait_for_counts(until, || has_place() || give_up());
        has_place()
    }

    /// After a failed accept. The listener is all right whatever the error:
    /// either that one client is gone, or something is used up, which a
    /// connection that closes may give back.
    fn back_off(&self, error: &io::Error) {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
        ) {
            return;
        }
        if !self.out_of_resources.replace(true) {
            log::warn!("cannot accept for the moment: {error}");
        }
        let open = self.engine.books.open();
        let stopping = self.stopping();
        self.engine
            .life
            .wait_for_counts(Some(Instant::now() + BACK_OFF), || {
                self.engine.books.open() < open || self.stopping() != stopping
            });
    }

    fn stopping(&self) -> bool {
        self.engine.life.phase() >= Phase::Draining
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.engine.set_acceptor_awake();
        self.engine.books.no_more_connections();
        self.engine.lot.wake_up();
    }
}
