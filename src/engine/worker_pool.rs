//! Owns all threads of a server: starts them, joins them, and at an abort takes the
//! connections from the workers that run code of the application.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::acceptor::Acceptor;
use super::acceptor::Gate;
use super::connection::Connection;
use super::deferred::Deferred;
use super::in_flight::InFlight;
use super::monitor;
use super::services::Services;
use super::shard::Suspend;
use super::shard::Suspended;
use super::shard::Wait;
use super::threads::Thread;
use super::threads::join_ended;
use super::worker;
use crate::error::Error;
use crate::isolate::isolate;
use crate::journal::Lines;
use crate::journal::note;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::Unreturned;
use crate::lifecycle::report::UserCode;
use crate::net::listener::Listener;

/// How long threads have to end after the event that ends them.
pub(crate) const THREAD_END_GRACE: Duration = Duration::from_millis(100);

/// How long at the very end the logger has to write its last lines, threads have to
/// drop their thread-locals, and a thread that runs the server's own code has to get a
/// core.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// Which connections an abort takes from the workers' slots.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AbortScope {
    /// All except connections whose answers are still completed after an abort.
    ExceptCompleting,
    All,
}

/// All threads of one server. The order of the fields is the order in which the
/// threads end. The acceptor ends first. When no connection is left, the run queue is
/// closed, which ends the monitor and the workers. The logger ends last.
pub(crate) struct WorkerPool {
    engine: Arc<Engine>,
    gate: Option<Arc<Gate>>,
    acceptor: Option<Thread>,
    monitor: Option<Thread>,
    /// The reserve is behind them, if there is one.
    workers: Vec<Thread>,
    logger: Option<Thread>,
}

/// The threads that could not be joined.
#[derive(Debug, Default)]
pub(crate) struct LeftBehind {
    pub(crate) threads: usize,
    /// The code of the application that they run, as far as it is known.
    pub(crate) unreturned: Vec<Unreturned>,
}

impl WorkerPool {
    /// Starts every thread.
    ///
    /// # Errors
    ///
    /// A thread cannot be started. The threads that were started are joined first.
    pub(crate) fn start(
        engine: Arc<Engine>,
        listener: Listener,
        lines: Lines,
    ) -> Result<Self, Error> {
        let mut pool = Self {
            engine,
            gate: None,
            acceptor: None,
            monitor: None,
            workers: Vec::new(),
            logger: None,
        };
        match pool.spawn_all(listener, lines) {
            Ok(()) => Ok(pool),
            Err(error) => {
                // The threads end because no connection can be accepted any more.
                pool.abandon_acceptor();
                pool.join();
                Err(Error::io("cannot start a thread", error))
            }
        }
    }

    fn spawn_all(&mut self, listener: Listener, lines: Lines) -> io::Result<()> {
        self.logger = Some(self.start_logger(lines)?);
        let engine = Arc::clone(&self.engine);
        for (number, slot) in engine.slots.iter().enumerate() {
            let name = format!("farewell-{}", number + 1);
            self.spawn_worker(&name, number, Arc::clone(slot))?;
        }
        if let Some(reserve) = engine.reserve.clone() {
            let (engine, slot) = (Arc::clone(&engine), Arc::clone(&reserve.slot));
            let number = self.workers.len();
            let stand_by = move || worker::stand_by(&engine, number, &reserve);
            self.spawn_as_worker("farewell-reserve", slot, stand_by)?;
        }
        let engine = Arc::clone(&self.engine);
        self.monitor = Some(self.spawn("farewell-monitor", move || monitor::run(&engine))?);
        let gate = Arc::new(Gate::new());
        self.gate = Some(Arc::clone(&gate));
        let acceptor = Acceptor::new(Arc::clone(&self.engine), listener, gate);
        self.acceptor = Some(self.spawn("farewell-accept", move || acceptor.run())?);
        Ok(())
    }

    fn start_logger(&self, lines: Lines) -> io::Result<Thread> {
        let slot = Arc::<InFlight>::default();
        slot.begin_alone(UserCode::Logger, None);
        let journal = Arc::clone(&self.engine.services.journal);
        let write_out = move || journal.write_out(&lines);
        started(Thread::spawn(
            "farewell-log",
            &self.engine.services.life,
            slot,
            write_out,
        ))
    }

    fn spawn_worker(&mut self, name: &str, number: usize, slot: Arc<InFlight>) -> io::Result<()> {
        let (engine, own) = (Arc::clone(&self.engine), Arc::clone(&slot));
        let work = move || worker::work(&engine, number, &own);
        self.spawn_as_worker(name, slot, work)
    }

    /// Starts a thread whose slot an abort looks into.
    fn spawn_as_worker(
        &mut self,
        name: &str,
        slot: Arc<InFlight>,
        f: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let thread = started(Thread::spawn(name, &self.engine.services.life, slot, f))?;
        self.workers.push(thread);
        Ok(())
    }

    fn spawn(&self, name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        started(Thread::spawn(
            name,
            &self.engine.services.life,
            Arc::default(),
            f,
        ))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// At an abort: takes the connections from the workers that run code of the
    /// application, closes them, and hands off the workers' jobs. Starts one more
    /// worker, because no other may be free for the jobs. Handlers are not called any
    /// more, so no handler blocks this worker.
    pub(crate) fn abort_running(&mut self, scope: AbortScope) {
        let in_scope = |connection: &Connection| match scope {
            AbortScope::ExceptCompleting => !connection.completes_at_abort(),
            AbortScope::All => true,
        };
        let engine = &self.engine;
        let mut deferred = Vec::new();
        for worker in &self.workers {
            if let Some(connection) = worker.slot().take_connection_if(in_scope) {
                end(connection, &engine.services, &mut deferred);
            }
            // Earlier than the monitor would: the other connections of the shard have
            // to end too.
            if let Some(job) = worker.slot().slot.take_any_job() {
                engine.hand_off(job);
            }
        }
        engine.upgraded.cut(&mut deferred);
        engine.threads.run_deferred(deferred);
        let number = self.workers.len();
        if let Err(error) = self.spawn_worker("farewell-extra", number, Arc::default()) {
            let journal = &self.engine.services.journal;
            note!(
                journal,
                Error,
                "cannot start a thread to answer waiting requests with 503: {error}"
            );
        }
    }

    /// Goes on without the acceptor, because it was not started or cannot be woken.
    /// Connections that it still accepts are not served.
    pub(crate) fn abandon_acceptor(&self) {
        if let Some(gate) = &self.gate {
            gate.close();
        }
        self.engine.services.accounting.no_more_connections();
    }

    /// Joins every thread, and drops the handler. Code of the application has
    /// until the deadline to return. A thread whose code has not returned by then
    /// is left behind, and so is an abandoned acceptor that has not ended.
    pub(crate) fn join(self) -> LeftBehind {
        let Self {
            engine,
            gate: _,
            acceptor,
            monitor,
            workers,
            logger,
        } = self;
        engine.close();
        // Closes connections that are ready in a job that no worker has received.
        engine.evict();
        let services = &engine.services;
        let (life, journal) = (Arc::clone(&services.life), Arc::clone(&services.journal));
        let (group, acceptor_awake) = (Arc::clone(&engine.threads), engine.acceptor_awake());
        let mut threads: Vec<Thread> = monitor.into_iter().chain(workers).collect();
        // An abandoned acceptor is not waited for.
        let (acceptor, abandoned) = match acceptor_awake {
            true => (acceptor, None),
            false => (None, acceptor),
        };
        threads.extend(acceptor);
        threads.extend(group.take_threads());

        // Threads need some time to notice the end, also if the deadline has passed.
        let soon = Instant::now() + THREAD_END_GRACE;
        let deadline = life.deadline().map_or(soon, |deadline| deadline.max(soon));
        if !wait_for_end(&life, &threads, deadline) {
            life.abort(Abort::Deadline);
            // A handler that reads or writes gets an error at the abort, and may return
            // soon.
            wait_for_end(&life, &threads, Instant::now() + THREAD_END_GRACE);
            wait_for_own_code(&life, &threads, Instant::now() + LAST_GRACE);
        }
        // The last turns of the workers may have deferred code.
        let late = group.take_threads();
        wait_for_end(&life, &late, Instant::now() + THREAD_END_GRACE);
        threads.extend(late);
        // A thread that is left behind still uses the handler, and holds the engine:
        // then this handle is not the last.
        if let Some(engine) = Arc::into_inner(engine)
            && let Some(thread) = drop_handler(engine)
        {
            let dropping = slice::from_ref(&thread);
            if !wait_for_end(&life, dropping, deadline) {
                wait_for_end(&life, dropping, Instant::now() + THREAD_END_GRACE);
            }
            threads.push(thread);
        }
        journal.close();
        threads.extend(abandoned);
        // Not earlier: threads may still take deferred code until here.
        let unfinished = group.take_unfinished();
        threads.extend(unfinished.threads);
        let end = Instant::now() + LAST_GRACE;
        let mut left = LeftBehind::default();
        left.join(threads, end);
        left.name_unrun(unfinished.deferred);
        // After the other threads, so that a logger that blocks has all the time that
        // is left.
        life.wait(Some(end), || logger.iter().all(Thread::has_ended));
        left.join(logger, end.max(Instant::now() + THREAD_END_GRACE));
        left
    }
}

/// Drops the function of a thread that did not start. Other threads share all values
/// of the application that it holds, so this runs no drop of the application.
fn started<F>(thread: Result<Thread, (io::Error, Option<F>)>) -> io::Result<Thread> {
    thread.map_err(|(error, _)| error)
}

/// Waits until all of these threads have ended, until an abort, or until `end`.
/// Returns whether they have ended.
fn wait_for_end(life: &Lifecycle, threads: &[Thread], end: Instant) -> bool {
    let all_ended = || threads.iter().all(Thread::has_ended);
    let was_aborting = life.is_aborting();
    life.wait(Some(end), || {
        all_ended() || !was_aborting && life.is_aborting()
    });
    all_ended()
}

/// Waits until each of these threads has ended or runs code of the application, or
/// until `end`. A thread that runs the server's own code ends soon, unless the machine
/// is overloaded.
fn wait_for_own_code(life: &Lifecycle, threads: &[Thread], end: Instant) {
    let is_in_code = |thread: &Thread| thread.slot().unreturned().is_some();
    life.wait(Some(end), || {
        let mut threads = threads.iter();
        threads.all(|thread| thread.has_ended() || is_in_code(thread))
    });
}

/// Drops the engine on a thread of its own, because the drops of the handler and of its
/// captured values are code of the application. Returns `None` if the thread cannot be
/// started; then the engine is leaked.
fn drop_handler(engine: Engine) -> Option<Thread> {
    let (life, journal) = (
        Arc::clone(&engine.services.life),
        Arc::clone(&engine.services.journal),
    );
    let slot = Arc::<InFlight>::default();
    slot.begin_alone(UserCode::Drop, None);
    let thread_journal = Arc::clone(&journal);
    let drop_engine = move || {
        if isolate(|| drop(engine)).is_err() {
            note!(thread_journal, Error, "{} panicked", UserCode::Drop);
        }
    };
    match Thread::spawn("farewell-drop", &life, slot, drop_engine) {
        Ok(thread) => Some(thread),
        Err((error, engine)) => {
            note!(
                journal,
                Error,
                "cannot start a thread to drop the handler: {error}"
            );
            mem::forget(engine);
            None
        }
    }
}

impl LeftBehind {
    /// Joins the threads that have ended, until `end` at most. Counts the others, and
    /// names the code that they run.
    fn join(&mut self, threads: impl IntoIterator<Item = Thread>, end: Instant) {
        let (ended, running): (Vec<_>, Vec<_>) = threads.into_iter().partition(Thread::has_ended);
        let unreturned = running
            .iter()
            .filter_map(|thread| thread.slot().unreturned());
        self.unreturned.extend(unreturned);
        self.threads += running.len() + join_ended(ended, end);
    }

    /// Names the code that no thread has run.
    fn name_unrun(&mut self, deferred: VecDeque<Deferred>) {
        self.unreturned
            .extend(deferred.iter().map(Deferred::unreturned));
        // Leaked: the drop is code of the application, and could block this thread.
        mem::forget(deferred);
    }
}

/// Ends a connection that was taken from a call of the application. If the application
/// renders a response of the server itself, the connection gets a turn, in which a
/// worker sends the response without the application.
fn end(connection: Box<Connection>, services: &Services, deferred: &mut Vec<Deferred>) {
    let connection = match connection.is_rendering() {
        false => connection,
        true => match connection.suspend(Suspend {
            wait: Wait::Turn,
            until: None,
            seen: Phase::Aborting,
        }) {
            Suspended::Yes => return,
            // After the last turns there is none for it.
            Suspended::Ready(connection) | Suspended::Refused(connection, _) => connection,
        },
    };
    connection.close_now(services, deferred);
}
