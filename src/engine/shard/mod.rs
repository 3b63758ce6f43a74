//! A shard: one epoll, with its connections and their deadlines. There is one for
//! each core, and a connection stays in its shard for life.
//!
//! A shard has two halves. The [`Job`] is its poll half: the worker that has the job
//! owns the shard, polls it, and serves the connections that are ready. [`Shard`] is the
//! shared half: every thread may suspend or wake a connection in it, or end the owner's
//! sleep, under a short lock.
//!
//! Two races are handled here: a suspend against the events of the connection
//! ([`slots`]), and the owner's sleep against wake-ups that are no events ([`sleep`]).

mod job;
mod ready;
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
pub(crate) use self::ready::Ready;
use self::ready::ReadyGauge;
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

/// The token of the epoll's wake-up event.
const WAKE_UP: Token = Token(usize::MAX);

/// What the slots need to know about a connection.
pub(crate) trait Suspendable: Send {
    /// A poll found the connection ready at this time, and its turn begins.
    fn note_ready(&mut self, since: Instant);
    /// The client has closed its side, or the connection is broken. The kernel reports
    /// this only once.
    fn note_eof(&mut self);
    /// No request is in progress.
    fn is_idle(&self) -> bool;
    /// The answer is a stream without an end, which the server ends with the last call.
    fn is_endless(&self) -> bool;
}

/// What the epoll registers of a connection.
pub(crate) trait HasSocket: Suspendable {
    fn socket(&mut self) -> &mut Socket;
}

/// A connection's socket, and its slot.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    /// Set while the socket is registered.
    key: Option<Key>,
}

impl Socket {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, key: None }
    }
}

/// A slot.
#[derive(Clone, Copy, Debug)]
struct Key {
    index: usize,
    /// The connection is registered for room too, not only for input.
    for_room: bool,
}

/// The result of suspending a connection.
#[derive(Debug)]
pub(crate) enum Suspended<C> {
    Yes,
    /// What the connection waits for has happened meanwhile, or the phase has changed:
    /// the connection has another turn.
    Ready(Box<C>),
    /// The shard is closed, or could not register the connection.
    Refused(Box<C>, Option<io::Error>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shard<C> {
    slots: Mutex<Slots<C>>,
    sleep: Sleep,
    /// Shows how many connections of the job's batch wait for a worker.
    ready: ReadyGauge,
    registry: Registry,
    /// Ends the poll of the owner, if it sleeps in it.
    poll_waker: mio::Waker,
    /// Wakes the monitor for every deadline that is earlier than all others.
    monitor_waker: Arc<MonitorWaker>,
    journal: Arc<Journal>,
}

impl<C: Suspendable> Shard<C> {
    /// Suspends a connection until what it waits for happens, or until its deadline.
    pub(crate) fn suspend(&self, mut connection: Box<C>, suspend: Suspend) -> Suspended<C>
    where
        C: HasSocket,
    {
        if matches!(suspend.wait, Wait::Turn | Wait::Time) {
            let put_off = self.lock().put_off(connection, suspend);
            return self.suspended(put_off, || {
                self.interrupt();
            });
        }
        let socket = connection.socket();
        let registered = match suspend.wait {
            Wait::Room => self.register_for_room(socket).map(Some),
            // `waker` has registered the connection. If that failed, the waker does
            // nothing, and the connection cannot be suspended.
            Wait::Wake => Ok(socket.key),
            _ => self.register(socket).map(Some),
        };
        let key = match registered {
            Ok(Some(key)) => key,
            Ok(None) => return Suspended::Refused(connection, None),
            Err(error) => return Suspended::Refused(connection, Some(error)),
        };
        let suspended = self.lock().suspend(key.index, connection, suspend);
        self.suspended(suspended, || self.monitor_waker.wake())
    }

    /// Calls `first` if the connection's time is the earliest: another thread sleeps
    /// until the earliest time, and has to be woken.
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

    /// A waker, which makes the connection of this socket ready, from any thread, at
    /// any time.
    pub(crate) fn waker(self: &Arc<Self>, socket: &mut Socket) -> Waker
    where
        C: 'static,
    {
        let index = match self.register(socket) {
            Ok(key) => Some(key.index),
            // `suspend` refuses the connection then.
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

    /// Deregisters a connection, and frees its slot. It gets another slot when it is
    /// suspended again.
    pub(crate) fn deregister(&self, socket: &mut Socket) {
        let Some(key) = socket.key.take() else {
            return;
        };
        // Before the slot is freed, so that events of this connection rarely reach the
        // slot's next connection. Such an event costs that connection a useless turn.
        if let Err(error) = socket.stream.deregister(&self.registry) {
            note!(self.journal, Debug, "cannot deregister a socket: {error}");
        }
        self.lock().remove(key.index);
    }

    /// Frees the slot of a connection whose socket is about to be closed, which also
    /// deregisters it. A waker that still has this slot may give the slot's next
    /// connection a useless turn.
    pub(crate) fn remove(&self, socket: &Socket) {
        if let Some(key) = socket.key {
            self.lock().remove(key.index);
        }
    }

    /// Wakes the owner, if it sleeps. Returns whether it slept.
    pub(crate) fn interrupt(&self) -> bool {
        let asleep = self.sleep.interrupt();
        if asleep && let Err(error) = self.poll_waker.wake() {
            note!(self.journal, Error, "cannot wake a poll: {error}");
        }
        asleep
    }

    /// Whether the owner sleeps.
    pub(crate) fn is_asleep(&self) -> bool {
        self.sleep.is_asleep()
    }

    /// The connections that are ready and wait for a worker.
    pub(crate) fn ready(&self) -> Ready {
        self.ready.get()
    }

    /// When the owner has to look at the deadlines again.
    pub(crate) fn scan_due(&self) -> Option<Instant> {
        self.lock().scan_due()
    }

    /// The server is in a new phase: see [`Slots::announce`].
    pub(crate) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        self.lock().announce(phase, last_call_ends);
        self.interrupt();
        self.monitor_waker.wake();
    }

    /// Refuses to suspend further connections. Returns the suspended connections.
    pub(crate) fn close(&self) -> Vec<Box<C>> {
        let suspended = self.lock().close();
        self.interrupt();
        suspended
    }

    /// Registers a connection for input only. With room registered too, the kernel
    /// would report an event at once, a useless wake-up.
    fn register(&self, socket: &mut Socket) -> io::Result<Key> {
        if let Some(key) = socket.key {
            return Ok(key);
        }
        // Before the registration, because its first events may arrive at once.
        let index = self.lock().insert();
        let token = Token(index);
        let interest = Interest::READABLE;
        if let Err(error) = socket.stream.register(&self.registry, token, interest) {
            self.lock().remove(index);
            return Err(error);
        }
        let key = Key {
            index,
            for_room: false,
        };
        socket.key = Some(key);
        Ok(key)
    }

    /// Registers a connection for room too. If there is room already, the kernel
    /// reports that as an event.
    fn register_for_room(&self, socket: &mut Socket) -> io::Result<Key> {
        let key = self.register(socket)?;
        if key.for_room {
            return Ok(key);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        socket
            .stream
            .reregister(&self.registry, Token(key.index), interest)?;
        let key = Key {
            for_room: true,
            ..key
        };
        socket.key = Some(key);
        Ok(key)
    }

    /// Ignores poison: a panic leaves every slot in a valid state.
    fn lock(&self) -> MutexGuard<'_, Slots<C>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
