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
//! Only the workers themselves poll the lot, and of these as many are awake as
//! there are cores: see [`seats`].
//!
//! Code of the application runs in three places, each of which a stop can leave
//! behind: on a worker that says so in its [slot](in_flight), on a thread of the
//! [crew], and on the logger's thread.

pub(crate) mod acceptor;
pub(crate) mod buffer;
pub(crate) mod connection;
pub(crate) mod crew;
mod foreman;
pub(crate) mod guests;
pub(crate) mod in_flight;
mod inlet;
mod linger;
pub(crate) mod lot;
pub(crate) mod output;
pub(crate) mod peers;
pub(crate) mod places;
pub(crate) mod queue;
pub(crate) mod refusals;
pub(crate) mod seats;
pub(crate) mod staff;
pub(crate) mod threads;
pub(crate) mod upload_limit;
pub(crate) mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use self::connection::Connection;
use self::crew::Crew;
use self::guests::Guests;
use self::in_flight::Deferred;
use self::lot::Lot;
use self::peers::Peers;
use self::places::Places;
use self::refusals::Refusals;
use self::seats::Seats;
use self::upload_limit::UploadLimit;
use crate::config::Config;
use crate::drain::books::Books;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::phase::Lifecycle;
use crate::drain::report::CutRequest;
use crate::journal::Journal;
use crate::journal::note;
use crate::net::listener::Knocker;
use crate::service::handler::Handler;

/// What the threads of one server share.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) journal: Arc<Journal>,
    pub(crate) life: Arc<Lifecycle>,
    pub(crate) books: Arc<Books>,
    pub(crate) lot: Arc<Lot>,
    pub(crate) seats: Seats,
    pub(crate) handler: Box<dyn Handler>,
    pub(crate) knocker: Knocker,
    pub(crate) places: Arc<Places>,
    pub(crate) peers: Peers,
    pub(crate) upload_limit: Arc<UploadLimit>,
    pub(crate) guests: Guests,
    pub(crate) refusals: Refusals,
    pub(crate) crew: Arc<Crew>,
    /// The acceptor has seen that the server stops, and waits in no accept.
    acceptor_awake: AtomicBool,
}

impl Engine {
    pub(crate) fn new(
        config: Config,
        journal: Arc<Journal>,
        life: Arc<Lifecycle>,
        books: Arc<Books>,
        lot: Arc<Lot>,
        handler: Box<dyn Handler>,
        knocker: Knocker,
    ) -> Self {
        let acceptor_awake = AtomicBool::new(false);
        Self {
            places: Places::new(config.max_connections),
            peers: Peers::new(config.connections_per_peer),
            upload_limit: UploadLimit::new(config.workers),
            guests: Guests::default(),
            refusals: Refusals::new(Instant::now()),
            crew: Crew::new(Arc::clone(&life), Arc::clone(&journal)),
            seats: Seats::new(lot.rows().len()),
            config,
            journal,
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
        self.life.notify();
    }

    /// Ends a connection: its socket first, then its entry in the accounting,
    /// so that no connection is open any more when none is counted.
    pub(crate) fn close(
        &self,
        connection: Box<Connection>,
        outcome: ConnectionOutcome,
        deferred: &mut Vec<Deferred>,
    ) {
        if let Some(spot) = connection.spot() {
            self.lot.forget(spot);
        }
        self.peers.go(connection.peer_addr().ip());
        deferred.extend(connection.close(outcome, self));
        self.let_go();
    }

    /// Names a request that was cut, for the report. The line in the log is for
    /// the order of events.
    pub(crate) fn name_cut(&self, cut: CutRequest) {
        note!(self.journal, Debug, "cut: {cut}");
        self.books.name_cut(cut);
    }

    /// Has the workers end, if nobody is left and nobody can come.
    pub(crate) fn let_go(&self) {
        if self.books.everyone_left() {
            self.seats.close();
            self.lot.close();
        }
    }
}
