//! The connections, and the threads that carry them.
//!
//! ```text
//!  kernel accept queue
//!         |
//!    acceptor --> connection --> the lot: waits for bytes, for room, <---- park --+
//!                                   |     for EOF, or for a deadline              |
//!                                   |                                             |
//!                                   +--> queue --> worker: advance, call the handler --> close
//! ```
//!
//! Nobody polls the lot but the workers themselves, and of these as many are
//! awake as there are cores: see [`seats`].

pub(crate) mod acceptor;
pub(crate) mod buffer;
pub(crate) mod connection;
pub(crate) mod crew;
mod foreman;
pub(crate) mod guests;
mod inlet;
pub(crate) mod lot;
pub(crate) mod output;
pub(crate) mod peers;
pub(crate) mod queue;
pub(crate) mod refusals;
pub(crate) mod seats;
pub(crate) mod staff;
pub(crate) mod uploads;
pub(crate) mod worker;

use std::panic;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use self::connection::Connection;
use self::crew::Crew;
use self::guests::Guests;
use self::lot::Lot;
use self::peers::Peers;
use self::refusals::Refusals;
use self::seats::Seats;
use self::uploads::Uploads;
use crate::config::Config;
use crate::drain::books::Books;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::phase::Lifecycle;
use crate::net::listener::Knocker;
use crate::service::handler::Handler;

/// What the threads of one server share.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) life: Arc<Lifecycle>,
    pub(crate) books: Arc<Books>,
    pub(crate) lot: Arc<Lot>,
    pub(crate) seats: Seats,
    pub(crate) handler: Box<dyn Handler>,
    pub(crate) knocker: Knocker,
    pub(crate) peers: Peers,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) guests: Guests,
    pub(crate) refusals: Refusals,
    pub(crate) crew: Crew,
    /// The acceptor has seen that the server stops, and waits in no accept.
    acceptor_awake: AtomicBool,
}

/// Runs code of the user's, or what may call it: a panic in it is logged, and is
/// nobody else's business.
fn quietly(what: &str, f: impl FnOnce()) {
    if panic::catch_unwind(panic::AssertUnwindSafe(f)).is_err() {
        log::error!("{what} panicked");
    }
}

impl Engine {
    pub(crate) fn new(
        config: Config,
        life: Arc<Lifecycle>,
        books: Arc<Books>,
        lot: Arc<Lot>,
        handler: Box<dyn Handler>,
        knocker: Knocker,
    ) -> Self {
        let acceptor_awake = AtomicBool::new(false);
        Self {
            peers: Peers::new(config.connections_per_peer),
            uploads: Uploads::new(config.workers),
            guests: Guests::default(),
            refusals: Refusals::new(Instant::now()),
            crew: Crew::new(Arc::clone(&life)),
            seats: Seats::new(lot.rows().len()),
            config,
            life,
            books,
            lot,
            handler,
            knocker,
            acceptor_awake,
        }
    }

    pub(crate) fn acceptor_awake(&self) -> bool {
        self.acceptor_awake.load(SeqCst)
    }

    pub(crate) fn set_acceptor_awake(&self) {
        self.acceptor_awake.store(true, SeqCst);
        self.life.counts_changed();
    }

    /// Ends a connection: its socket first, then its entry in the books, so
    /// that when nobody is left, nobody is.
    pub(crate) fn close(&self, connection: Box<Connection>, outcome: ConnectionOutcome) {
        if let Some(spot) = connection.spot() {
            self.lot.forget(spot);
        }
        self.peers.go(connection.peer_addr().ip());
        if let Some(tell) = connection.close(outcome, &self.books) {
            quietly("what was to be called after a delivery", tell);
        }
        self.let_go();
    }

    /// Has the workers end, if nobody is left and nobody can come.
    pub(crate) fn let_go(&self) {
        if self.books.everyone_left() {
            self.seats.close();
            self.lot.close();
        }
    }
}
