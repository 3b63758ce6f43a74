//! A shard: one epoll, with its connections and their deadlines. There is one for
//! each core, and a connection stays in its shard for life.
//!
//! A shard has two halves. The [`Job`] is its poll half, a value: the worker that
//! has it owns the shard, polls it, and serves the connections that are ready.
//! This is the shared half: every thread may suspend a connection in it, wake
//! one, or end the owner's sleep, under a short lock.
//!
//! Two handshakes: suspending against events ([`slots`]), and the owner's sleep
//! against everything that is no event ([`sleep`]).

mod job;
mod sleep;
mod slots;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use mio::Interest;
use mio::Registry;
use mio::Token;

pub(crate) use self::job::Job;
use self::sleep::Sleep;
use self::slots::SlotSuspended;
use self::slots::Slots;
pub(crate) use self::slots::Suspend;
pub(crate) use self::slots::Wait;
use super::monitor_waker::MonitorWaker;
use crate::journal::Journal;
use crate::journal::note;
use crate::lifecycle::phase::Phase;
use crate::message::body::source::Waker;
use crate::net::stream::Stream;

/// The owner's epoll tells of a wake by this token.
const WAKE_UP: Token = Token(usize::MAX);

/// What a shard has to know of a connection.
pub(crate) trait Suspendable: Send {
    /// What the epoll registers.
    fn stream(&mut self) -> &mut Stream;
    /// The slot that it has, from its registration on.
    fn key(&self) -> Option<Key>;
    fn set_key(&mut self, key: Option<Key>);
    /// The client has closed its side, or the connection is broken. An event
    /// says so once.
    fn note_eof(&mut self);
    /// No request is in progress.
    fn is_idle(&self) -> bool;
    /// Its answer would go on for ever, and ends with the last call.
    fn is_endless(&self) -> bool;
}

/// A connection's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: usize,
    /// It is registered for room, not only for input.
    for_room: bool,
}

/// What became of a connection that was to be suspended.
#[derive(Debug)]
pub(crate) enum Suspended<C> {
    Yes,
    /// What it waits for has come meanwhile, or the phase has moved on: it has
    /// another turn.
    Ready(Box<C>),
    /// The shard suspends no connection any more, or could not register it.
    Refused(Box<C>, Option<io::Error>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shard<C> {
    slots: Mutex<Slots<C>>,
    sleep: Sleep,
    registry: Registry,
    waker: mio::Waker,
    /// Told of every deadline that is earlier than the others.
    monitor_waker: Arc<MonitorWaker>,
    journal: Arc<Journal>,
}

impl<C: Suspendable> Shard<C> {
    /// Suspends a connection until what it waits for has come, or its deadline.
    pub(crate) fn suspend(&self, mut connection: Box<C>, suspend: Suspend) -> Suspended<C> {
        if matches!(suspend.wait, Wait::Turn | Wait::Time) {
            let put_off = self.lock().put_off(connection, suspend);
            return self.suspended(put_off, || {
                self.interrupt();
            });
        }
        let registered = match suspend.wait {
            Wait::Room => self.register_for_room(&mut connection).map(Some),
            // Its waker has registered it, or could not, and then wakes nothing.
            Wait::Wake => Ok(connection.key()),
            _ => self.register(&mut connection).map(Some),
        };
        let key = match registered {
            Ok(Some(key)) => key,
            Ok(None) => return Suspended::Refused(connection, None),
            Err(error) => return Suspended::Refused(connection, Some(error)),
        };
        let suspended = self.lock().suspend(key.index, connection, suspend);
        self.suspended(suspended, || self.monitor_waker.wake())
    }

    /// `first`: what to do if another thread waits for the earliest of these.
    fn suspended(&self, suspended: SlotSuspended<C>, first: impl FnOnce()) -> Suspended<C> {
        match suspended {
            SlotSuspended::Yes(is_first) => {
                if is_first {
                    first();
                }
                Suspended::Yes
            }
            SlotSuspended::Ready(connection) => Suspended::Ready(connection),
            SlotSuspended::Refused(connection) => Suspended::Refused(connection, None),
        }
    }

    /// Calls this connection back to work, from any thread, at any time.
    pub(crate) fn waker(self: &Arc<Self>, connection: &mut C) -> Waker
    where
        C: 'static,
    {
        let index = match self.register(connection) {
            Ok(key) => Some(key.index),
            // It is not suspended for it then: see `suspend`.
            Err(error) => {
                note!(self.journal, Error, "cannot register a socket: {error}");
                None
            }
        };
        let shard = Arc::clone(self);
        Arc::new(move || {
            if index.is_some_and(|index| shard.lock().wake(index)) {
                shard.interrupt();
            }
        })
    }

    /// Frees the slot of a connection, and has its events told no more. It gets
    /// another slot when it is suspended again.
    pub(crate) fn deregister(&self, connection: &mut C) {
        let Some(key) = connection.key() else {
            return;
        };
        // First: so hardly an event of this connection reaches the slot's next
        // one. One that does costs that connection a turn for nothing.
        if let Err(error) = connection.stream().deregister(&self.registry) {
            note!(self.journal, Debug, "cannot deregister a socket: {error}");
        }
        self.lock().remove(key.index);
        connection.set_key(None);
    }

    /// Frees the slot of a connection whose socket is about to be closed, which
    /// deregisters it. A waker that still points to the slot wakes its next
    /// connection once for nothing.
    pub(crate) fn remove(&self, key: Key) {
        self.lock().remove(key.index);
    }

    /// Wakes the owner, if it sleeps. Says whether it did.
    pub(crate) fn interrupt(&self) -> bool {
        let asleep = self.sleep.interrupt();
        if asleep && let Err(error) = self.waker.wake() {
            note!(self.journal, Error, "cannot wake a poll: {error}");
        }
        asleep
    }

    /// Whether the owner sleeps.
    pub(crate) fn is_asleep(&self) -> bool {
        self.sleep.is_asleep()
    }

    /// When the owner has to look at the deadlines.
    pub(crate) fn scan_due(&self) -> Option<Instant> {
        self.lock().scan_due()
    }

    /// The server is in a new phase: see [`Slots::announce`].
    pub(crate) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        self.lock().announce(phase, last_call_ends);
        self.interrupt();
        self.monitor_waker.wake();
    }

    /// Suspends no connection any more, and gives those that were suspended.
    pub(crate) fn close(&self) -> Vec<Box<C>> {
        let suspended = self.lock().close();
        self.interrupt();
        suspended
    }

    /// Registers a connection for input. An event that it could be written to as
    /// well would come at once, and be a wake-up for nothing.
    fn register(&self, connection: &mut C) -> io::Result<Key> {
        if let Some(key) = connection.key() {
            return Ok(key);
        }
        // Before the registration: its first events come right away.
        let index = self.lock().insert();
        let token = Token(index);
        let interest = Interest::READABLE;
        if let Err(error) = connection
            .stream()
            .register(&self.registry, token, interest)
        {
            self.lock().remove(index);
            return Err(error);
        }
        let key = Key {
            index,
            for_room: false,
        };
        connection.set_key(Some(key));
        Ok(key)
    }

    /// Registers a connection for room as well. If there is room already, that
    /// is an event.
    fn register_for_room(&self, connection: &mut C) -> io::Result<Key> {
        let key = self.register(connection)?;
        if key.for_room {
            return Ok(key);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        connection
            .stream()
            .reregister(&self.registry, Token(key.index), interest)?;
        let key = Key {
            for_room: true,
            ..key
        };
        connection.set_key(Some(key));
        Ok(key)
    }

    /// Whatever panicked, each slot is in one of its states.
    fn lock(&self) -> MutexGuard<'_, Slots<C>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
