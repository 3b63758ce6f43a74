//! The parking lot: every connection that waits, for bytes, for room, for a
//! body's next piece, and in each case for a deadline too.
//!
//! A connection gets a spot when it first parks, is registered with the epoll
//! once, and keeps both until it ends:
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
//! Deadlines need no heap and no order. The lot knows the earliest one that
//! there may be, sleeps until then, and looks through the spots, at most once
//! in [`SCAN_EVERY`]: ten thousand spots are a matter of microseconds.

mod spots;
mod watch;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Registry;
use mio::Token;

use self::spots::Changes;
use self::spots::Spots;
use self::spots::State;
pub(crate) use self::watch::Watch;
use super::connection::Connection;
use crate::drain::phase::Phase;
use crate::service::body::Waker;

/// Deadlines are met this late at most, unless the machine is overloaded.
const SCAN_EVERY: Duration = Duration::from_millis(10);

/// Events taken from the kernel at a time.
const EVENTS_AT_A_TIME: usize = 1024;

const WAKE_UP: Token = Token(usize::MAX);

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

/// Connections that are to go on.
pub(crate) type Ready = Vec<Box<Connection>>;

/// A connection's place in the lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot(usize);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lot {
    spots: Mutex<Spots>,
    registry: Registry,
    waker: mio::Waker,
}

/// The receiving end of the lot's epoll; whoever has it may poll the lot.
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    last_scan: Instant,
}

impl Lot {
    /// An empty lot, and what it is polled with.
    pub(crate) fn new() -> io::Result<(Self, Poller)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKE_UP)?;
        let poller = Poller {
            poll,
            events: Events::with_capacity(EVENTS_AT_A_TIME),
            last_scan: Instant::now(),
        };
        Ok((
            Self {
                spots: Mutex::new(Spots::new()),
                registry,
                waker,
            },
            poller,
        ))
    }

    /// Lets a connection wait. The lot gives it to whoever polls, once what it
    /// waits for has come, or its deadline.
    pub(crate) fn park(&self, mut connection: Box<Connection>, park: Park) -> Parked {
        // Its waker would have needed a spot as well, and calls nobody now.
        let in_vain = park.wait == Wait::Piece;
        if connection.spot().is_none()
            && !in_vain
            && let Err(error) = self.enroll(&mut connection)
        {
            return Parked::Refused(connection, Some(error));
        }
        let Some(spot) = connection.spot() else {
            return Parked::Refused(connection, None);
        };
        let mut spots = self.lock();
        if spots.evicted {
            return Parked::Refused(connection, None);
        }
        // Decided in an earlier phase, after `announce` has been round: what
        // was announced would never reach it.
        if park.seen < spots.phase {
            return Parked::Ready(connection);
        }
        if park.wait == Wait::Turn {
            spots.spots[spot.0] = State::Parked(connection, park.wait, park.until);
            spots.called.push(spot.0);
            drop(spots);
            self.wake_up();
            return Parked::Yes;
        }
        let State::Away(changes, _) = &mut spots.spots[spot.0] else {
            unreachable!("a connection is in one place at a time");
        };
        if std::mem::replace(changes, Changes::NONE).satisfy(park.wait) {
            return Parked::Ready(connection);
        }
        spots.spots[spot.0] = State::Parked(connection, park.wait, park.until);
        if spots.expect(park.until) {
            drop(spots);
            // The poller sleeps until a later deadline.
            self.wake_up();
        }
        Parked::Yes
    }

    /// What calls this connection back to work, from anywhere, at any time.
    pub(crate) fn waker(self: &Arc<Self>, connection: &mut Connection) -> Waker {
        if connection.spot().is_none()
            && let Err(error) = self.enroll(connection)
        {
            // It can be called only where it can park, and `park` will say so.
            log::debug!("cannot register {connection:?}: {error}");
        }
        let lot = Arc::clone(self);
        let spot = connection.spot();
        Arc::new(move || {
            if let Some(spot) = spot {
                lot.call(spot);
            }
        })
    }

    /// Lets threads wait for a connection that is with them.
    pub(crate) fn watch(&self, connection: &mut Connection) -> io::Result<Arc<Watch>> {
        if connection.spot().is_none() {
            self.enroll(connection)?;
        }
        let watch = Arc::new(Watch::default());
        if let Some(spot) = connection.spot()
            && let State::Away(_, watched) = &mut self.lock().spots[spot.0]
        {
            *watched = Some(Arc::clone(&watch));
        }
        Ok(watch)
    }

    /// The threads that waited for a connection have to let it go.
    pub(crate) fn unwatch(&self, spot: Spot) {
        if let State::Away(_, watch) = &mut self.lock().spots[spot.0]
            && let Some(watch) = watch.take()
        {
            watch.end();
        }
    }

    /// Frees a spot. A waker that still points to it calls in vain, or calls
    /// its next holder once for nothing.
    pub(crate) fn forget(&self, spot: Spot) {
        let mut spots = self.lock();
        let before = std::mem::replace(&mut spots.spots[spot.0], State::Vacant);
        spots.vacant.push(spot.0);
        if let State::Away(_, Some(watch)) = before {
            watch.end();
        }
    }

    /// Waits until someone is ready, and appends them to `ready`. Returns
    /// without anyone, too, when it is woken.
    pub(crate) fn poll(&self, poller: &mut Poller, ready: &mut Ready) {
        let now = Instant::now();
        let timeout = self
            .lock()
            .earliest
            .map(|earliest| earliest.max(poller.last_scan + SCAN_EVERY))
            .map(|scan| scan.saturating_duration_since(now));
        if let Err(error) = poller.poll.poll(&mut poller.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // There is no event to lose: they stay with the kernel.
            log::error!("cannot poll for events: {error}");
        }
        let now = Instant::now();
        let mut spots = self.lock();
        for event in &poller.events {
            if event.token() != WAKE_UP {
                spots.change(event.token().0, Changes::of(event), ready);
            }
        }
        spots.take_called(ready);
        if now >= poller.last_scan + SCAN_EVERY && spots.is_late(now) {
            poller.last_scan = now;
            spots.scan(now, ready);
        }
    }

    /// Wakes whoever polls.
    pub(crate) fn wake_up(&self) {
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the lot: {error}");
        }
    }

    /// The server is in a new phase: everyone that it may concern gets a turn.
    ///
    /// When the drain begins nobody is disturbed but the idle, whose deadline
    /// becomes the end of the last call, endless streams, and threads that wait
    /// for a connection; at an abort everybody is.
    pub(crate) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        self.lock().announce(phase, last_call_ends);
        self.wake_up();
    }

    /// Whether it takes nobody any more.
    pub(crate) fn is_evicted(&self) -> bool {
        self.lock().evicted
    }

    /// Hands out everyone, and takes nobody any more.
    pub(crate) fn evict(&self) -> Ready {
        let mut spots = self.lock();
        spots.evicted = true;
        let mut everyone = Vec::new();
        for index in 0..spots.spots.len() {
            spots.take(index, &mut everyone);
        }
        everyone
    }

    fn enroll(&self, connection: &mut Connection) -> io::Result<()> {
        let mut spots = self.lock();
        let spot = match spots.vacant.pop() {
            Some(spot) => spot,
            None => {
                spots.spots.push(State::Vacant);
                spots.spots.len() - 1
            }
        };
        // Away before the registration: its first events come right away.
        spots.spots[spot] = State::AWAY;
        drop(spots);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self
            .registry
            .register(connection.source(), Token(spot), interest);
        match registered {
            Ok(()) => connection.set_spot(Spot(spot)),
            Err(_) => self.forget(Spot(spot)),
        }
        registered
    }

    fn call(&self, spot: Spot) {
        let mut spots = self.lock();
        match &mut spots.spots[spot.0] {
            State::Vacant => return,
            State::Away(changes, _) => {
                changes.called = true;
                return;
            }
            State::Parked(..) => spots.called.push(spot.0),
        }
        drop(spots);
        self.wake_up();
    }

    /// Whatever panicked, each spot is in one of its states.
    fn lock(&self) -> MutexGuard<'_, Spots> {
        self.spots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
