//! The spots of a row: who is in each, and what has happened there.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use mio::event::Event;

use super::Wait;
use super::watch::Watch;
use crate::drain::phase::Phase;
use crate::engine::connection::Connection;
use crate::engine::queue::Sender;

/// Deadlines are met this late at most, unless the machine is overloaded.
const SCAN_EVERY: Duration = Duration::from_millis(10);

pub(super) struct Spots {
    pub(super) spots: Vec<State>,
    pub(super) vacant: Vec<usize>,
    /// Spots whose connections were called.
    pub(super) called: Vec<usize>,
    /// For those who are to go on; their spots are `Away`. Dropped when nobody
    /// is left, which closes the queue.
    pub(super) queue: Option<Sender>,
    /// Those who have had a long turn, and go on once others had theirs.
    pub(super) next: VecDeque<Box<Connection>>,
    /// Those who go on at a certain time, about in its order.
    pub(super) soon: VecDeque<(Instant, Box<Connection>)>,
    /// No deadline is earlier; one may be later.
    earliest: Option<Instant>,
    last_scan: Instant,
    /// What has been announced.
    pub(super) phase: Phase,
    pub(super) evicted: bool,
}

pub(super) enum State {
    Vacant,
    /// In the queue, with a worker, or taken over. What happened meanwhile, and who
    /// watches that.
    Away(Changes, Option<Arc<Watch>>),
    Parked(Box<Connection>, Wait, Option<Instant>),
}

impl State {
    /// Nothing has happened yet.
    pub(super) const AWAY: Self = Self::Away(Changes::NONE, None);
}

/// What has changed since a connection left its spot.
#[derive(Clone, Copy)]
pub(super) struct Changes {
    pub(super) input: bool,
    pub(super) room: bool,
    /// The client has closed its side, or the connection is broken.
    pub(super) closed: bool,
    pub(super) called: bool,
}

impl Changes {
    pub(super) const NONE: Self = Self {
        input: false,
        room: false,
        closed: false,
        called: false,
    };

    pub(super) fn of(event: &Event) -> Self {
        let closed = event.is_read_closed() || event.is_error();
        Self {
            input: event.is_readable() || closed,
            room: event.is_writable() || event.is_write_closed() || event.is_error(),
            closed,
            called: false,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            input: self.input || other.input,
            room: self.room || other.room,
            closed: self.closed || other.closed,
            called: self.called || other.called,
        }
    }

    pub(super) fn satisfy(self, wait: Wait) -> bool {
        match wait {
            Wait::Input => self.input,
            Wait::Room => self.room,
            Wait::Piece => self.called || self.closed,
            Wait::Turn | Wait::Soon => true,
        }
    }
}

impl Spots {
    pub(super) fn new(queue: Sender) -> Self {
        Self {
            spots: Vec::new(),
            vacant: Vec::new(),
            called: Vec::new(),
            queue: Some(queue),
            next: VecDeque::new(),
            soon: VecDeque::new(),
            earliest: None,
            last_scan: Instant::now(),
            phase: Phase::Running,
            evicted: false,
        }
    }

    pub(super) fn change(&mut self, index: usize, new: Changes) {
        match &mut self.spots[index] {
            State::Away(changes, watch) => {
                *changes = changes.and(new);
                if let Some(watch) = watch {
                    watch.note(new);
                }
            }
            State::Parked(connection, wait, _) => {
                if new.closed {
                    connection.note_eof();
                }
                if new.satisfy(*wait) {
                    self.make_ready(index);
                }
            }
            State::Vacant => {}
        }
    }

    pub(super) fn take_called(&mut self) {
        while let Some(index) = self.called.pop() {
            self.make_ready(index);
        }
    }

    /// Those who only waited for others, or for some time.
    pub(super) fn take_unbidden(&mut self) {
        while let Some(connection) = self.next.pop_front() {
            self.send(connection);
        }
        if self.soon.is_empty() {
            return;
        }
        let now = Instant::now();
        while self.soon.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, connection)) = self.soon.pop_front()
        {
            self.send(connection);
        }
    }

    /// Takes nobody any more, and sends everyone away.
    pub(super) fn evict(&mut self) {
        self.evicted = true;
        for index in 0..self.spots.len() {
            self.make_ready(index);
        }
        while let Some(connection) = self.next.pop_front() {
            self.send(connection);
        }
        while let Some((_, connection)) = self.soon.pop_front() {
            self.send(connection);
        }
    }

    /// Takes note of a deadline. Says whether it is the earliest.
    pub(super) fn expect(&mut self, until: Option<Instant>) -> bool {
        let Some(until) = until else {
            return false;
        };
        let sooner = self.earliest.is_none_or(|earliest| until < earliest);
        if sooner {
            self.earliest = Some(until);
        }
        sooner
    }

    /// When to look for those who are past their deadlines.
    pub(super) fn scan_due(&self) -> Option<Instant> {
        let earliest = self.earliest?;
        Some(earliest.max(self.last_scan + SCAN_EVERY))
    }

    pub(super) fn scan_if_due(&mut self) {
        let now = Instant::now();
        if self.scan_due().is_some_and(|due| due <= now) {
            self.scan(now);
        }
    }

    fn scan(&mut self, now: Instant) {
        self.last_scan = now;
        let mut next: Option<Instant> = None;
        for index in 0..self.spots.len() {
            match self.spots[index] {
                State::Parked(_, _, Some(until)) if until <= now => self.make_ready(index),
                State::Parked(_, _, Some(until)) => {
                    next = Some(next.map_or(until, |next| next.min(until)));
                }
                State::Parked(_, _, None) | State::Away(..) | State::Vacant => {}
            }
        }
        self.earliest = next;
    }

    fn make_ready(&mut self, index: usize) {
        let state = &mut self.spots[index];
        match mem::replace(state, State::AWAY) {
            State::Parked(connection, ..) => self.send(connection),
            other => *state = other,
        }
    }

    fn send(&self, connection: Box<Connection>) {
        let queue = self.queue.as_ref();
        queue
            .expect("the queue is closed when nobody is left")
            .send(connection);
    }

    /// See [`Lot::announce`](super::Lot::announce).
    pub(super) fn announce(&mut self, phase: Phase, last_call_ends: Instant) {
        self.phase = phase;
        for (index, state) in self.spots.iter_mut().enumerate() {
            match state {
                State::Vacant | State::Away(_, None) => {}
                State::Away(_, Some(watch)) => watch.stir(),
                State::Parked(..) if phase >= Phase::Aborting => self.called.push(index),
                State::Parked(connection, _, until) => {
                    if connection.is_idle() {
                        *until =
                            Some(until.map_or(last_call_ends, |until| until.min(last_call_ends)));
                    } else if connection.is_endless() {
                        self.called.push(index);
                    }
                }
            }
        }
        self.expect(Some(last_call_ends));
    }
}

impl fmt::Debug for Spots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Spots({} of {} vacant)",
            self.vacant.len(),
            self.spots.len()
        )
    }
}
