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
//! other thread. A worker without a job is idle, or it runs code of the
//! application. When that code returns, the worker receives the next job. A hand-off
//! of a shard is one send on the run queue; no other table says which worker may do
//! what.
//!
//! While no worker is free, the [`reserve`] answers requests to urgent routes.
//!
//! A request goes through [`acceptor`], [`shard`], [`worker`], [`connection`] and
//! [`user_code`]. The handshakes between threads each have a file that says which race
//! it avoids: [`run_queue`], [`in_flight_slot`], [`shard`] (`sleep` and `slots`),
//! [`monitor_waker`], [`places`]. `tests/loom/` runs them in every order.
//!
//! The layers, from below; a module imports only from lower layers: what a
//! connection works with ([`buffer`] to [`services`]); the shard; the connection;
//! the threads and what runs on threads other than workers ([`in_flight`] to
//! [`upgraded`]); the engine; the acceptor, the workers and the monitor; the pool of
//! all threads.

pub(crate) mod acceptor;
mod activity;
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
mod reserve;
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

use self::activity::Watched;
use self::connection::Connection;
use self::in_flight::InFlight;
use self::in_flight::OwnedJob;
use self::monitor_waker::MonitorWaker;
use self::reserve::Reserve;
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
use crate::lifecycle::activity::ActivitySource;
use crate::lifecycle::phase::Phase;
use crate::message::rendering::Renderer;
use crate::net::acceptor_waker::AcceptorWaker;
use crate::route_table::RouteTable;

/// What the threads of one server share.
pub(crate) struct Engine {
    pub(crate) services: Arc<Services>,
    pub(crate) shards: Box<[Arc<Shard<Connection>>]>,
    pub(crate) run_queue: RunQueue<OwnedJob>,
    /// One for each worker.
    pub(crate) slots: Box<[Arc<InFlight>]>,
    /// If a route is urgent.
    pub(crate) reserve: Option<Arc<Reserve>>,
    pub(crate) retake: Retake,
    pub(crate) slow_calls: SlowCalls,
    pub(crate) monitor_waker: Arc<MonitorWaker>,
    pub(crate) handler: Box<dyn Handler>,
    /// Renders rejections, and the server's own responses.
    pub(crate) renderer: Option<Renderer>,
    pub(crate) acceptor_waker: AcceptorWaker,
    pub(crate) upgraded: Arc<UpgradedConnections>,
    pub(crate) threads: Arc<ThreadGroup>,
    /// For the metrics, which hold it weakly.
    _watched: Arc<Watched>,
    /// The acceptor has noticed the stop, and does not wait in `accept` any more.
    acceptor_awake: AtomicBool,
    /// No connection can be suspended any more.
    evicted: AtomicBool,
}

impl Engine {
    /// An engine that has no thread yet. Its jobs are on the run queue.
    ///
    /// # Errors
    ///
    /// The system cannot create an epoll or a pipe.
    pub(crate) fn new(
        services: Arc<Services>,
        handler: Box<dyn Handler>,
        renderer: Option<Renderer>,
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
        let slots: Box<[Arc<InFlight>]> = slots.collect();
        let shards = jobs.iter().map(|job| Arc::clone(job.shard()));
        let shards: Box<[_]> = shards.collect();
        let watched = Arc::new(Watched::new(&services, &slots, &shards));
        let source: Arc<dyn ActivitySource> = watched.clone();
        services
            .accounting
            .read_activity_from(Arc::downgrade(&source));
        let has_urgent = services.routes.as_ref().is_some_and(RouteTable::has_urgent);
        let reserve = has_urgent.then(Arc::<Reserve>::default);
        let of_reserve = reserve.iter().map(|reserve| &reserve.slot);
        let engine = Self {
            shards,
            _watched: watched,
            run_queue: RunQueue::new(),
            retake: Retake::new(slots.iter().chain(of_reserve)),
            slots,
            reserve,
            slow_calls: SlowCalls::new(),
            monitor_waker,
            handler,
            renderer,
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

    /// Sends a job to another worker.
    pub(crate) fn hand_off(&self, job: OwnedJob) {
        match self.run_queue.send(job) {
            Ok(SentTo::IdleWorker) => {}
            // After the send: see `RunQueue` and `MonitorWaker`.
            Ok(SentTo::NoWorker) => {
                if !self.wake_owner() {
                    self.monitor_waker.wake_if_asleep();
                }
            }
            // The run queue is closed: no worker will serve the job's connections.
            Err(mut job) => self.close_all(iter::from_fn(|| job.next())),
        }
    }

    /// Closes connections that no worker will serve.
    fn close_all(&self, connections: impl Iterator<Item = Box<Connection>>) {
        let mut deferred = Vec::new();
        for connection in connections {
            connection.close_now(&self.services, &mut deferred);
        }
        self.threads.run_deferred(deferred);
    }

    /// Wakes an owner that sleeps, so that it takes a job that waits. Returns
    /// whether an owner slept.
    pub(crate) fn wake_owner(&self) -> bool {
        self.shards.iter().any(|shard| shard.interrupt())
    }

    /// Puts a job that has no ready connection back on the run queue.
    pub(crate) fn put_back(&self, job: OwnedJob) {
        if let Err(mut job) = self.run_queue.send(job) {
            self.close_all(iter::from_fn(|| job.next()));
        }
    }

    /// Takes the jobs of workers whose calls are long, and hands them off.
    pub(crate) fn look(&self, now: Instant) {
        // Where an owner sleeps, a core may be idle.
        let has_idle_core = self.shards.iter().any(|shard| shard.is_asleep());
        self.retake
            .look(now, has_idle_core, |job| self.hand_off(job));
    }

    /// As [`look`](Self::look), called by worker number `worker`, which owns a shard.
    pub(crate) fn look_as_owner(&self, worker: usize, now: Instant) {
        self.retake.note_owner(worker, now);
        self.look(now);
    }

    /// Whether a call with a job is in progress.
    pub(crate) fn has_call_with_job(&self) -> bool {
        let of_reserve = self.reserve.iter().map(|reserve| &reserve.slot);
        let mut slots = self.slots.iter().chain(of_reserve);
        slots.any(|slot| slot.slot.call().is_some())
    }

    /// Whether a worker without a job runs code of the application.
    pub(crate) fn has_workers_in_calls(&self) -> bool {
        // A job is with a worker or on the run queue. A worker without a job is idle
        // or in a call.
        let spare = self.slots.len() as isize - self.shards.len() as isize;
        self.run_queue.balance() < spare
    }

    /// The shard of the connection with this number. The shards get connections in
    /// turn, so that all have the same load.
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

    /// The server is in a new phase: gives a turn to every connection that the phase
    /// concerns.
    pub(crate) fn announce(&self, phase: Phase, last_call_ends: Instant) {
        for shard in &self.shards {
            shard.announce(phase, last_call_ends);
        }
        self.upgraded.drain();
    }

    /// Closes the connections that are suspended, and those that are ready and have
    /// no worker. From now on no connection can be suspended: the connections that
    /// are with a worker are closed when the worker wants to suspend them.
    pub(crate) fn evict(&self) {
        self.evicted.store(true, SeqCst);
        let suspended = self.shards.iter().flat_map(|shard| shard.close());
        self.close_all(suspended);
        // The jobs are dropped, because no shard has to be polled any more.
        while let Some(mut job) = self.run_queue.try_receive() {
            self.close_all(iter::from_fn(|| job.next()));
        }
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(SeqCst)
    }

    /// Ends the workers, the reserve and the monitor. No connection is left.
    pub(crate) fn close(&self) {
        self.run_queue.close();
        for shard in &self.shards {
            shard.interrupt();
        }
        self.monitor_waker.wake();
        if let Some(reserve) = &self.reserve {
            reserve.wake();
        }
    }
}
