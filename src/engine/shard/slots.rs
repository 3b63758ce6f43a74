//! The slots of a shard: which connections are suspended in it, for what, and
//! what has happened to those that are with a worker.
//!
//! ```text
//! Vacant --insert--> Away --suspend--> Suspended --event, deadline, wake--> Away --remove--> Vacant
//! ```
//!
//! Registration is edge-triggered: an event tells of a change, and only once. A
//! change that comes while the connection is away is noted in its slot, and
//! `suspend` hands the connection back at once if it waits for just that. So a
//! connection that is suspended for X only after X has said "not yet" in the same
//! turn misses no change.
//!
//! Deadlines need no heap and no order. The slots know the earliest one that
//! there may be; the [monitor](crate::engine::monitor) wakes the shard's owner
//! then, and the owner looks through all slots, at most once in 10 ms: ten
//! thousand slots are a matter of microseconds.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;
use std::time::Instant;

use super::Suspendable;
use crate::lifecycle::phase::Phase;

/// Deadlines are met this late, and twice as late at most, unless the machine is
/// overloaded.
const SCAN_EVERY: Duration = Duration::from_millis(10);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Bytes, or EOF.
    Input,
    /// Room in the kernel's send buffer.
    Room,
    /// A call of its waker, or that the client closes its side.
    Wake,
    /// Nothing: its turn was long, and the other connections go first.
    Turn,
    /// Some time, and nothing else: what it waits for will have come by then,
    /// and an event for it would be a wake-up for nothing.
    Time,
}

/// How a connection wants to be suspended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspend {
    pub(crate) wait: Wait,
    /// No deadline: the phase decides.
    pub(crate) until: Option<Instant>,
    /// The phase in which the connection decided so.
    pub(crate) seen: Phase,
}

/// What has changed since a connection left its slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) input: bool,
    pub(crate) room: bool,
    /// The client has closed its side, or the connection is broken.
    pub(crate) closed: bool,
    pub(crate) woken: bool,
}

impl Changes {
    fn and(self, other: Self) -> Self {
        Self {
            input: self.input || other.input,
            room: self.room || other.room,
            closed: self.closed || other.closed,
            woken: self.woken || other.woken,
        }
    }

    fn satisfy(self, wait: Wait) -> bool {
        match wait {
            Wait::Input => self.input,
            Wait::Room => self.room,
            Wait::Wake => self.woken || self.closed,
            Wait::Turn | Wait::Time => true,
        }
    }
}

/// What became of a connection that was to be suspended.
#[derive(Debug)]
pub(crate) enum SlotSuspended<C> {
    /// It is. `true`: its deadline is the earliest.
    Yes(bool),
    /// What it waits for has come meanwhile, or the phase has moved on: it has
    /// another turn.
    Ready(Box<C>),
    /// The slots are closed.
    Refused(Box<C>),
}

/// See the module. A slot is known by its index.
#[derive(Debug)]
pub(crate) struct Slots<C> {
    slots: Vec<Slot<C>>,
    vacant: Vec<usize>,
    /// Slots whose connections were woken, in the order of the calls.
    woken: VecDeque<usize>,
    /// Connections that have had a long turn, and go on once others had theirs.
    next: VecDeque<Box<C>>,
    /// Connections that go on at a certain time, about in its order.
    timed: VecDeque<(Instant, Box<C>)>,
    /// No deadline is earlier; one may be later.
    earliest: Option<Instant>,
    last_scan: Instant,
    /// What has been announced.
    phase: Phase,
    closed: bool,
}

#[derive(Debug)]
enum Slot<C> {
    Vacant,
    /// With a worker, or ready for one. What has happened meanwhile.
    Away(Changes),
    Suspended(Box<C>, Wait, Option<Instant>),
}

impl<C: Suspendable> Slots<C> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            woken: VecDeque::new(),
            next: VecDeque::new(),
            timed: VecDeque::new(),
            earliest: None,
            last_scan: Instant::now(),
            phase: Phase::Running,
            closed: false,
        }
    }

    /// A slot for a connection that is with its caller.
    pub(crate) fn insert(&mut self) -> usize {
        let away = Slot::Away(Changes::default());
        match self.vacant.pop() {
            Some(index) => {
                self.slots[index] = away;
                index
            }
            None => {
                self.slots.push(away);
                self.slots.len() - 1
            }
        }
    }

    /// Frees a slot, whose connection is with the caller.
    pub(crate) fn remove(&mut self, index: usize) {
        self.slots[index] = Slot::Vacant;
        self.vacant.push(index);
    }

    /// Suspends the connection of this slot.
    pub(crate) fn suspend(
        &mut self,
        index: usize,
        mut connection: Box<C>,
        suspend: Suspend,
    ) -> SlotSuspended<C> {
        if self.closed {
            return SlotSuspended::Refused(connection);
        }
        // Decided in an earlier phase, and `announce` has been here since: the
        // connection would never hear of it.
        if suspend.seen < self.phase {
            return SlotSuspended::Ready(connection);
        }
        let Slot::Away(changes) = &mut self.slots[index] else {
            unreachable!("a connection is in one place at a time");
        };
        let noted = mem::take(changes);
        if noted.closed {
            connection.note_eof();
        }
        if noted.satisfy(suspend.wait) {
            return SlotSuspended::Ready(connection);
        }
        self.slots[index] = Slot::Suspended(connection, suspend.wait, suspend.until);
        SlotSuspended::Yes(self.expect(suspend.until))
    }

    /// Suspends a connection that waits for no event, and needs no slot for that.
    pub(crate) fn put_off(&mut self, connection: Box<C>, suspend: Suspend) -> SlotSuspended<C> {
        if self.closed {
            return SlotSuspended::Refused(connection);
        }
        match suspend.until {
            Some(due) if suspend.wait == Wait::Time => {
                self.timed.push_back((due, connection));
                SlotSuspended::Yes(self.timed.len() == 1)
            }
            _ => {
                self.next.push_back(connection);
                SlotSuspended::Yes(true)
            }
        }
    }

    /// An event has told of changes. Gives the connection if it is ready.
    pub(crate) fn change(&mut self, index: usize, new: Changes) -> Option<Box<C>> {
        match self.slots.get_mut(index)? {
            Slot::Away(changes) => *changes = changes.and(new),
            Slot::Suspended(connection, wait, _) => {
                if new.closed {
                    connection.note_eof();
                }
                if new.satisfy(*wait) {
                    return self.take(index);
                }
            }
            Slot::Vacant => {}
        }
        None
    }

    /// The waker of a slot's connection was called. Says whether the owner has
    /// to look at [`take_woken`](Self::take_woken).
    pub(crate) fn wake(&mut self, index: usize) -> bool {
        match &mut self.slots[index] {
            Slot::Vacant => false,
            Slot::Away(changes) => {
                changes.woken = true;
                false
            }
            Slot::Suspended(..) => {
                self.woken.push_back(index);
                true
            }
        }
    }

    /// A connection whose waker was called, that only waited for the others, or
    /// whose time has come: of each kind the first one first.
    pub(crate) fn take_woken(&mut self, now: Instant) -> Option<Box<C>> {
        while let Some(index) = self.woken.pop_front() {
            if let Some(connection) = self.take(index) {
                return Some(connection);
            }
        }
        if let Some(connection) = self.next.pop_front() {
            return Some(connection);
        }
        if self.next_time()? > now {
            return None;
        }
        self.timed.pop_front().map(|(_, connection)| connection)
    }

    /// Whether [`take_woken`](Self::take_woken) gives a connection at any time.
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty() || !self.next.is_empty()
    }

    /// When it gives the next one that waits for a time.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.timed.front().map(|(due, _)| *due)
    }

    /// When to look for connections whose deadlines have passed.
    pub(crate) fn scan_due(&self) -> Option<Instant> {
        let earliest = self.earliest?;
        Some(earliest.max(self.last_scan + SCAN_EVERY))
    }

    /// Gives every connection whose deadline has passed, if it is time to look.
    pub(crate) fn scan(&mut self, now: Instant, mut ready: impl FnMut(Box<C>)) {
        if self.scan_due().is_none_or(|due| now < due) {
            return;
        }
        self.last_scan = now;
        let mut next: Option<Instant> = None;
        for index in 0..self.slots.len() {
            let Slot::Suspended(_, _, Some(until)) = self.slots[index] else {
                continue;
            };
            if until > now {
                next = Some(next.map_or(until, |next| next.min(until)));
            } else if let Some(connection) = self.take(index) {
                ready(connection);
            }
        }
        self.earliest = next;
    }

    /// The server is in a new phase: each connection that it concerns has a turn.
    ///
    /// When the drain begins these are the idle ones, whose deadline becomes the
    /// end of the last call, and endless streams; at an abort, all.
    pub(crate) fn announce(&mut self, phase: Phase, last_call_ends: Instant) {
        self.phase = phase;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Slot::Suspended(connection, _, until) = slot else {
                continue;
            };
            if phase.is_aborting() || connection.is_endless() {
                self.woken.push_back(index);
            } else if connection.is_idle() {
                *until = Some(until.map_or(last_call_ends, |until| until.min(last_call_ends)));
            }
        }
        self.expect(Some(last_call_ends));
    }

    /// Suspends no connection any more, and gives every one that is.
    pub(crate) fn close(&mut self) -> Vec<Box<C>> {
        self.closed = true;
        let slots = 0..self.slots.len();
        let mut taken: Vec<_> = slots.filter_map(|index| self.take(index)).collect();
        taken.extend(self.next.drain(..));
        taken.extend(self.timed.drain(..).map(|(_, connection)| connection));
        taken
    }

    fn take(&mut self, index: usize) -> Option<Box<C>> {
        let slot = &mut self.slots[index];
        match mem::replace(slot, Slot::Away(Changes::default())) {
            Slot::Suspended(connection, ..) => Some(connection),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Takes note of a deadline. Says whether it is the earliest.
    fn expect(&mut self, until: Option<Instant>) -> bool {
        let Some(until) = until else {
            return false;
        };
        let sooner = self.earliest.is_none_or(|earliest| until < earliest);
        if sooner {
            self.earliest = Some(until);
        }
        sooner
    }
}
