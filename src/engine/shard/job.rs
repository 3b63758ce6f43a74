//! The poll half of a shard, and the connections that its last poll found ready.
//!
//! A worker takes the ready connections one after another. A turn for urgent requests only
//! (see `engine/reserve.rs`) takes them too, and puts those with other requests back as *held*:
//! they are still ready, come before all others, and are not looked at by such a turn again.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Poll;
use mio::event::Event;

use super::Shard;
use super::Suspendable;
use super::WAKE_UP;
use super::ready::ReadyGauge;
use super::sleep::Sleep;
use super::slots::Changes;
use super::slots::Slots;
use crate::engine::monitor_waker::MonitorWaker;
use crate::engine::run_queue::Queued;
use crate::journal::Journal;
use crate::journal::note;
use crate::lifecycle::accounting::Gauge;
use crate::net::os;

/// How many events are taken from the kernel at a time.
const EVENTS_AT_A_TIME: usize = 256;

/// How long to wait after a poll that failed.
const POLL_AGAIN: Duration = Duration::from_millis(1);

/// What a worker has to do: serve the connections that are ready, and poll the shard for
/// more. The worker that has the job owns the shard.
///
/// There is one job for each shard, as long as the server runs. If a worker loses it,
/// the shard stalls for ever.
pub(crate) struct Job<C> {
    shard: Arc<Shard<C>>,
    poll: Poll,
    events: Events,
    /// Ready connections that wait for a turn that serves everything. They have waited for
    /// longer than those of `batch`.
    held: VecDeque<ReadyConnection<C>>,
    batch: VecDeque<ReadyConnection<C>>,
    /// When the shard was polled last.
    polled: Instant,
    /// The shard's gauge shows that connections are ready.
    is_published: bool,
    /// Since when the first of them is ready, according to the gauge.
    published_since: Instant,
    /// Since when the connection that was taken last was ready.
    taken_since: Instant,
    /// Shows how many connections of the batch have no request in progress.
    waiting: Gauge,
}

/// A connection that is ready.
struct ReadyConnection<C> {
    connection: Box<C>,
    /// When a poll found it.
    since: Instant,
}

impl<C: Suspendable> Job<C> {
    /// A new shard and its job.
    ///
    /// # Errors
    ///
    /// The system cannot create an epoll.
    pub(crate) fn new(
        waiting: Gauge,
        monitor_waker: Arc<MonitorWaker>,
        journal: Arc<Journal>,
    ) -> io::Result<Box<Self>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let poll_waker = mio::Waker::new(&registry, WAKE_UP)?;
        let shard = Shard {
            slots: Mutex::new(Slots::new()),
            sleep: Sleep::new(),
            ready: ReadyGauge::new(),
            registry,
            poll_waker,
            monitor_waker,
            journal,
        };
        Ok(Box::new(Self {
            shard: Arc::new(shard),
            poll,
            events: Events::with_capacity(EVENTS_AT_A_TIME),
            held: VecDeque::new(),
            batch: VecDeque::new(),
            polled: Instant::now(),
            is_published: false,
            published_since: Instant::now(),
            taken_since: Instant::now(),
            waiting,
        }))
    }

    pub(crate) fn shard(&self) -> &Arc<Shard<C>> {
        &self.shard
    }

    /// The next connection that is ready.
    pub(crate) fn next(&mut self) -> Option<Box<C>> {
        let Some(held) = self.held.pop_front() else {
            return self.next_new();
        };
        Some(self.take(held))
    }

    /// The next connection that is ready and is not held.
    pub(crate) fn next_new(&mut self) -> Option<Box<C>> {
        let first = self.batch.pop_front()?;
        let connection = self.take(first);
        // `is_idle` gives the same as when the connection entered the batch.
        if connection.is_idle() {
            self.waiting.subtract_one();
        }
        Some(connection)
    }

    fn take(&mut self, ready: ReadyConnection<C>) -> Box<C> {
        let ReadyConnection {
            mut connection,
            since,
        } = ready;
        self.taken_since = since;
        connection.note_ready(since);
        if self.is_published {
            self.publish();
        }
        connection
    }

    /// Holds the connection that was taken last. It has a request in progress.
    pub(crate) fn hold(&mut self, connection: Box<C>) {
        let since = self.taken_since;
        self.held.push_back(ReadyConnection { connection, since });
        self.publish();
    }

    /// Shows the connections that are ready to readers on other threads.
    fn publish(&mut self) {
        let (connections, since) = (self.ready(), self.waits_since());
        // As a rule one poll has found all of them.
        if self.published_since != since {
            self.published_since = since;
            self.shard.ready.set_since(since);
        }
        // Last: a reader that sees connections does not see the time of earlier ones.
        self.shard.ready.set_connections(connections);
        self.is_published = connections > 0;
    }

    /// How many connections are ready.
    pub(crate) fn ready(&self) -> usize {
        self.held.len() + self.batch.len()
    }

    /// Since when the first connection that is not held waits for a worker, as far as polls
    /// tell.
    pub(crate) fn new_wait_since(&self) -> Instant {
        self.batch.front().map_or(self.polled, |first| first.since)
    }

    /// Since when the first connection waits for a worker, as far as polls tell.
    fn waits_since(&self) -> Instant {
        let first = self.held.front();
        first.map_or_else(|| self.new_wait_since(), |first| first.since)
    }

    /// Polls for ready connections. If `may_sleep` returns true, sleeps until a
    /// connection is ready, or until [`Shard::interrupt`]. `may_sleep` is called after
    /// the shard says that its owner sleeps: see [`sleep`](super::sleep).
    ///
    /// Returns the time after the poll.
    pub(crate) fn poll(&mut self, may_sleep: impl FnOnce() -> bool) -> Instant {
        self.shard.sleep.begin();
        let timeout = match may_sleep() {
            true => self.time_to_sleep(),
            false => Some(Duration::ZERO),
        };
        let now = self.poll_events(timeout);
        // The owner serves the first connection at once, so the first does not wait.
        if self.ready() > 1 {
            self.publish();
        }
        now
    }

    /// As [`poll`](Self::poll), but sleeps for `timeout` at most.
    pub(crate) fn poll_for(&mut self, timeout: Option<Duration>) -> Instant {
        let now = self.poll_events(timeout);
        if self.ready() > 0 {
            self.publish();
        }
        now
    }

    fn poll_events(&mut self, timeout: Option<Duration>) -> Instant {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            // No event is lost: the kernel keeps them.
            let journal = &self.shard.journal;
            note!(journal, Error, "cannot poll for events: {error}");
        }
        self.shard.sleep.end();
        let Self {
            shard,
            events,
            batch,
            polled,
            waiting,
            ..
        } = self;
        let now = Instant::now();
        *polled = now;
        let mut ready = |connection: Box<C>| {
            if connection.is_idle() {
                waiting.add_one();
            }
            batch.push_back(ReadyConnection {
                connection,
                since: now,
            });
        };
        let mut slots = shard.lock();
        // Before the connections that have events: a connection that was put off has
        // waited for longer.
        while let Some(connection) = slots.take_due(now) {
            ready(connection);
        }
        for event in &*events {
            if event.token() != WAKE_UP
                && let Some(connection) = slots.change(event.token().0, changes(event))
            {
                ready(connection);
            }
        }
        slots.scan(now, ready);
        now
    }

    /// Sleeps until a connection of any of these jobs may be ready. `may_sleep` is as in
    /// [`poll`](Self::poll). Returns the index of the job, if it is known.
    pub(crate) fn sleep_on_all(
        jobs: &[Box<Self>],
        may_sleep: impl FnOnce() -> bool,
    ) -> Option<usize> {
        for job in jobs {
            job.shard.sleep.begin();
        }
        let timeout = match may_sleep() {
            true => jobs.iter().filter_map(|job| job.time_to_sleep()).min(),
            false => Some(Duration::ZERO),
        };
        let polls: Vec<&Poll> = jobs.iter().map(|job| &job.poll).collect();
        let ready = os::wait_for_any(&polls, timeout).unwrap_or_else(|error| {
            let journal = &jobs[0].shard.journal;
            note!(journal, Error, "cannot poll for events: {error}");
            // The caller polls again, and must not do so in a busy loop.
            thread::sleep(POLL_AGAIN);
            None
        });
        for job in jobs {
            job.shard.sleep.end();
        }
        ready
    }

    /// The timeout for a poll: until the time of the first connection that waits for a
    /// time. Deadlines are not included, because the monitor watches them: a poll that
    /// times out costs more than a poll that ends by an event.
    fn time_to_sleep(&self) -> Option<Duration> {
        let slots = self.shard.lock();
        if slots.has_woken() {
            return Some(Duration::ZERO);
        }
        let due = slots.next_time()?;
        Some(due.saturating_duration_since(Instant::now()))
    }
}

impl<C: Suspendable> Queued for Box<Job<C>> {
    fn goes_before(&self, earlier: &Self) -> bool {
        self.waits_since() < earlier.waits_since()
    }
}

fn changes(event: &Event) -> Changes {
    let closed = event.is_read_closed() || event.is_error();
    Changes {
        input: event.is_readable() || closed,
        room: event.is_writable() || event.is_write_closed() || event.is_error(),
        closed,
        woken: false,
    }
}

impl<C> fmt::Debug for Job<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} ready)", self.held.len() + self.batch.len())
    }
}
