//! The acceptor: accepts connections while the server runs. When the server
//! stops, it has the kernel refuse new connections, drains the backlog, and
//! closes the listener.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::connection::Admitted;
use super::connection::Connection;
use super::services::Services;
use super::shard::Suspend;
use super::shard::Suspended;
use super::shard::Wait;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::journal::note;
use crate::lifecycle::phase::Phase;
use crate::net::listener::Accepted;
use crate::net::listener::Listener;
use crate::net::ownership::Ownership;
use crate::net::stream::Stream;

/// How long to wait after an accept that failed because a resource is used up. A
/// connection that closes ends the wait.
const BACK_OFF: Duration = Duration::from_millis(50);

/// An `accept` that finds no connection so soon after the last one has not waited. One that
/// waits does so for longer.
const EARLY: Duration = Duration::from_millis(200);

/// How often to check for half-open handshakes while the backlog is drained. The
/// kernel does not report their end.
const HALF_OPEN_CHECK_EVERY: Duration = Duration::from_millis(2);

/// How many checks in a row have to find no half-open handshake.
const CHECKS_IN_A_ROW: u32 = 2;

/// What the acceptor's thread owns. The drop closes the listener and the gate, and
/// tells the accounting that no further connection will be accepted.
pub(crate) struct Acceptor {
    engine: Arc<Engine>,
    listener: Listener,
    gate: Arc<Gate>,
    /// The last accept failed because a resource is used up, and the log says so.
    is_backing_off: Cell<bool>,
    /// When `accept` found no connection last.
    last_empty: Cell<Option<Instant>>,
}

impl Acceptor {
    pub(crate) fn new(engine: Arc<Engine>, listener: Listener, gate: Arc<Gate>) -> Self {
        Self {
            engine,
            listener,
            gate,
            is_backing_off: Cell::new(false),
            last_empty: Cell::new(None),
        }
    }

    /// Accepts until the server stops, and then drains the backlog.
    pub(crate) fn run(self) {
        self.accept_until_stopped();
        self.engine.set_acceptor_awake();
        match self.listener.stop_accepting() {
            Ownership::Sole => self.drain_backlog(),
            // Other holders of the listener accept the connections in the backlog.
            Ownership::Shared => {}
        }
    }

    fn accept_until_stopped(&self) {
        let places = &self.engine.services.places;
        while !self.is_stopping() {
            // At the limit, further connections stay in the kernel's backlog.
            if !places.has_room() {
                places.wait(None, || places.has_room() || self.is_stopping());
                continue;
            }
            match self.listener.accept() {
                Accepted::Connection(stream, peer) => self.admit(stream, peer),
                Accepted::Empty => self.pause_if_early(),
                Accepted::Failed(error) => self.back_off(&error),
            }
        }
    }

    /// Accepts every connection whose handshake the kernel has begun.
    ///
    /// While the kernel refuses new connections their number only falls. So the
    /// drain ends when two checks in a row find the backlog empty and no half-open
    /// handshake. One check is not enough: a SYN that another core has matched to the
    /// listener just before the refusal may not be in any table yet.
    ///
    /// Where the kernel cannot refuse new connections, the drain ends when the
    /// backlog is found empty, or after the handshake grace.
    fn drain_backlog(&self) {
        let life = &self.engine.services.life;
        self.remove_file();
        let refuses_new = self.refuse_new_connections();
        if let Err(error) = self.listener.set_nonblocking() {
            self.abandon_backlog(format_args!("cannot drain it: {error}"));
            return;
        }
        let mut handshake_grace = self.engine.services.config.handshake_grace;
        let mut grace_ends = Instant::now() + handshake_grace;
        let mut has_allowed = false;
        let mut checks_in_a_row = 0;
        loop {
            // Before the backlog is emptied: a handshake that completes in between is
            // then found in the backlog. In the other order it would be lost.
            let checked = Instant::now();
            let has_half_open = refuses_new && self.listener.may_be_half_open();
            let is_empty = self.empty_backlog(&mut grace_ends, refuses_new);
            if !is_empty || !refuses_new || life.is_aborting() {
                return;
            }
            checks_in_a_row = if has_half_open {
                0
            } else {
                checks_in_a_row + 1
            };
            if checks_in_a_row == CHECKS_IN_A_ROW {
                return;
            }
            if has_half_open && Instant::now() >= grace_ends {
                // Asked for this late, because the kernel searches all its sockets for it.
                if !has_allowed {
                    has_allowed = true;
                    let allowance = self.handshake_allowance();
                    handshake_grace += allowance;
                    grace_ends += allowance;
                    continue;
                }
                note!(
                    self.engine.services.journal,
                    Warn,
                    "handshakes did not complete within the grace of {handshake_grace:?}: they are dropped"
                );
                return;
            }
            life.wait_for_phase(Phase::Aborting, Some(checked + HALF_OPEN_CHECK_EVERY));
        }
    }

    /// What the handshake grace is longer by, because clients are far away. A grace of zero
    /// stays zero.
    fn handshake_allowance(&self) -> Duration {
        let services = &self.engine.services;
        if services.config.handshake_grace.is_zero() {
            return Duration::ZERO;
        }
        // This thread may be here before the drain has asked.
        let waker = &self.engine.acceptor_waker;
        services.life.allow_for(|| waker.longest_round_trip());
        services.life.handshake_allowance()
    }

    /// Takes the path of a unix socket away, while the server still listens.
    fn remove_file(&self) {
        if let Err(error) = self.listener.remove_file() {
            note!(
                self.engine.services.journal,
                Warn,
                "cannot remove the file of the unix socket: {error}"
            );
        }
    }

    /// Makes the kernel refuse new connections. Returns whether it does.
    fn refuse_new_connections(&self) -> bool {
        if !self.engine.services.config.refuse_new_connections {
            return false;
        }
        match self.listener.refuse_new_connections() {
            Ok(()) => {
                self.engine.services.life.set_refusing();
                true
            }
            Err(error) => {
                note!(
                    self.engine.services.journal,
                    Info,
                    "cannot refuse new connections while the backlog is drained: {error}"
                );
                false
            }
        }
    }

    /// Accepts until the backlog is empty. Returns `false` if the time ran out first.
    ///
    /// The time that the acceptor waits for a place does not count against the
    /// handshake grace: `grace_ends` is moved by as much.
    fn empty_backlog(&self, grace_ends: &mut Instant, refuses_new: bool) -> bool {
        loop {
            let before = Instant::now();
            if !self.wait_for_place() {
                self.abandon_backlog(format_args!("too many connections are open"));
                return false;
            }
            *grace_ends += before.elapsed();
            match self.listener.accept() {
                Accepted::Connection(stream, peer) => {
                    let is_own = self.engine.acceptor_waker.is_own(&stream);
                    self.admit(stream, peer);
                    // If the kernel does not refuse them, connections may arrive without
                    // end.
                    if !refuses_new && !is_own && Instant::now() >= *grace_ends {
                        self.abandon_backlog(format_args!("connections keep arriving"));
                        return false;
                    }
                }
                Accepted::Empty => return true,
                Accepted::Failed(error) => {
                    if self.is_past_deadline() {
                        self.abandon_backlog(format_args!("cannot accept: {error}"));
                        return false;
                    }
                    self.back_off(&error);
                }
            }
        }
    }

    fn abandon_backlog(&self, reason: fmt::Arguments<'_>) {
        note!(
            self.engine.services.journal,
            Error,
            "the listener is closed, and connections in its backlog are reset: {reason}"
        );
        self.engine.services.accounting.backlog_abandoned();
    }

    /// Waits until one more connection may be open. Returns `false` if the deadline
    /// for the backlog passes first.
    ///
    /// A connection that follows the shutdown is not counted here: it stays open
    /// until the drain ends, and the drain waits for the acceptor.
    fn wait_for_place(&self) -> bool {
        let Services {
            accounting,
            life,
            config,
            places,
            ..
        } = &*self.engine.services;
        // Open connections are counted, not places: the application may keep a place
        // longer than its connection, and that must not hold up a stop.
        let has_place =
            || accounting.open().saturating_sub(accounting.followers()) < config.max_connections;
        while !has_place() {
            if self.is_past_deadline() {
                return false;
            }
            // An abort changes the phase and the deadline.
            let (phase, deadline) = (life.phase(), self.backlog_deadline());
            places.wait(deadline, || has_place() || life.phase() != phase);
        }
        true
    }

    /// When the connections that are still in the backlog are reset. It is `linger`
    /// after the drain's deadline, because the connections that the deadline cuts
    /// have so long to close.
    fn backlog_deadline(&self) -> Option<Instant> {
        let deadline = self.engine.services.life.deadline();
        deadline.map(|deadline| deadline + self.engine.services.config.linger)
    }

    fn is_past_deadline(&self) -> bool {
        self.backlog_deadline()
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Makes a connection of an accepted socket, and suspends it in its shard.
    fn admit(&self, stream: Stream, peer: PeerAddr) {
        // The server's own connection, which only wakes this thread.
        if self.engine.acceptor_waker.is_own(&stream) {
            return;
        }
        if self.is_backing_off.replace(false) {
            note!(
                self.engine.services.journal,
                Info,
                "accepting connections again"
            );
        }
        let mut local = self.listener.address().clone();
        if local.ip().is_some_and(|ip| ip.is_unspecified()) {
            local = stream.local_addr().map_or(local, LocalAddr::Inet);
        }
        let connection = self.gate.create_if_open(|| {
            let services = &self.engine.services;
            let guard = services.accounting.connection_accepted();
            let shard = Arc::clone(self.engine.shard_of(guard.number()));
            let admitted = Admitted {
                stream,
                peer,
                local,
                guard,
                place: services.places.take(),
                share: services.peers.add(peer),
            };
            Box::new(Connection::new(admitted, shard, Instant::now()))
        });
        match connection {
            Some(connection) => self.suspend(connection),
            None => note!(
                self.engine.services.journal,
                Warn,
                "{peer} connected too late: the server has stopped, the connection is closed"
            ),
        }
    }

    /// Suspends a new connection until its first byte arrives, so that no worker
    /// is woken before that.
    fn suspend(&self, connection: Box<Connection>) {
        let services = &self.engine.services;
        let first = connection.first_suspend(services);
        let connection = match connection.suspend(first) {
            Suspended::Yes => return,
            // The first byte has arrived already, or the server is in a new phase.
            Suspended::Ready(connection) => connection,
            Suspended::Refused(connection, error) => {
                if let Some(error) = error {
                    let text = "cannot wait for";
                    note!(services.journal, Error, "{text} {connection:?}: {error}");
                }
                connection
            }
        };
        // A worker decides what happens to the connection. `Wait::Turn` needs no
        // registration, so it works where the registration has failed.
        let until_turn = Suspend {
            wait: Wait::Turn,
            ..first
        };
        if let Suspended::Ready(connection) | Suspended::Refused(connection, _) =
            connection.suspend(until_turn)
        {
            // The connection has had no request, so it holds no value of the
            // application, and its close defers nothing.
            connection.close_now(services, &mut Vec::new());
        }
    }

    /// Pauses if `accept` has not waited: another holder of the listener, or one that has
    /// passed it on and drains its backlog, may have made it non-blocking.
    fn pause_if_early(&self) {
        let now = Instant::now();
        let last = self.last_empty.replace(Some(now));
        let is_early = last.is_some_and(|last| now.saturating_duration_since(last) < EARLY);
        if is_early || self.listener.ownership() == Ownership::Shared {
            let until = Instant::now() + BACK_OFF;
            self.engine
                .services
                .life
                .wait_for_phase(Phase::Draining, Some(until));
        }
    }

    /// Waits after a failed accept. No error means that the listener is broken:
    /// either the client has gone, or a resource is used up, which a connection that
    /// closes may free.
    fn back_off(&self, error: &io::Error) {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
        ) {
            return;
        }
        if !self.is_backing_off.replace(true) {
            note!(
                self.engine.services.journal,
                Warn,
                "cannot accept connections, retrying: {error}"
            );
        }
        let places = &self.engine.services.places;
        let (taken, stopping) = (places.taken(), self.is_stopping());
        places.wait(Some(Instant::now() + BACK_OFF), || {
            places.taken() < taken || self.is_stopping() != stopping
        });
    }

    fn is_stopping(&self) -> bool {
        self.engine.services.life.phase() >= Phase::Draining
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.engine.set_acceptor_awake();
        self.gate.close();
        self.engine.services.accounting.no_more_connections();
    }
}

/// Whether accepted connections are still served. If the acceptor cannot be woken, a
/// stop closes the gate: connections that the acceptor accepts after that are
/// closed.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<bool>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(true))
    }

    /// Calls `create` and returns its connection. Once the gate is closed, it returns
    /// `None` without a call.
    fn create_if_open(&self, create: impl FnOnce() -> Box<Connection>) -> Option<Box<Connection>> {
        // `create` runs under the lock, so that no connection is entered in the
        // accounting after `close` has returned.
        let is_open = self.lock();
        is_open.then(create)
    }

    pub(crate) fn close(&self) {
        *self.lock() = false;
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
