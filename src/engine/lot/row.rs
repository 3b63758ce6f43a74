//! One row of the lot: spots, the epoll that tells what happens there, and the
//! queue of those who can go on.
//!
//! Whoever has the row's [seat](crate::engine::seats) polls it. Everyone may
//! park in it, call to it, and receive from its queue.

use std::io;
use std::iter;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::TryLockError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Registry;
use mio::Token;

use super::Alarm;
use super::Park;
use super::Parked;
use super::Spot;
use super::Wait;
use super::spots::Changes;
use super::spots::Spots;
use super::spots::State;
use super::watch::Watch;
use crate::drain::books::Gauge;
use crate::drain::phase::Phase;
use crate::engine::connection::Connection;
use crate::engine::queue;
use crate::engine::queue::Queue;
use crate::engine::queue::Received;
use crate::journal::Journal;
use crate::journal::note;

/// Events taken from the kernel at a time.
const EVENTS_AT_A_TIME: usize = 256;

/// Of so many events at a time it pays to let more gather.
const SOME_TRAFFIC: RangeInclusive<usize> = 2..=16;

const WAKE_UP: Token = Token(usize::MAX);

#[derive(Debug)]
pub(crate) struct Row {
    number: usize,
    spots: Mutex<Spots>,
    queue: Queue,
    alarm: Arc<Alarm>,
    journal: Arc<Journal>,
    registry: Registry,
    waker: mio::Waker,
    poller: Mutex<Poller>,
    /// Whoever polls may be asleep, and has to be woken for what is no event.
    asleep: AtomicBool,
    /// How often it has been polled.
    polls: AtomicU32,
    /// How many events the last poll gave.
    gathered: AtomicUsize,
}

/// The receiving end of the row's epoll.
#[derive(Debug)]
struct Poller {
    poll: Poll,
    events: Events,
}

impl Row {
    pub(super) fn new(
        number: usize,
        waiting: Gauge,
        alarm: Arc<Alarm>,
        journal: Arc<Journal>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKE_UP)?;
        let poller = Mutex::new(Poller {
            poll,
            events: Events::with_capacity(EVENTS_AT_A_TIME),
        });
        let (sender, queue) = queue::queue(waiting);
        Ok(Self {
            number,
            spots: Mutex::new(Spots::new(sender)),
            queue,
            alarm,
            journal,
            registry,
            waker,
            poller,
            asleep: AtomicBool::new(false),
            polls: AtomicU32::new(0),
            gathered: AtomicUsize::new(0),
        })
    }

    /// Those who can go on.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How often it has been polled so far, and whether whoever polls sleeps.
    pub(crate) fn polls(&self) -> (u32, bool) {
        (self.polls.load(Relaxed), self.asleep.load(SeqCst))
    }

    /// Finds out who can go on; waits for it, as long as it takes, if `idle`
    /// says that there is nothing else to do. Returns without anyone, too, when
    /// it is woken.
    ///
    /// Who has something else to do for whoever polls makes it known, and then
    /// calls [`nudge`](Self::nudge). So either `idle`, which is asked after we
    /// have said that we sleep, knows of it, or the nudge finds us asleep.
    pub(crate) fn poll(&self, idle: impl FnOnce() -> bool) {
        let mut poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(true, SeqCst);
        let timeout = match idle() {
            true => self.time_to_sleep(),
            false => {
                self.asleep.store(false, SeqCst);
                Some(Duration::ZERO)
            }
        };
        self.collect(&mut poller, timeout);
    }

    /// Whether the last poll gave several events, but not so many that more of
    /// them would be no gain.
    pub(crate) fn has_some_traffic(&self) -> bool {
        SOME_TRAFFIC.contains(&self.gathered.load(Relaxed))
    }

    /// As [`poll`](Self::poll), by somebody else, who waits for nothing, while
    /// nobody polls.
    pub(crate) fn poll_for_another(&self) {
        match self.poller.try_lock() {
            Ok(mut poller) => self.collect(&mut poller, Some(Duration::ZERO)),
            Err(TryLockError::Poisoned(poller)) => {
                self.collect(&mut poller.into_inner(), Some(Duration::ZERO));
            }
            // Somebody does.
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Deadlines are the [foreman](crate::engine::foreman)'s business: a poll
    /// that ends by itself costs more than one that does not.
    fn time_to_sleep(&self) -> Option<Duration> {
        let spots = self.lock();
        let closed = spots.queue.is_none();
        if closed || !spots.called.is_empty() || !spots.next.is_empty() || !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let (due, _) = spots.soon.front()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn collect(&self, poller: &mut Poller, timeout: Option<Duration>) {
        if let Err(error) = poller.poll.poll(&mut poller.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // There is no event to lose: they stay with the kernel.
            note!(self.journal, Error, "cannot poll for events: {error}");
        }
        self.asleep.store(false, SeqCst);
        self.polls.fetch_add(1, Relaxed);
        self.gathered.store(poller.events.iter().count(), Relaxed);
        let mut spots = self.lock();
        for event in &poller.events {
            if event.token() != WAKE_UP {
                spots.change(event.token().0, Changes::of(event));
            }
        }
        spots.take_called();
        spots.take_unbidden();
        spots.scan_if_due();
    }

    /// When it has to be polled for deadlines.
    pub(crate) fn scan_due(&self) -> Option<Instant> {
        self.lock().scan_due()
    }

    /// Wakes whoever polls, if it sleeps. Says whether it did.
    pub(crate) fn nudge(&self) -> bool {
        let asleep = self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst);
        if asleep && let Err(error) = self.waker.wake() {
            note!(self.journal, Error, "cannot wake a poll: {error}");
        }
        asleep
    }

    pub(super) fn park(&self, mut connection: Box<Connection>, park: Park) -> Parked {
        if matches!(park.wait, Wait::Turn | Wait::Soon) {
            return self.put_off(connection, park);
        }
        // Its waker would have needed a spot as well, and calls nobody now.
        let in_vain = park.wait == Wait::Piece;
        let mut enrolled = Ok(());
        if connection.spot().is_none() && !in_vain {
            enrolled = self.enroll(&mut connection);
        }
        if enrolled.is_ok() && park.wait == Wait::Room {
            enrolled = self.enroll_for_room(&mut connection);
        }
        if let Err(error) = enrolled {
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
        let State::Away(changes, _) = &mut spots.spots[spot.index] else {
            unreachable!("a connection is in one place at a time");
        };
        let noted = std::mem::replace(changes, Changes::NONE);
        if noted.closed {
            connection.note_eof();
        }
        if noted.satisfy(park.wait) {
            return Parked::Ready(connection);
        }
        spots.spots[spot.index] = State::Parked(connection, park.wait, park.until);
        if spots.expect(park.until) {
            drop(spots);
            self.alarm.changed();
        }
        Parked::Yes
    }

    /// Parks who waits for nothing that an event would tell, and needs no spot
    /// for it.
    fn put_off(&self, connection: Box<Connection>, park: Park) -> Parked {
        let mut spots = self.lock();
        if spots.evicted {
            return Parked::Refused(connection, None);
        }
        let first = match park.until {
            Some(due) if park.wait == Wait::Soon => {
                spots.soon.push_back((due, connection));
                spots.soon.len() == 1
            }
            _ => {
                spots.next.push_back(connection);
                true
            }
        };
        drop(spots);
        // Who sleeps until the first of them is due wakes up for the others.
        if first {
            self.nudge();
        }
        Parked::Yes
    }

    /// Registers it for input. That it could be written to as well at once is
    /// no news, and would wake somebody for nothing.
    pub(super) fn enroll(&self, connection: &mut Connection) -> io::Result<()> {
        let mut spots = self.lock();
        let index = match spots.vacant.pop() {
            Some(index) => index,
            None => {
                spots.spots.push(State::Vacant);
                spots.spots.len() - 1
            }
        };
        // Away before the registration: its first events come right away.
        spots.spots[index] = State::AWAY;
        drop(spots);
        let registered =
            self.registry
                .register(connection.source(), Token(index), Interest::READABLE);
        let spot = Spot {
            row: self.number,
            index,
            for_room: false,
        };
        match registered {
            Ok(()) => connection.set_spot(spot),
            Err(_) => self.forget(spot),
        }
        registered
    }

    /// Registers it for room as well, once. If there is room already, that is
    /// news.
    pub(super) fn enroll_for_room(&self, connection: &mut Connection) -> io::Result<()> {
        let Some(spot) = connection.spot().filter(|spot| !spot.for_room) else {
            return Ok(());
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .reregister(connection.source(), Token(spot.index), interest)?;
        connection.set_spot(Spot {
            for_room: true,
            ..spot
        });
        Ok(())
    }

    pub(super) fn watch(&self, spot: Spot, watch: &Arc<Watch>) {
        if let State::Away(_, watched) = &mut self.lock().spots[spot.index] {
            *watched = Some(Arc::clone(watch));
        }
    }

    pub(super) fn unwatch(&self, spot: Spot) {
        if let State::Away(_, watch) = &mut self.lock().spots[spot.index]
            && let Some(watch) = watch.take()
        {
            watch.end();
        }
    }

    pub(super) fn leave(&self, spot: Spot, connection: &mut Connection) {
        // First, so that hardly an event of its comes for who has the spot next;
        // one that is under way costs that one a turn for nothing.
        if let Err(error) = self.registry.deregister(connection.source()) {
            note!(
                self.journal,
                Debug,
                "cannot deregister {connection:?}: {error}"
            );
        }
        self.forget(spot);
    }

    pub(super) fn forget(&self, spot: Spot) {
        let mut spots = self.lock();
        let before = std::mem::replace(&mut spots.spots[spot.index], State::Vacant);
        spots.vacant.push(spot.index);
        if let State::Away(_, Some(watch)) = before {
            watch.end();
        }
    }

    pub(super) fn call(&self, spot: Spot) {
        let mut spots = self.lock();
        match &mut spots.spots[spot.index] {
            State::Vacant => return,
            State::Away(changes, _) => {
                changes.called = true;
                return;
            }
            State::Parked(..) => spots.called.push(spot.index),
        }
        drop(spots);
        self.nudge();
    }

    pub(super) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        self.lock().announce(phase, last_call_ends);
        self.nudge();
        self.alarm.changed();
    }

    pub(super) fn evict(&self) -> impl Iterator<Item = Box<Connection>> {
        self.lock().evict();
        iter::from_fn(|| match self.queue.receive() {
            Received::Connection(connection) => Some(connection),
            Received::Nobody | Received::Closed => None,
        })
    }

    /// Closes the queue: nobody is left.
    pub(super) fn close(&self) {
        self.lock().queue = None;
        self.nudge();
    }

    /// Whatever panicked, each spot is in one of its states.
    fn lock(&self) -> MutexGuard<'_, Spots> {
        self.spots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
