//! The slots of a shard. They hold the suspended connections with what each waits for,
//! and note the events of the connections that are with a worker.
//!
//! ```text
//! Vacant --insert--> Away --suspend--> Suspended --event, deadline, wake--> Away --remove--> Vacant
//! ```
//!
//! Registration is edge-triggered: the kernel reports each change once. A change that
//! happens while the connection is away is noted in its slot, and `suspend` hands the
//! connection back at once if it waits for this change. So a connection misses no
//! change, if it waits only for a call (a read, a write) that was not possible in the
//! same turn.
//!
//! Deadlines need no heap and no order. The slots know a time before which no deadline
//! passes. At that time the [monitor](crate::engine::monitor) wakes the shard's owner,
//! and the owner looks through all slots, at most once in 10 ms. Ten thousand slots take
//! some microseconds.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;
use std::time::Instant;

use super::Suspendable;
use crate::lifecycle::phase::Phase;

/// The shortest time between two scans for deadlines. A deadline is noticed at most
/// twice this time late, unless the machine is overloaded.
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
    /// Its next turn: the last one was long, and the other connections go first.
    Turn,
    /// A point in time. The connection needs no event: what it waits for has happened
    /// by then, and an event would be a useless wake-up.
    Time,
}

/// How a connection wants to be suspended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspend {
    pub(crate) wait: Wait,
    /// The deadline. `None`: only the phase ends the wait.
    pub(crate) until: Option<Instant>,
    /// The phase in which the connection decided to wait.
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

/// The result of suspending a connection.
#[derive(Debug)]
pub(crate) enum SlotSuspended<C> {
    /// It is suspended. `true`: its time is the earliest.
    Yes(bool),
    /// What the connection waits for has happened meanwhile, or the phase has changed:
    /// the connection has another turn.
    Ready(Box<C>),
    /// The slots are closed.
    Refused(Box<C>),
}

/// See the module. The index of a slot is its name.
#[derive(Debug)]
pub(crate) struct Slots<C> {
    slots: Vec<Slot<C>>,
    vacant: Vec<usize>,
    /// Slots whose connections were woken, in the order of the calls.
    woken: VecDeque<usize>,
    /// Connections that have had a long turn, and go on after the others.
    next: VecDeque<Box<C>>,
    /// Connections that go on at a certain time, roughly in the order of the times.
    timed: VecDeque<(Instant, Box<C>)>,
    /// No deadline is earlier. `None`: there is no deadline.
    earliest: Option<Instant>,
    last_scan: Instant,
    /// The last phase that was announced.
    phase: Phase,
    closed: bool,
}

#[derive(Debug)]
enum Slot<C> {
    Vacant,
    /// The connection is with a worker, or ready. These changes happened meanwhile.
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

    /// Allocates a slot for a connection that the caller has.
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

    /// Frees a slot whose connection the caller has.
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
        // The connection decided in an earlier phase, and `announce` did not find it in
        // a slot. So it has another turn, in which it sees the new phase.
        if suspend.seen < self.phase {
            return SlotSuspended::Ready(connection);
        }
        let Slot::Away(changes) = &mut self.slots[index] else {
            unreachable!("a slot whose connection is with the caller is `Away` until its removal");
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

    /// Suspends a connection that waits for no event, and so needs no slot.
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

    /// An event has reported changes. Returns the connection if it is ready.
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

    /// The waker of a slot's connection was called. Returns whether the owner has to
    /// call [`take_due`](Self::take_due).
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

    /// Takes a connection that is ready without an event of its socket: the first whose
    /// waker was called; if there is none, the first that waits for its turn; if there is
    /// none, the first whose time has passed.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Box<C>> {
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

    /// Whether [`take_due`](Self::take_due) may return a connection at once.
    pub(crate) fn has_woken(&self) -> bool {
        !self.woken.is_empty() || !self.next.is_empty()
    }

    /// When [`take_due`](Self::take_due) returns the next connection that waits for
    /// a time.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.timed.front().map(|(due, _)| *due)
    }

    /// When to look for connections whose deadlines have passed.
    pub(crate) fn scan_due(&self) -> Option<Instant> {
        let earliest = self.earliest?;
        Some(earliest.max(self.last_scan + SCAN_EVERY))
    }

    /// Passes every connection whose deadline has passed to `ready`, if a scan is due.
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

    /// The server is in a new phase: each connection that it concerns gets a turn.
    ///
    /// When the drain begins, streams without an end get a turn at once, and idle
    /// connections at the end of the last call. At an abort, all connections get a turn.
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

    /// Refuses to suspend further connections. Returns the suspended connections.
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

    /// Notes a deadline. Returns whether it is the earliest.
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
