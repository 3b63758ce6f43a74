//! The threads of a server from the first to the last: starting them, taking
//! connections away from those that do not come to an end, and joining them.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::acceptor::Acceptor;
use super::acceptor::Intake;
use super::connection::Connection;
use super::foreman::Foreman;
use super::in_flight::InFlight;
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
use crate::journal::Journal;
use crate::journal::Lines;
use crate::journal::note;
use crate::net::listener::Listener;

/// How long, at the end, threads have to notice that it is one.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// How long, at the end, the logger may take for what is still to be logged,
/// and thread-locals for their drops.
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
/// queues are closed, which ends the foreman and the workers; the logger's goes
/// last.
pub(crate) struct Staff {
    engine: Arc<Engine>,
    intake: Option<Arc<Intake>>,
    acceptor: Option<Thread>,
    foreman: Option<Thread>,
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

impl Staff {
    /// Starts every thread. If one cannot be started, those that were are
    /// joined before the error is returned.
    pub(crate) fn hire(
        engine: Arc<Engine>,
        listener: Listener,
        lines: Lines,
    ) -> Result<Self, Error> {
        let mut staff = Self {
            engine,
            intake: None,
            acceptor: None,
            foreman: None,
            workers: Vec::new(),
            logger: None,
        };
        match staff.start(listener, lines) {
            Ok(()) => Ok(staff),
            Err(error) => {
                // The others end because no connection can come.
                staff.dismiss_acceptor();
                staff.join();
                Err(Error::io("cannot start a thread", error))
            }
        }
    }

    fn start(&mut self, listener: Listener, lines: Lines) -> io::Result<()> {
        self.logger = Some(self.start_logger(lines)?);
        for number in 1..=self.engine.config.workers {
            self.hire_worker(&format!("farewell-{number}"))?;
        }
        let foreman = Foreman::new(Arc::clone(&self.engine));
        self.foreman = Some(self.spawn("farewell-foreman", move || foreman.run())?);
        let intake = Arc::new(Intake::new());
        self.intake = Some(Arc::clone(&intake));
        let acceptor = Acceptor::new(Arc::clone(&self.engine), listener, intake);
        self.acceptor = Some(self.spawn("farewell-accept", move || acceptor.run())?);
        Ok(())
    }

    fn start_logger(&self, lines: Lines) -> io::Result<Thread> {
        let slot = Arc::<InFlight>::default();
        slot.begin(UserCode::Logger, None);
        let journal = Arc::clone(&self.engine.journal);
        Thread::spawn("farewell-log", &self.engine.life, slot, move || {
            journal.write_out(&lines);
        })
    }

    fn hire_worker(&mut self, name: &str) -> io::Result<()> {
        let slot = Arc::<InFlight>::default();
        let (engine, own) = (Arc::clone(&self.engine), Arc::clone(&slot));
        let work = move || worker::work(&engine, &own);
        let thread = Thread::spawn(name, &self.engine.life, slot, work)?;
        self.workers.push(thread);
        Ok(())
    }

    fn spawn(&self, name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        Thread::spawn(name, &self.engine.life, Arc::default(), f)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// At an abort: takes their connections from the workers that are in code of
    /// the application, ends them, and starts one more worker for the queue in
    /// case none is free. No handler is called any more, so that one is never
    /// stuck.
    pub(crate) fn relieve(&mut self, which: Taken) {
        let taken = |connection: &Connection| match which {
            Taken::ToCut => !connection.ends_in_order(),
            Taken::All => true,
        };
        let engine = &self.engine;
        let mut deferred = Vec::new();
        for worker in &self.workers {
            if let Some(mut connection) = worker.slot().take_if(taken) {
                let outcome = connection.give_up(engine, &mut deferred);
                engine.close(connection, outcome, &mut deferred);
            }
        }
        engine.guests.cut(engine, &mut deferred);
        engine.crew.run_deferred(deferred);
        if let Err(error) = self.hire_worker("farewell-relief") {
            let journal = &self.engine.journal;
            note!(
                journal,
                Error,
                "cannot start a thread to turn away what is queued: {error}"
            );
        }
    }

    /// An acceptor that was never started, or could not be woken, is let go:
    /// what it still accepts is not served.
    pub(crate) fn dismiss_acceptor(&self) {
        if let Some(intake) = &self.intake {
            intake.close();
        }
        self.engine.books.no_more_connections();
        self.engine.let_go();
    }

    /// Ends the connections that are left, wherever they are: in the lot, or in
    /// the queue because no worker is free. One that is with a worker ends when
    /// it parks.
    pub(crate) fn evict(&self) {
        let engine = &self.engine;
        let mut deferred = Vec::new();
        for mut connection in engine.lot.evict() {
            let outcome = connection.give_up(engine, &mut deferred);
            engine.close(connection, outcome, &mut deferred);
        }
        engine.crew.run_deferred(deferred);
        engine.let_go();
    }

    /// Joins every thread, and drops the handler. Code of the application has
    /// until the deadline to return; threads that are in some then are left
    /// behind, and so is an acceptor that was dismissed.
    pub(crate) fn join(self) -> LeftBehind {
        let Self {
            engine,
            intake: _,
            acceptor,
            foreman,
            workers,
            logger,
        } = self;
        let (life, journal) = (Arc::clone(&engine.life), Arc::clone(&engine.journal));
        let mut left = LeftBehind::default();
        let mut threads: Vec<Thread> = foreman.into_iter().chain(workers).collect();
        match acceptor {
            Some(thread) if engine.acceptor_awake() => threads.push(thread),
            Some(_) => left.threads += 1,
            None => {}
        }
        threads.extend(engine.crew.take_threads());

        let all_ended = || threads.iter().all(Thread::has_ended);
        // Threads that only have to notice the end are not cut short by it.
        let soon = Instant::now() + GRACE;
        let deadline = life.deadline().map_or(soon, |deadline| deadline.max(soon));
        life.wait(Some(deadline), || {
            all_ended() || life.phase() >= Phase::Aborting
        });
        if !all_ended() {
            life.abort(Abort::Deadline);
            // A handler that is told of the abort, because it reads or writes,
            // may be about to return.
            life.wait(Some(Instant::now() + GRACE), all_ended);
        }
        left.sort(threads);
        // What is left behind still needs the handler.
        if let Some(engine) = Arc::into_inner(engine) {
            left.drop_handler(engine, deadline);
        }
        left.sort(logger_at_its_end(&journal, logger, &life));
        left
    }
}

/// The logger's thread, when it has had time for the last lines.
fn logger_at_its_end(
    journal: &Journal,
    logger: Option<Thread>,
    life: &Lifecycle,
) -> Option<Thread> {
    journal.close();
    let logger = logger?;
    let end = Instant::now() + LAST_GRACE;
    life.wait(Some(end), || logger.has_ended());
    Some(logger)
}

impl LeftBehind {
    /// Joins the threads that have ended, and names the others.
    fn sort(&mut self, threads: impl IntoIterator<Item = Thread>) {
        let (ended, running): (Vec<_>, Vec<_>) = threads.into_iter().partition(Thread::has_ended);
        self.unreturned.extend(
            running
                .iter()
                .filter_map(|thread| thread.slot().unreturned()),
        );
        self.threads += running.len() + join_ended(ended, LAST_GRACE);
    }

    /// Drops the last of what the threads shared, and with it the handler and
    /// all that it captured: code of the application once more.
    fn drop_handler(&mut self, engine: Engine, deadline: Instant) {
        let (life, journal) = (Arc::clone(&engine.life), Arc::clone(&engine.journal));
        let slot = Arc::<InFlight>::default();
        slot.begin(UserCode::Drop, None);
        let own = Arc::clone(&life);
        let drop_it = move || {
            if isolate(|| drop(engine)).is_err() {
                note!(journal, Error, "{} panicked", UserCode::Drop);
            }
        };
        match Thread::spawn("farewell-drop", &own, slot, drop_it) {
            Ok(thread) => {
                let over = || thread.has_ended() || life.phase() >= Phase::Aborting;
                life.wait(Some(deadline), over);
                let soon = Instant::now() + GRACE;
                life.wait(Some(soon), || thread.has_ended());
                self.sort([thread]);
            }
            Err(_) => self.threads += 1,
        }
    }
}
