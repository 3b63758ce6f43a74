//! The threads of a server from the first to the last: starting them, taking
//! connections away from those that do not come to an end, and joining them.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::acceptor::Acceptor;
use super::acceptor::Intake;
use super::connection::Connection;
use super::deferred::Deferred;
use super::in_flight::InFlight;
use super::monitor;
use super::threads::Thread;
use super::threads::join_ended;
use super::worker;
use crate::drain::phase::Abort;
use crate::drain::phase::Lifecycle;
use crate::drain::phase::Phase;
use crate::drain::report::Unreturned;
use crate::drain::report::UserCode;
use crate::error::Error;
use crate::isolate::isolate;
use crate::journal::Lines;
use crate::journal::note;
use crate::net::listener::Listener;

/// How long, at the end, threads have to notice that it is one.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// How long, at the very end, the logger may take for what is still to be
/// logged, thread-locals for their drops, and a thread of ours for a core.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// The connections that are taken from the slots.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken {
    /// All but those that end in good order at an abort too.
    ToCut,
    All,
}

/// All threads of one server. The fields stand in the order in which the threads
/// end: the acceptor goes; when no connection is left then, the seats and the
/// queues are closed, which ends the monitor and the workers; the logger's goes
/// last.
pub(crate) struct WorkerPool {
    engine: Arc<Engine>,
    intake: Option<Arc<Intake>>,
    acceptor: Option<Thread>,
    monitor: Option<Thread>,
    workers: Vec<Thread>,
    logger: Option<Thread>,
}

/// What could not be joined.
#[derive(Debug, Default)]
pub(crate) struct LeftBehind {
    pub(crate) threads: usize,
    /// What they are in, as far as it is known.
    pub(crate) unreturned: Vec<Unreturned>,
}

impl WorkerPool {
    /// Starts every thread. If one cannot be started, those that were are
    /// joined before the error is returned.
    pub(crate) fn start(
        engine: Arc<Engine>,
        listener: Listener,
        lines: Lines,
    ) -> Result<Self, Error> {
        let mut pool = Self {
            engine,
            intake: None,
            acceptor: None,
            monitor: None,
            workers: Vec::new(),
            logger: None,
        };
        match pool.spawn_all(listener, lines) {
            Ok(()) => Ok(pool),
            Err(error) => {
                // The others end because no connection can come.
                pool.give_up_acceptor();
                pool.join();
                Err(Error::io("cannot start a thread", error))
            }
        }
    }

    fn spawn_all(&mut self, listener: Listener, lines: Lines) -> io::Result<()> {
        self.logger = Some(self.start_logger(lines)?);
        let engine = Arc::clone(&self.engine);
        for (number, slot) in (1..).zip(&engine.slots) {
            self.spawn_worker(&format!("farewell-{number}"), Arc::clone(slot))?;
        }
        let engine = Arc::clone(&self.engine);
        self.monitor = Some(self.spawn("farewell-monitor", move || monitor::run(&engine))?);
        let intake = Arc::new(Intake::new());
        self.intake = Some(Arc::clone(&intake));
        let acceptor = Acceptor::new(Arc::clone(&self.engine), listener, intake);
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

    fn spawn_worker(&mut self, name: &str, slot: Arc<InFlight>) -> io::Result<()> {
        let (engine, own) = (Arc::clone(&self.engine), Arc::clone(&slot));
        let work = move || worker::work(&engine, &own);
        let thread = started(Thread::spawn(name, &self.engine.services.life, slot, work))?;
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

    /// At an abort: takes their connections from the workers that are in code of
    /// the application, ends them, and starts one more worker for the queue in
    /// case none is free. No handler is called any more, so that one is never
    /// stuck.
    pub(crate) fn abort_running(&mut self, which: Taken) {
        let taken = |connection: &Connection| match which {
            Taken::ToCut => !connection.ends_in_order(),
            Taken::All => true,
        };
        let engine = &self.engine;
        let mut deferred = Vec::new();
        for worker in &self.workers {
            if let Some(connection) = worker.slot().take_connection_if(taken) {
                connection.give_up(&engine.services, &mut deferred);
            }
            // Before the monitor would: the other connections of the shard end too.
            if let Some(job) = worker.slot().slot.take_any_job() {
                engine.hand_off(job);
            }
        }
        engine.upgraded.cut(&mut deferred);
        engine.threads.run_deferred(deferred);
        if let Err(error) = self.spawn_worker("farewell-relief", Arc::default()) {
            let journal = &self.engine.services.journal;
            note!(
                journal,
                Error,
                "cannot start a thread to turn away what is queued: {error}"
            );
        }
    }

    /// An acceptor that was never started, or could not be woken, is let go:
    /// what it still accepts is not served.
    pub(crate) fn give_up_acceptor(&self) {
        if let Some(intake) = &self.intake {
            intake.close();
        }
        self.engine.services.accounting.no_more_connections();
    }

    /// Ends the connections that are left, wherever they are: in the lot, or in
    /// the queue because no worker is free. One that is with a worker ends when
    /// it parks.
    pub(crate) fn evict(&self) {
        let engine = &self.engine;
        let mut deferred = Vec::new();
        for connection in engine.evict() {
            connection.give_up(&engine.services, &mut deferred);
        }
        engine.threads.run_deferred(deferred);
    }

    /// Joins every thread, and drops the handler. Code of the application has
    /// until the deadline to return; threads that are in some then are left
    /// behind, and so is an acceptor that was dismissed.
    pub(crate) fn join(self) -> LeftBehind {
        let Self {
            engine,
            intake: _,
            acceptor,
            monitor,
            workers,
            logger,
        } = self;
        engine.close();
        let services = &engine.services;
        let (life, journal) = (Arc::clone(&services.life), Arc::clone(&services.journal));
        let (group, acceptor_awake) = (Arc::clone(&engine.threads), engine.acceptor_awake());
        let mut threads: Vec<Thread> = monitor.into_iter().chain(workers).collect();
        // One that was dismissed is not waited for.
        let (acceptor, dismissed) = match acceptor_awake {
            true => (acceptor, None),
            false => (None, acceptor),
        };
        threads.extend(acceptor);
        let group_left = group.take_left();
        threads.extend(group_left.threads);

        // Threads that only have to notice the end are not cut short by it.
        let soon = Instant::now() + GRACE;
        let deadline = life.deadline().map_or(soon, |deadline| deadline.max(soon));
        if !wait_for_end(&life, &threads, deadline) {
            life.abort(Abort::Deadline);
            // A handler that is told of the abort, because it reads or writes,
            // may be about to return.
            wait_for_end(&life, &threads, Instant::now() + GRACE);
            wait_for_own_code(&life, &threads, Instant::now() + LAST_GRACE);
        }
        // A thread that is left behind still needs the handler, and has a handle
        // of the engine.
        if let Some(engine) = Arc::into_inner(engine)
            && let Some(thread) = drop_handler(engine)
        {
            let dropping = slice::from_ref(&thread);
            if !wait_for_end(&life, dropping, deadline) {
                wait_for_end(&life, dropping, Instant::now() + GRACE);
            }
            threads.push(thread);
        }
        journal.close();
        threads.extend(dismissed);
        let end = Instant::now() + LAST_GRACE;
        let mut left = LeftBehind::default();
        left.sort(threads, end);
        left.name_unrun(group_left.deferred);
        // The others first: a logger that blocks has all the time that is left.
        life.wait(Some(end), || logger.iter().all(Thread::has_ended));
        left.sort(logger, end.max(Instant::now() + GRACE));
        left
    }
}

/// A thread that did not start has done nothing, and holds nothing of the
/// application's that another does not hold too.
fn started<F>(thread: Result<Thread, (io::Error, Option<F>)>) -> io::Result<Thread> {
    thread.map_err(|(error, _)| error)
}

/// Waits until all of these have ended, until an abort, or until `end`. Says
/// whether they have.
fn wait_for_end(life: &Lifecycle, threads: &[Thread], end: Instant) -> bool {
    let all_ended = || threads.iter().all(Thread::has_ended);
    let aborting = life.phase() >= Phase::Aborting;
    life.wait(Some(end), || {
        all_ended() || !aborting && life.phase() >= Phase::Aborting
    });
    all_ended()
}

/// Waits until each of these has ended or is in code of the application, or until
/// `end`: a thread in code of ours ends soon, unless the machine has too much to
/// do.
fn wait_for_own_code(life: &Lifecycle, threads: &[Thread], end: Instant) {
    let is_in_code = |thread: &Thread| thread.slot().unreturned().is_some();
    life.wait(Some(end), || {
        let mut threads = threads.iter();
        threads.all(|thread| thread.has_ended() || is_in_code(thread))
    });
}

/// Drops the last of what the threads shared, and with it the handler and all
/// that it captured: code of the application once more. `None` if there is no
/// thread for it; then it is leaked.
fn drop_handler(engine: Engine) -> Option<Thread> {
    let (life, journal) = (
        Arc::clone(&engine.services.life),
        Arc::clone(&engine.services.journal),
    );
    let slot = Arc::<InFlight>::default();
    slot.begin_alone(UserCode::Drop, None);
    let its_journal = Arc::clone(&journal);
    let drop_it = move || {
        if isolate(|| drop(engine)).is_err() {
            note!(its_journal, Error, "{} panicked", UserCode::Drop);
        }
    };
    match Thread::spawn("farewell-drop", &life, slot, drop_it) {
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
    /// Joins the threads that have ended, until `end` at most, and names what the
    /// others are in.
    fn sort(&mut self, threads: impl IntoIterator<Item = Thread>, end: Instant) {
        let (ended, running): (Vec<_>, Vec<_>) = threads.into_iter().partition(Thread::has_ended);
        let unreturned = running
            .iter()
            .filter_map(|thread| thread.slot().unreturned());
        self.unreturned.extend(unreturned);
        self.threads += running.len() + join_ended(ended, end);
    }

    /// Names what no thread has come to run.
    fn name_unrun(&mut self, deferred: VecDeque<Deferred>) {
        self.unreturned
            .extend(deferred.iter().map(Deferred::unreturned));
        // Its drop could block here.
        mem::forget(deferred);
    }
}
