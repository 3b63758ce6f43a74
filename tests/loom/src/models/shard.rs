//! Suspending a connection in a shard, against everything that makes it ready.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use loom::thread;
use loom::thread::JoinHandle;

use super::poll::Event;
use super::poll::Poll;
use crate::Model;
use crate::Suspendable;
use crate::monitor_waker::MonitorWaker;
use crate::lifecycle::phase::Phase;
use crate::sleep::Sleep;
use crate::slots::Changes;
use crate::slots::Slots;
use crate::slots::Suspend;
use crate::slots::SlotSuspended;
use crate::slots::Wait;
use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::SeqCst;
use crate::sync::thread::park_timeout;

pub(super) const MODELS: &[Model] = &[
    ("shard: an event", None, event),
    ("shard: a wake", None, wake),
    ("shard: a deadline", Some(3), deadline),
    ("shard: an abort", Some(4), abort),
    ("shard: a drain", Some(2), drain),
    ("shard: the connection's next turn", None, turn),
    ("shard: the connection's time", None, time),
    ("shard: the end", None, close),
];

/// The kernel reports input, once.
fn event() {
    let shard = Shard::new();
    let threads = [spawn_worker(&shard, Wait::Input), spawn_owner(&shard)];
    shard.happened.store(true, SeqCst);
    let changes = Changes {
        input: true,
        ..Changes::default()
    };
    shard.poll.report(Event {
        index: shard.index,
        changes,
    });
    shard.join(threads);
}

/// A thread of the application creates what the connection waits for, and calls its
/// waker.
fn wake() {
    let shard = Shard::new();
    let threads = [spawn_worker(&shard, Wait::Wake), spawn_owner(&shard)];
    shard.happened.store(true, SeqCst);
    shard.wake();
    shard.join(threads);
}

/// The deadline has passed when the monitor or the owner looks.
fn deadline() {
    let shard = Shard::new();
    let owner = spawn_owner(&shard);
    let monitor = spawn(&shard, Shard::monitor);
    let suspend = Suspend {
        wait: Wait::Input,
        until: Some(shard.began),
        seen: Phase::Running,
    };
    shard.happened.store(true, SeqCst);
    let suspended = shard.suspend(Box::new(Connection), suspend);
    assert!(matches!(suspended, SlotSuspended::Yes(true)));
    shard.join([owner, monitor]);
}

/// An abort sets the phase and announces it: the connection has a turn at once.
fn abort() {
    let shard = Shard::new();
    let threads = [spawn_worker(&shard, Wait::Input), spawn_owner(&shard)];
    shard.enter(Phase::Aborting);
    shard.join(threads);
}

/// A drain sets the phase and announces it. The connection is idle, so it has a turn when
/// the last call ends. The monitor watches that time.
fn drain() {
    let shard = Shard::new();
    let worker = spawn_worker(&shard, Wait::Input);
    let owner = spawn_owner(&shard);
    let monitor = spawn(&shard, Shard::monitor);
    shard.enter(Phase::Draining);
    shard.join([worker, owner, monitor]);
}

/// The connection's turn was long, and it goes on after the others.
fn turn() {
    put_off(Wait::Turn);
}

/// The connection waits for a time, and for no event.
fn time() {
    put_off(Wait::Time);
}

fn put_off(wait: Wait) {
    let shard = Shard::new();
    let owner = spawn_owner(&shard);
    shard.happened.store(true, SeqCst);
    let suspend = Suspend {
        wait,
        until: Some(shard.began),
        seen: Phase::Running,
    };
    assert!(matches!(
        shard.put_off(Box::new(Connection), suspend),
        SlotSuspended::Yes(true)
    ));
    shard.join([owner]);
}

/// A stop takes the connection, or the worker keeps it.
fn close() {
    let shard = Shard::new();
    let worker = {
        let shard = Arc::clone(&shard);
        thread::spawn(move || {
            let suspend = Suspend {
                wait: Wait::Input,
                until: None,
                seen: Phase::Running,
            };
            shard.suspend(Box::new(Connection), suspend)
        })
    };
    let mut taken = 0;
    taken += shard.lock().close().len();
    match worker.join().unwrap() {
        SlotSuspended::Yes(_) => assert_eq!(taken, 1),
        SlotSuspended::Refused(_) => assert_eq!(taken, 0),
        SlotSuspended::Ready(_) => panic!("nothing has happened"),
    }
}

#[derive(Debug)]
struct Connection;

impl Suspendable for Connection {
    fn note_eof(&mut self) {}

    fn is_idle(&self) -> bool {
        true
    }

    fn is_endless(&self) -> bool {
        false
    }
}

/// A shard with one connection, and what the connection waits for.
struct Shard {
    slots: Mutex<Slots<Connection>>,
    sleep: Sleep,
    poll: Poll,
    monitor_waker: MonitorWaker,
    /// The connection's slot.
    index: usize,
    /// What the connection waits for has happened.
    happened: AtomicBool,
    phase: AtomicUsize,
    /// How many turns the connection had in which it found it.
    served: AtomicUsize,
    closed: AtomicBool,
    began: Instant,
}

impl Shard {
    /// The connection is registered, and with a worker.
    fn new() -> Arc<Self> {
        let mut slots = Slots::new();
        let index = slots.insert();
        Arc::new(Self {
            slots: Mutex::new(slots),
            sleep: Sleep::new(),
            poll: Poll::new(),
            monitor_waker: MonitorWaker::new(),
            index,
            happened: AtomicBool::new(false),
            phase: AtomicUsize::new(Phase::Running as usize),
            served: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            began: Instant::now(),
        })
    }

    /// Every deadline of a model has passed.
    fn now(&self) -> Instant {
        self.began + Duration::from_secs(3600)
    }

    fn join<const N: usize>(&self, threads: [JoinHandle<()>; N]) {
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(self.served.load(SeqCst), 1, "the connection has one turn");
    }

    /// A turn, as `Worker::serve`.
    fn serve(&self, mut connection: Box<Connection>, wait: Wait) {
        loop {
            let seen = match self.phase.load(SeqCst) {
                seen if seen == Phase::Running as usize => Phase::Running,
                _ => return self.end(),
            };
            if self.happened.load(SeqCst) {
                return self.end();
            }
            let suspend = Suspend {
                wait,
                until: None,
                seen,
            };
            match self.suspend(connection, suspend) {
                SlotSuspended::Yes(_) => return,
                SlotSuspended::Ready(back) => connection = back,
                SlotSuspended::Refused(_) => unreachable!("the shard is open"),
            }
        }
    }

    /// The connection has ended, so all threads end: as `Engine::close`.
    fn end(&self) {
        self.served.fetch_add(1, SeqCst);
        self.closed.store(true, SeqCst);
        self.interrupt();
        self.monitor_waker.wake();
    }

    /// As `Shard::suspend`.
    fn suspend(&self, connection: Box<Connection>, suspend: Suspend) -> SlotSuspended<Connection> {
        let suspended = self.lock().suspend(self.index, connection, suspend);
        if let SlotSuspended::Yes(true) = suspended {
            self.monitor_waker.wake();
        }
        suspended
    }

    /// As `Shard::suspend` for a connection that waits for no event.
    fn put_off(&self, connection: Box<Connection>, suspend: Suspend) -> SlotSuspended<Connection> {
        let suspended = self.lock().put_off(connection, suspend);
        if let SlotSuspended::Yes(true) = suspended {
            self.interrupt();
        }
        suspended
    }

    /// As the waker of `Shard::waker`.
    fn wake(&self) {
        let suspended = self.lock().wake(self.index);
        if suspended {
            self.interrupt();
        }
    }

    /// As `Shard::interrupt`.
    fn interrupt(&self) {
        if self.sleep.interrupt() {
            self.poll.wake();
        }
    }

    /// As `Lifecycle::enter`, and then `Shard::announce`.
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, SeqCst);
        self.lock().announce(phase, self.began);
        self.interrupt();
        self.monitor_waker.wake();
    }

    /// As `Worker::own`. Checks that a connection is ready only for a reason.
    fn own(&self) {
        let closed = || self.closed.load(SeqCst);
        while !closed() {
            for connection in self.poll(|| !closed()) {
                let moved = self.phase.load(SeqCst) != Phase::Running as usize;
                assert!(moved || self.happened.load(SeqCst));
                self.serve(connection, Wait::Input);
            }
        }
    }

    /// As `Job::poll`.
    fn poll(&self, may_sleep: impl FnOnce() -> bool) -> VecDeque<Box<Connection>> {
        self.sleep.begin();
        let timeout = match may_sleep() {
            true => self.time_to_sleep(),
            false => Some(Duration::ZERO),
        };
        let events = self.poll.poll(timeout);
        self.sleep.end();
        let now = self.now();
        let mut ready = VecDeque::new();
        let mut slots = self.lock();
        for Event { index, changes } in events {
            ready.extend(slots.change(index, changes));
        }
        while let Some(connection) = slots.take_due(now) {
            ready.push_back(connection);
        }
        slots.scan(now, |connection| ready.push_back(connection));
        ready
    }

    /// As `Job::time_to_sleep`.
    fn time_to_sleep(&self) -> Option<Duration> {
        let slots = self.lock();
        if slots.has_woken() {
            return Some(Duration::ZERO);
        }
        slots.next_time().map(|_| Duration::from_millis(1))
    }

    /// As `monitor::run`, for the deadlines.
    fn monitor(&self) {
        let closed = || self.closed.load(SeqCst);
        self.monitor_waker.register_thread();
        while !closed() {
            let due = self.wake_due_owner();
            if !closed() {
                self.monitor_waker.sleep(due, closed);
            }
            park_timeout(Duration::from_millis(10));
        }
    }

    /// As `monitor::wake_due_owners`.
    fn wake_due_owner(&self) -> Option<Instant> {
        let due = self.lock().scan_due()?;
        assert!(due <= self.now());
        self.interrupt();
        Some(self.now())
    }

    fn lock(&self) -> MutexGuard<'_, Slots<Connection>> {
        self.slots.lock().unwrap()
    }
}

fn spawn_worker(shard: &Arc<Shard>, wait: Wait) -> JoinHandle<()> {
    spawn(shard, move |shard| shard.serve(Box::new(Connection), wait))
}

fn spawn_owner(shard: &Arc<Shard>) -> JoinHandle<()> {
    spawn(shard, Shard::own)
}

fn spawn(shard: &Arc<Shard>, f: impl FnOnce(&Shard) + 'static) -> JoinHandle<()> {
    let shard = Arc::clone(shard);
    thread::spawn(move || f(&shard))
}
