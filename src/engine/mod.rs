//! The connections, and the threads that carry them.
//!
//! ```text
//!  kernel accept queue
//!         |
//!    acceptor --> new connection --> its shard: suspended until readable, writable, woken, or a deadline
//!                                      |  one epoll, its connections, their deadlines; one shard a core
//!    run queue (a channel) <-----------+------ jobs: a shard, with those of its connections that are ready
//!         |                            ^
//!         +--> worker: owns the shard; polls it; serves the ready connections one after another
//!                  |
//!                  +-- while code of the application runs, connection and job lie in the worker's slot: there
//!                      the monitor takes the job if the call is long, and an abort takes the connection
//! ```
//!
//! A worker that has a job owns its shard: it is an event loop that wakes no
//! other thread. A worker without a job is idle, or in code of the application
//! that waits; when it comes back it receives the next job. There is no table of
//! which worker may do what: to hand off a shard is one send.
//!
//! Follow a request through [`acceptor`], [`shard`], [`worker`], [`connection`]
//! and [`user_code`]. Four handshakes between threads are each in one file, with
//! what may go wrong: [`run_queue`], [`in_flight_slot`], [`shard::sleep`](shard) and
//! [`monitor_waker`]. `tests/loom/` runs them in every order.
//!
//! From below, each importing only from those before it: what a connection works
//! with ([`buffer`] to [`services`]); the shard; the connection; the threads and
//! what they run beside workers ([`in_flight`] to [`upgraded`]); the engine; the
//! acceptor, the workers and the monitor; the pool of all threads.

pub(crate) mod acceptor;
mod body_source;
pub(crate) mod buffer;
pub(crate) mod connection;
pub(crate) mod date;
pub(crate) mod deferred;
pub(crate) mod in_flight;
mod in_flight_slot;
mod linger;
mod minimum_rate;
mod monitor;
pub(crate) mod monitor_waker;
pub(crate) mod output;
pub(crate) mod peers;
pub(crate) mod places;
pub(crate) mod refusals;
mod retake;
pub(crate) mod run_queue;
pub(crate) mod services;
pub(crate) mod shard;
mod slow_calls;
pub(crate) mod thread_group;
pub(crate) mod threads;
pub(crate) mod upgraded;
pub(crate) mod upload_limit;
mod user_code;
mod worker;
pub(crate) mod worker_pool;

use std::io;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use self::connection::Connection;
use self::in_flight::InFlight;
use self::in_flight::OwnedJob;
use self::monitor_waker::MonitorWaker;
use self::retake::Retake;
use self::run_queue::RunQueue;
use self::run_queue::SentTo;
use self::services::Services;
use self::shard::Job;
use self::shard::Shard;
use self::slow_calls::SlowCalls;
use self::thread_group::ThreadGroup;
use self::upgraded::UpgradedConnections;
use crate::handler::Handler;
use crate::lifecycle::phase::Phase;
use crate::net::listener::AcceptorWaker;

/// What the threads of one server share.
pub(crate) struct Engine {
    pub(crate) services: Arc<Services>,
    pub(crate) shards: Box<[Arc<Shard<Connection>>]>,
    pub(crate) run_queue: RunQueue<OwnedJob>,
    /// One for each worker.
    pub(crate) slots: Box<[Arc<InFlight>]>,
    pub(crate) retake: Retake,
    pub(crate) slow_calls: SlowCalls,
    pub(crate) monitor_waker: Arc<MonitorWaker>,
    pub(crate) handler: Box<dyn Handler>,
    pub(crate) acceptor_waker: AcceptorWaker,
    pub(crate) upgraded: Arc<UpgradedConnections>,
    pub(crate) threads: Arc<ThreadGroup>,
    /// The acceptor has seen that the server stops, and waits in no accept.
    acceptor_awake: AtomicBool,
    /// No connection is suspended any more.
    evicted: AtomicBool,
}

impl Engine {
    /// An engine without a thread, whose jobs are on the run queue.
    ///
    /// # Errors
    ///
    /// The system has no epoll or pipe for it.
    pub(crate) fn new(
        services: Arc<Services>,
        handler: Box<dyn Handler>,
        acceptor_waker: AcceptorWaker,
    ) -> io::Result<Self> {
        let monitor_waker = Arc::new(MonitorWaker::new());
        let new_job = |()| {
            let waiting = services.accounting.waiting_gauge();
            Job::new(
                waiting,
                Arc::clone(&monitor_waker),
                Arc::clone(&services.journal),
            )
        };
        let jobs = iter::repeat_n((), services.config.shards()).map(new_job);
        let jobs = jobs.collect::<io::Result<Vec<OwnedJob>>>()?;
        let slots = iter::repeat_with(Arc::default).take(services.config.workers);
        let slots: Box<[_]> = slots.collect();
        let engine = Self {
            shards: jobs.iter().map(|job| Arc::clone(job.shard())).collect(),
            run_queue: RunQueue::new(),
            retake: Retake::new(&slots),
            slots,
            slow_calls: SlowCalls::new(),
            monitor_waker,
            handler,
            acceptor_waker,
            upgraded: UpgradedConnections::new(Arc::clone(&services))?,
            threads: ThreadGroup::new(Arc::clone(&services.life), Arc::clone(&services.journal)),
            acceptor_awake: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            services,
        };
        for job in jobs {
            engine.hand_off(job);
        }
        Ok(engine)
    }

    /// Has another worker go on with a job.
    pub(crate) fn hand_off(&self, job: OwnedJob) {
        match self.run_queue.send(job) {
            Ok(SentTo::IdleWorker) => {}
            // After the send: see `RunQueue` and `MonitorWaker`.
            Ok(SentTo::NoWorker) => {
                if !self.wake_owner() {
                    self.monitor_waker.wake_if_asleep();
                }
            }
            // It is closed, so the shard can go. Connections that the job still has
            // have found no worker in time.
            Err(mut job) => self.close_all(iter::from_fn(|| job.next())),
        }
    }

    /// Closes connections that no worker serves any more.
    fn close_all(&self, connections: impl Iterator<Item = Box<Connection>>) {
        let mut deferred = Vec::new();
        for connection in connections {
            connection.close_now(&self.services, &mut deferred);
        }
        self.threads.run_deferred(deferred);
    }

    /// Wakes an owner that sleeps, for a job that waits. Says whether there is one.
    pub(crate) fn wake_owner(&self) -> bool {
        self.shards.iter().any(|shard| shard.interrupt())
    }

    /// Puts back a job whose turn it is not: no connection of it is ready.
    pub(crate) fn put_back(&self, job: OwnedJob) {
        if let Err(mut job) = self.run_queue.send(job) {
            self.close_all(iter::from_fn(|| job.next()));
        }
    }

    /// Takes the jobs of calls that are long from their workers.
    pub(crate) fn look(&self, now: Instant) {
        // Where an owner sleeps, a core may be idle.
        let has_idle_core = self.shards.iter().any(|shard| shard.is_asleep());
        self.retake
            .look(now, has_idle_core, |job| self.hand_off(job));
    }

    /// As [`look`](Self::look), by the worker of this number, which owns a shard.
    pub(crate) fn look_as_owner(&self, worker: usize, now: Instant) {
        self.retake.note_owner(worker, now);
        self.look(now);
    }

    /// Whether a worker without a job runs code of the application.
    pub(crate) fn has_workers_in_calls(&self) -> bool {
        // Each job is with a worker or waits for one, and a worker without a job
        // waits for one too, or is in a call.
        let spare = self.slots.len() as isize - self.shards.len() as isize;
        self.run_queue.balance() < spare
    }

    /// The shard of the connection with this number: in turn, so that all shards
    /// have as much to do.
    pub(crate) fn shard_of(&self, connection_number: u64) -> &Arc<Shard<Connection>> {
        let shards = self.shards.len() as u64;
        &self.shards[usize::try_from(connection_number % shards).unwrap_or(0)]
    }

    pub(crate) fn acceptor_awake(&self) -> bool {
        self.acceptor_awake.load(SeqCst)
    }

    pub(crate) fn set_acceptor_awake(&self) {
        self.acceptor_awake.store(true, SeqCst);
        self.services.life.notify();
    }

    /// The server is in a new phase, which every connection hears of that it
    /// concerns.
    pub(crate) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        for shard in &self.shards {
            shard.announce(phase, last_call_ends);
        }
        self.upgraded.drain();
    }

    /// Suspends no connection any more, and closes those that were suspended, or
    /// ready with no worker free for them. A connection that is with a worker is
    /// closed when the worker wants to suspend it.
    pub(crate) fn evict(&self) {
        self.evicted.store(true, SeqCst);
        let suspended = self.shards.iter().flat_map(|shard| shard.close());
        self.close_all(suspended);
        // No shard has to be polled any more, so these jobs can go.
        while let Some(mut job) = self.run_queue.try_receive() {
            self.close_all(iter::from_fn(|| job.next()));
        }
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(SeqCst)
    }

    /// No connection is left: the workers and the monitor end.
    pub(crate) fn close(&self) {
        self.run_queue.close();
        for shard in &self.shards {
            shard.interrupt();
        }
        self.monitor_waker.wake();
    }
}
