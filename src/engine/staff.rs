//! The threads of a server: every one named, owned, and joined.

use std::io;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::acceptor::Acceptor;
use super::acceptor::Intake;
use super::connection::Connection;
use super::foreman::Foreman;
use super::worker;
use super::worker::Desk;
use crate::drain::phase::Phase;
use crate::error::Error;
use crate::net::listener::Listener;

/// How long, at the end, threads have to notice that it is one.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Whose connections are taken from the desks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom {
    /// All but those that end in good order at an abort too.
    ThoseToCut,
    Everyone,
}

/// Everyone who works for one server. The fields stand in the order in which
/// the threads end: the acceptor goes; when nobody is left then, the seats and
/// the queues are closed, which ends the foreman and the workers.
pub(crate) struct Staff {
    engine: Arc<Engine>,
    intake: Option<Arc<Intake>>,
    acceptor: Option<JoinHandle<()>>,
    foreman: Option<JoinHandle<()>>,
    workers: Vec<Post>,
}

struct Post {
    thread: JoinHandle<()>,
    desk: Arc<Desk>,
}

impl Staff {
    /// Starts every thread. If one cannot be started, those that were are
    /// joined before the error is returned.
    pub(crate) fn hire(engine: Arc<Engine>, listener: Listener) -> Result<Self, Error> {
        let mut staff = Self {
            engine,
            intake: None,
            acceptor: None,
            foreman: None,
            workers: Vec::new(),
        };
        match staff.start(listener) {
            Ok(()) => Ok(staff),
            Err(error) => {
                // The others end because nobody can come.
                staff.dismiss_acceptor();
                staff.join();
                Err(Error::io("cannot start a thread", error))
            }
        }
    }

    fn start(&mut self, listener: Listener) -> io::Result<()> {
        for number in 1..=self.engine.config.workers {
            self.hire_worker(&format!("farewell-{number}"))?;
        }
        let foreman = Foreman::new(Arc::clone(&self.engine));
        self.foreman = Some(spawn("farewell-foreman", move || foreman.run())?);
        let intake = Arc::new(Intake::new());
        self.intake = Some(Arc::clone(&intake));
        let acceptor = Acceptor::new(Arc::clone(&self.engine), listener, intake);
        self.acceptor = Some(spawn("farewell-accept", move || acceptor.run())?);
        Ok(())
    }

    fn hire_worker(&mut self, name: &str) -> io::Result<()> {
        let desk = Arc::new(Desk::default());
        let thread = {
            let (engine, desk) = (Arc::clone(&self.engine), Arc::clone(&desk));
            spawn(name, move || worker::work(&engine, &desk))?
        };
        self.workers.push(Post { thread, desk });
        Ok(())
    }

    /// At an abort: takes their connections from those who are in a handler,
    /// ends them, and hires someone for the queue in case nobody is free.
    /// No handler is called any more, so that one is never stuck.
    pub(crate) fn relieve(&mut self, whom: Whom) {
        let taken = |connection: &Connection| match whom {
            Whom::ThoseToCut => !connection.ends_in_order(),
            Whom::Everyone => true,
        };
        for post in &self.workers {
            if let Some(mut connection) = post.desk.take_if(taken) {
                let outcome = connection.give_up(&self.engine);
                self.engine.close(connection, outcome);
            }
        }
        self.engine.guests.cut(&self.engine);
        if let Err(error) = self.hire_worker("farewell-relief") {
            log::error!("cannot start a thread to turn away what is queued: {error}");
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

    /// Ends whoever is left, wherever it is: in the lot, or in the queue
    /// because no worker is free. Who is with a worker ends when it parks.
    pub(crate) fn evict(&self) {
        let waiting = self.engine.lot.evict();
        for mut connection in waiting {
            let outcome = connection.give_up(&self.engine);
            self.engine.close(connection, outcome);
        }
        self.engine.let_go();
    }

    /// Joins every thread, in the order in which they end. Those whose handlers
    /// do not return are let go, once the abort has taken their connections,
    /// and so is an acceptor that was dismissed; says how many that are.
    pub(crate) fn join(self) -> usize {
        let Self {
            engine,
            intake: _,
            acceptor,
            foreman,
            workers,
        } = self;
        let mut stuck = 0;
        match acceptor {
            Some(thread) if engine.acceptor_awake() => join(thread),
            Some(_) => stuck += 1,
            None => {}
        }
        if let Some(thread) = foreman {
            join(thread);
        }
        // A handler that is told of the abort, because it reads or writes, may
        // be about to return.
        let soon = Instant::now() + GRACE;
        let all_left = || workers.iter().all(|post| post.desk.left());
        engine.life.wait(Some(soon), all_left);
        engine.life.wait(None, || {
            let aborted = engine.life.phase() >= Phase::Aborting;
            let stuck = |desk: &Desk| desk.in_handler() && aborted;
            workers
                .iter()
                .all(|post| post.desk.left() || stuck(&post.desk))
        });
        for post in workers {
            if post.desk.left() {
                join(post.thread);
            } else {
                stuck += 1;
            }
        }
        let deadline = engine.life.deadline().unwrap_or(soon);
        stuck += engine.crew.join(deadline.max(soon));
        stuck
    }
}

fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(f)
}

pub(super) fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        log::error!("the thread {name} panicked");
    }
}
