//! The parking lot: every connection that waits, for bytes, for room, for a
//! body's next piece, and in each case for a deadline too.
//!
//! The lot has as many rows as workers that may be awake; each row has an epoll
//! of its own, so that those who poll are not in each other's way. A connection
//! gets a spot when it first parks, in the row that its number says, is
//! registered with that row's epoll once, and keeps both until it says goodbye:
//!
//! ```text
//! Vacant --enroll--> Away --park--> Parked --event, deadline, call--> Away --forget--> Vacant
//!                      |
//!                      +--watch--> a thread waits for the connection itself
//! ```
//!
//! Registration is edge-triggered: an event tells of a change, and only once.
//! A change that comes while a worker has the connection is noted at its spot,
//! and `park` hands the connection back at once if it waits for just that. So
//! a connection parks for X only after X has said "not yet" in the same turn,
//! and then no change can be missed.
//!
//! Deadlines need no heap and no order. A row knows the earliest one that there
//! may be; the foreman wakes whoever polls it then, who looks through the spots,
//! at most once in 10 ms: ten thousand spots are a matter of microseconds.

mod row;
mod spots;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::Thread;
use std::time::Instant;

pub(crate) use self::row::Row;
pub(crate) use self::watch::Watch;
use super::connection::Connection;
use crate::drain::books::Books;
use crate::drain::phase::Phase;
use crate::journal::Journal;
use crate::journal::note;
use crate::net::stream::Stream;
use crate::service::body::Waker;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Bytes, or EOF.
    Input,
    /// Room in the kernel's send buffer.
    Room,
    /// Its body's next piece, or that the client leaves.
    Piece,
    /// Nothing: its turn was long, and others go first.
    Turn,
    /// Nothing but some time: what it waits for is about to come, and then
    /// nobody needs to be told of it.
    Soon,
}

/// How a connection wants to be parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Park {
    pub(crate) wait: Wait,
    /// No deadline: the phase decides.
    pub(crate) until: Option<Instant>,
    /// The phase in which the connection decided so.
    pub(crate) seen: Phase,
}

/// What became of a connection that wanted to park.
#[derive(Debug)]
pub(crate) enum Parked {
    Yes,
    /// What it waits for has come meanwhile, or the phase has moved on: it has
    /// another turn.
    Ready(Box<Connection>),
    /// The lot takes nobody any more, or could not register it.
    Refused(Box<Connection>, Option<io::Error>),
}

/// A connection's place in the lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    row: usize,
    index: usize,
    /// It is registered for room, not only for input.
    for_room: bool,
}

/// Tells whoever watches the deadlines that there is an earlier one.
#[derive(Debug, Default)]
struct Alarm(OnceLock<Thread>);

impl Alarm {
    fn changed(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lot {
    rows: Box<[Row]>,
    alarm: Arc<Alarm>,
    journal: Arc<Journal>,
    evicted: AtomicBool,
}

impl Lot {
    /// An empty lot with so many rows.
    pub(crate) fn new(rows: usize, books: &Books, journal: &Arc<Journal>) -> io::Result<Self> {
        let alarm = Arc::new(Alarm::default());
        let row = |number| {
            let (alarm, journal) = (Arc::clone(&alarm), Arc::clone(journal));
            Row::new(number, books.waiting_gauge(), alarm, journal)
        };
        Ok(Self {
            rows: (0..rows).map(row).collect::<io::Result<_>>()?,
            alarm,
            journal: Arc::clone(journal),
            evicted: AtomicBool::new(false),
        })
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// This thread watches the deadlines, and is unparked when one is earlier
    /// than all others.
    pub(crate) fn watch_deadlines(&self) {
        let _first = self.alarm.0.set(thread::current());
    }

    /// When some row has to be polled for deadlines.
    pub(crate) fn scan_due(&self) -> Option<Instant> {
        self.rows.iter().filter_map(Row::scan_due).min()
    }

    /// The row of the connection with this number. In turn, so that all rows
    /// have as much to do.
    pub(crate) fn row_of(&self, connection_number: u64) -> &Row {
        let rows = self.rows.len() as u64;
        &self.rows[usize::try_from(connection_number % rows).unwrap_or(0)]
    }

    /// Lets a connection wait, until what it waits for has come, or its
    /// deadline.
    pub(crate) fn park(&self, connection: Box<Connection>, park: Park) -> Parked {
        self.row_of(connection.number()).park(connection, park)
    }

    /// What calls this connection back to work, from anywhere, at any time.
    pub(crate) fn waker(self: &Arc<Self>, connection: &mut Connection) -> Waker {
        if let Err(error) = self.ensure_spot(connection) {
            // It can be called only where it can park, and `park` will say so.
            note!(
                self.journal,
                Debug,
                "cannot register {connection:?}: {error}"
            );
        }
        let lot = Arc::clone(self);
        let spot = connection.spot();
        Arc::new(move || {
            if let Some(spot) = spot {
                lot.rows[spot.row].call(spot);
            }
        })
    }

    /// Lets threads wait for a connection that is with them.
    pub(crate) fn watch(&self, connection: &mut Connection) -> io::Result<Arc<Watch>> {
        self.ensure_spot(connection)?;
        self.row_of(connection.number())
            .enroll_for_room(connection)?;
        let watch = Arc::new(Watch::default());
        if let Some(spot) = connection.spot() {
            self.rows[spot.row].watch(spot, &watch);
        }
        Ok(watch)
    }

    /// The threads that waited for a connection have to let it go.
    pub(crate) fn unwatch(&self, spot: Spot) {
        self.rows[spot.row].unwatch(spot);
    }

    /// Frees a connection's spot, if it has one: it need not be told of anything
    /// for a while, and gets another one should it park.
    pub(crate) fn leave(&self, connection: &mut Connection) {
        if let Some(spot) = connection.take_spot() {
            self.rows[spot.row].leave(spot, connection);
        }
    }

    /// Has events of a connection told no more. It keeps its spot.
    pub(crate) fn deregister(&self, spot: Spot, stream: &Stream) -> io::Result<()> {
        stream.deregister(self.rows[spot.row].registry())
    }

    /// Frees a spot. A waker that still points to it calls in vain, or calls
    /// its next holder once for nothing.
    pub(crate) fn forget(&self, spot: Spot) {
        self.rows[spot.row].forget(spot);
    }

    /// Wakes one of those who poll and sleep, if anyone does.
    pub(crate) fn nudge_one(&self) {
        let _woken = self.rows.iter().any(Row::nudge);
    }

    /// The server is in a new phase: everyone that it may concern gets a turn.
    ///
    /// When the drain begins nobody is disturbed but the idle, whose deadline
    /// becomes the end of the last call, endless streams, and threads that wait
    /// for a connection; at an abort everybody is.
    pub(crate) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        for row in &self.rows {
            row.announce(phase, last_call_ends);
        }
    }

    /// Whether it takes nobody any more.
    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(SeqCst)
    }

    /// Hands out everyone, and takes nobody any more.
    pub(crate) fn evict(&self) -> VecDeque<Box<Connection>> {
        self.evicted.store(true, SeqCst);
        self.rows.iter().flat_map(Row::evict).collect()
    }

    /// Closes the queues: nobody is left.
    pub(crate) fn close(&self) {
        for row in &self.rows {
            row.close();
        }
    }

    fn ensure_spot(&self, connection: &mut Connection) -> io::Result<()> {
        match connection.spot() {
            Some(_) => Ok(()),
            None => self.row_of(connection.number()).enroll(connection),
        }
    }
}
