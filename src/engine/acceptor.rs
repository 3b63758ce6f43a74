//! The acceptor: brings in connections while the server runs; at the end it
//! closes the door, sweeps up those whom the kernel has let in, and goes.

use std::cell::Cell;
use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::connection::Connection;
use super::connection::New;
use super::services::Services;
use super::shard::Suspend;
use super::shard::Suspended;
use super::shard::Wait;
use crate::drain::phase::Phase;
use crate::journal::note;
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

/// How many looks in a row have to find none.
const LOOKS: u32 = 2;

/// The acceptor's thread, and all that it holds. Dropping it says that no
/// connection will come.
pub(crate) struct Acceptor {
    engine: Arc<Engine>,
    listener: Listener,
    intake: Arc<Intake>,
    /// Accepting fails since a while; it was logged when it began.
    out_of_resources: Cell<bool>,
}

impl Acceptor {
    pub(crate) fn new(engine: Arc<Engine>, listener: Listener, intake: Arc<Intake>) -> Self {
        Self {
            engine,
            listener,
            intake,
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
        let places = &self.engine.services.places;
        while !self.stopping() {
            // At the limit the others stay in the kernel's queue.
            if !places.has_room() {
                places.wait(None, || places.has_room() || self.stopping());
                continue;
            }
            match self.listener.accept() {
                Accepted::Connection(stream, peer) => self.admit(stream, peer),
                Accepted::Nobody => self.pause_if_shared(),
                Accepted::Failed(error) => self.back_off(&error),
            }
        }
    }

    /// Serves those whom the kernel has let in, down to the last one.
    ///
    /// With the door closed their number only falls, so this ends when they
    /// have been accepted and no handshake is half-open, at two looks in a row:
    /// a SYN that another core had matched to the listener just before the door
    /// closed is in no table yet. Where the door stays open it ends when the
    /// backlog is found empty, or after `settle`.
    fn sweep(&self) {
        let life = &self.engine.services.life;
        let closed = self.close_door();
        if let Err(error) = self.listener.sweep() {
            note!(
                self.engine.services.journal,
                Error,
                "cannot sweep the backlog: {error}"
            );
            return;
        }
        let mut settled = Instant::now() + self.engine.services.config.settle;
        let mut looks_in_a_row = 0;
        loop {
            // Looked at before the backlog is emptied: a handshake that ends in
            // between is found there. The other way round it would be lost.
            let looked = Instant::now();
            let half_open = closed && self.listener.may_be_half_open();
            let empty = self.empty_backlog(&mut settled, closed);
            if !empty || !closed || life.phase() >= Phase::Aborting {
                return;
            }
            looks_in_a_row = if half_open { 0 } else { looks_in_a_row + 1 };
            if looks_in_a_row == LOOKS {
                return;
            }
            if half_open && Instant::now() >= settled {
                note!(
                    self.engine.services.journal,
                    Warn,
                    "handshakes did not end within the settle time"
                );
                return;
            }
            life.wait_for_phase(Phase::Aborting, Some(looked + SETTLE_LOOK));
        }
    }

    fn close_door(&self) -> bool {
        if !self.engine.services.config.close_door {
            return false;
        }
        match self.listener.close_door() {
            Ok(()) => {
                self.engine.services.life.door_closed();
                true
            }
            Err(error) => {
                note!(
                    self.engine.services.journal,
                    Info,
                    "new connections cannot be refused while the backlog is swept: {error}"
                );
                false
            }
        }
    }

    /// Accepts until there is nobody. `false` if that took too long.
    ///
    /// Time spent waiting for a place is not held against anyone: `settled`
    /// moves on by as much.
    fn empty_backlog(&self, settled: &mut Instant, closed: bool) -> bool {
        loop {
            let before = Instant::now();
            if !self.wait_for_a_place_in_the_sweep() {
                self.abandon_backlog();
                return false;
            }
            *settled += before.elapsed();
            // With the door open there may always be one more.
            if !closed && Instant::now() >= *settled {
                note!(
                    self.engine.services.journal,
                    Warn,
                    "connections still arrive: those in the backlog are reset"
                );
                return false;
            }
            match self.listener.accept() {
                Accepted::Connection(stream, peer) => self.admit(stream, peer),
                Accepted::Nobody => return true,
                Accepted::Failed(error) => {
                    if self.stop_is_over() {
                        self.abandon_backlog();
                        return false;
                    }
                    self.back_off(&error);
                }
            }
        }
    }

    fn abandon_backlog(&self) {
        note!(
            self.engine.services.journal,
            Error,
            "the listener closes with connections in its backlog: they are reset"
        );
        self.engine.services.accounting.backlog_abandoned();
    }

    /// Waits until one more connection may be open, or until the stop is over.
    /// Who follows the shutdown takes no place: it waits for us.
    fn wait_for_a_place_in_the_sweep(&self) -> bool {
        let Services {
            accounting,
            life,
            config,
            places,
            ..
        } = &*self.engine.services;
        // A place that the application keeps beyond its connection's end does
        // not hold up a stop.
        let has_place =
            || accounting.open().saturating_sub(accounting.followers()) < config.max_connections;
        while !has_place() {
            if self.stop_is_over() {
                return false;
            }
            // An abort moves the end, and connections close soon after it.
            let (phase, end) = (life.phase(), self.end());
            places.wait(end, || has_place() || life.phase() != phase);
        }
        true
    }

    /// When whatever is left is reset.
    fn end(&self) -> Option<Instant> {
        let deadline = self.engine.services.life.deadline();
        deadline.map(|deadline| deadline + self.engine.services.config.linger)
    }

    fn stop_is_over(&self) -> bool {
        self.end().is_some_and(|end| Instant::now() >= end)
    }

    fn admit(&self, stream: Stream, peer: SocketAddr) {
        if self.engine.knocker.knows(peer) {
            return;
        }
        if self.out_of_resources.replace(false) {
            note!(self.engine.services.journal, Info, "accepting again");
        }
        let mut local = self.listener.address();
        if local.ip().is_unspecified() {
            local = stream.local_addr().unwrap_or(local);
        }
        let connection = self.intake.let_in(|| {
            let services = &self.engine.services;
            let ticket = services.accounting.connection_accepted();
            let new = New {
                stream,
                peer,
                local,
                place: services.places.take(),
                share: services.peers.add(peer.ip()),
                shard: Arc::clone(self.engine.shard_of(ticket.number())),
                ticket,
            };
            Box::new(Connection::new(new, Instant::now()))
        });
        match connection {
            Some(connection) => self.suspend(connection),
            None => note!(
                self.engine.services.journal,
                Warn,
                "{peer} came after the server had stopped, and is not served"
            ),
        }
    }

    /// Suspends a new connection until its first request is there: so no thread
    /// is woken before that.
    fn suspend(&self, connection: Box<Connection>) {
        let services = &self.engine.services;
        let first = connection.first_suspend(services);
        let connection = match connection.suspend(first) {
            Suspended::Yes => return,
            // It is there already, or the server is in a new phase.
            Suspended::Ready(connection) => connection,
            Suspended::Refused(connection, error) => {
                if let Some(error) = error {
                    let text = "cannot wait for";
                    note!(services.journal, Error, "{text} {connection:?}: {error}");
                }
                connection
            }
        };
        // A worker finds out what becomes of it; it need not be registered for
        // that.
        let now = Suspend {
            wait: Wait::Turn,
            ..first
        };
        if let Suspended::Ready(connection) | Suspended::Refused(connection, _) =
            connection.suspend(now)
        {
            // It has had no request, so it holds nothing of the application's.
            connection.give_up(services, &mut Vec::new());
        }
    }

    /// Somebody else may have made a listener non-blocking that is theirs too.
    fn pause_if_shared(&self) {
        if self.listener.ownership() == Ownership::Shared {
            let look = Instant::now() + BACK_OFF;
            self.engine
                .services
                .life
                .wait_for_phase(Phase::Draining, Some(look));
        }
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
            note!(
                self.engine.services.journal,
                Warn,
                "cannot accept for the moment: {error}"
            );
        }
        let places = &self.engine.services.places;
        let (taken, stopping) = (places.taken(), self.stopping());
        places.wait(Some(Instant::now() + BACK_OFF), || {
            places.taken() < taken || self.stopping() != stopping
        });
    }

    fn stopping(&self) -> bool {
        self.engine.services.life.phase() >= Phase::Draining
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.engine.set_acceptor_awake();
        self.intake.close();
        self.engine.services.accounting.no_more_connections();
    }
}

/// Whether the acceptor may let anyone in. The coordinator of a stop can say no
/// for it: what an acceptor that cannot be woken still accepts is not served.
#[derive(Debug)]
pub(crate) struct Intake(Mutex<bool>);

impl Intake {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(true))
    }

    /// Lets in what `connection` makes. `None` if the intake is closed; then
    /// nothing is made.
    fn let_in(&self, connection: impl FnOnce() -> Box<Connection>) -> Option<Box<Connection>> {
        // Under the lock, so that nobody is entered in the books after the end.
        let open = self.lock();
        open.then(connection)
    }

    /// Nobody comes any more.
    pub(crate) fn close(&self) {
        *self.lock() = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
