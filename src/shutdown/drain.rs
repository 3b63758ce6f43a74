//! Stopping: the handle that everyone may pull, and [`drain`], which orders
//! the steps.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::engine::Engine;
use crate::engine::services::Services;
use crate::engine::worker_pool::AbortScope;
use crate::engine::worker_pool::THREAD_END_GRACE;
use crate::engine::worker_pool::WorkerPool;
use crate::journal::note;
use crate::lifecycle::accounting::Books;
use crate::lifecycle::accounting::Counts;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::phase::Trigger;
use crate::lifecycle::report::Report;
use crate::message::body::Body;
use crate::message::body::source::Nature;
use crate::message::body::source::Piece;
use crate::message::body::source::Source;
use crate::message::body::source::Waker;

/// Followers hear of changes this often at most.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// How often to knock for an acceptor that has not woken up.
const KNOCK_EVERY: Duration = Duration::from_millis(50);

/// How long to wait for it after the last time: longer than it may wait in one
/// accept.
const KNOCK_LAST: Duration = Duration::from_secs(1);

/// How long, from the deadline on, an acceptor may still look at its backlog
/// where no connection is open.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Stops a server, and tells how that goes. Clones are the same handle.
///
/// ```
/// # fn main() -> Result<(), farewell::Error> {
/// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
/// let stop = server.shutdown_handle();
/// std::thread::spawn(move || stop.shutdown());
/// let report = server.serve(|_: farewell::Request| "hello\n")?;
/// assert!(report.everyone_answered());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ShutdownHandle {
    life: Arc<Lifecycle>,
    books: Arc<Books>,
    board: Arc<Board>,
}

impl ShutdownHandle {
    pub(crate) fn new(life: Arc<Lifecycle>, books: Arc<Books>, board: Arc<Board>) -> Self {
        Self { life, books, board }
    }

    /// Asks the server to stop: everyone gets their answer, within
    /// [`Config::drain_timeout`](crate::Config::drain_timeout). Returns at
    /// once; later calls change nothing. If the server does not serve yet, it will stop as soon as it
    /// does.
    ///
    /// It may be called from any thread, a handler and a signal handler of the
    /// [`ctrlc`](https://docs.rs/ctrlc) crate included. For signals there is
    /// `Server::stop_on_signals`, with the feature `signals`.
    pub fn shutdown(&self) {
        self.shutdown_by(Trigger::Call);
    }

    /// As [`shutdown`](Self::shutdown), with a word on who asks. Says whether
    /// this was the first to ask.
    pub fn shutdown_by(&self, trigger: Trigger) -> bool {
        self.life.shutdown(trigger)
    }

    /// Cuts what is left, and stops. Requests that no handler has started get a
    /// 503.
    pub fn abort(&self) {
        self.abort_by(Trigger::Call);
    }

    /// As [`abort`](Self::abort), with a word on who asks. Says whether this
    /// made a difference: `false` if that was decided before, or is too late.
    pub fn abort_by(&self, trigger: Trigger) -> bool {
        self.life.abort(Abort::Demand(trigger))
    }

    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// Waits until the server is in `phase`, or beyond it.
    ///
    /// [`Phase::Stopped`] comes once [`serve`](crate::Server::serve) is about
    /// to return; never, if `serve` is not called.
    pub fn wait_for(&self, phase: Phase) {
        self.life.wait_for_phase(phase, None);
    }

    /// As [`wait_for`](Self::wait_for), for so long at most. Says whether the
    /// server is there.
    pub fn wait_for_timeout(&self, phase: Phase, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life.wait_for_phase(phase, until)
    }

    /// Waits until `condition` holds of the counts, or for `timeout` at most.
    /// Says whether it holds.
    ///
    /// `condition` is asked on this thread, at once and after every change of a
    /// count; it holds no lock meanwhile. While a thread waits here, each change
    /// wakes it, which costs the server's threads a system call.
    pub fn wait_for_counts(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(Counts) -> bool,
    ) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life
            .wait_for_counts(until, || condition(self.books.counts()))
    }

    /// What is going on at this moment.
    pub fn counts(&self) -> Counts {
        self.books.counts()
    }

    /// When what is left will be cut; `None` until somebody asks to stop.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.deadline()
    }

    /// A response body that follows the shutdown: a piece at once, from the
    /// trigger on one whenever the counts change (twenty a second at most), and
    /// at the end one for the final
    /// report, which is sent when everyone but the followers is done. `render`
    /// makes the pieces; an empty one is skipped.
    ///
    /// It starts no shutdown, and the drain does not wait for its readers
    /// before it tells them the end; then they have
    /// [`Config::linger`](crate::Config::linger) to read it. A slow one misses
    /// pieces, never the last.
    pub fn follow(&self, render: impl FnMut(&Progress) -> String + Send + 'static) -> Body {
        Body::stream(Follower {
            handle: self.clone(),
            render: Box::new(render),
            number: None,
            seen: None,
            told_end: false,
        })
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShutdownHandle({}, {:?})", self.phase(), self.counts())
    }
}

/// What a follower of the shutdown is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// What is still going on.
    Counts(Counts),
    /// Everyone else is done. Boxed for its size.
    Finished(Box<Report>),
}

/// Where the latest news of the shutdown stands.
#[derive(Default)]
pub(crate) struct Board {
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    number: u64,
    latest: Option<Progress>,
    /// Of the followers that have seen the latest, by their numbers.
    waiting: HashMap<u64, Waker>,
    /// How many followers there have been.
    followers: u64,
}

impl Board {
    fn publish(&self, progress: Progress) {
        let waiting = {
            let mut news = self.lock();
            news.number += 1;
            news.latest = Some(progress);
            std::mem::take(&mut news.waiting)
        };
        for wake in waiting.into_values() {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Board(news {})", self.lock().number)
    }
}

/// One reader of the board.
struct Follower {
    handle: ShutdownHandle,
    render: Box<dyn FnMut(&Progress) -> String + Send>,
    /// Its own number, once its answer has begun.
    number: Option<u64>,
    /// The number of the news that it has read.
    seen: Option<u64>,
    told_end: bool,
}

impl Source for Follower {
    fn next(&mut self, waker: &Waker) -> Piece {
        while !self.told_end {
            let progress = {
                let mut news = self.handle.board.lock();
                if self.seen == Some(news.number) {
                    let number = self.number.unwrap_or_default();
                    news.waiting.insert(number, Arc::clone(waker));
                    return Piece::NotYet;
                }
                self.seen = Some(news.number);
                let now = || Progress::Counts(self.handle.counts());
                news.latest.clone().unwrap_or_else(now)
            };
            self.told_end = matches!(progress, Progress::Finished(_));
            let text = (self.render)(&progress);
            if !text.is_empty() {
                return Piece::Data(text.into());
            }
        }
        Piece::End
    }

    fn nature(&self) -> Nature {
        Nature::Follower
    }

    /// Not before, or a handler that makes one and does not return would pass
    /// for one that only watches.
    fn begin(&mut self) {
        let mut news = self.handle.board.lock();
        news.followers += 1;
        self.number = Some(news.followers);
        drop(news);
        self.handle.books.follower_came();
    }

    fn end(&mut self) {
        if let Some(number) = self.number.take() {
            self.handle.board.lock().waiting.remove(&number);
            self.handle.books.follower_left();
        }
    }
}

impl Drop for Follower {
    /// If a stop has taken the connection while a piece was rendered.
    fn drop(&mut self) {
        self.end();
    }
}

/// From the trigger to the report. This function orders the steps of a
/// shutdown, and nothing else does.
pub(crate) fn drain(mut pool: WorkerPool, board: &Board) -> Report {
    let shared = Arc::clone(pool.engine());
    let (engine, services) = (&*shared, &shared.services);
    let life = &services.life;

    // 1. The trigger moves the phase, once.
    life.wait_for_phase(Phase::LameDuck, None);
    if let Some((trigger, _)) = life.log().trigger {
        note!(services.journal, Info, "asked to stop by {trigger}");
    }

    // 2. The lame duck: readiness says no, everything else goes on.
    follow_until(services, board, life.lame_duck_ends(), || {
        life.phase() > Phase::LameDuck
    });
    life.drain();
    let counts = services.accounting.counts();
    note!(services.journal, Info, "draining: {counts}");

    // 3. The acceptor closes the door, sweeps, closes the listener, and ends.
    if !wake_acceptor(engine) {
        note!(
            services.journal,
            Error,
            "the acceptor cannot be woken: it is left behind"
        );
        pool.abandon_acceptor();
    }

    // 4. The last call for those who wait with nothing in progress.
    engine.announce(Phase::Draining, last_call_ends(services));

    // 5. Handlers, writers and lingerers finish, or the deadline comes, or an
    //    abort. Those who follow the shutdown hear of that last.
    let only_followers_left = || services.accounting.only_followers_left();
    follow_until(services, board, life.deadline(), || {
        life.phase() >= Phase::Aborting || only_followers_left()
    });
    // With no connection left but the acceptor's look at its backlog still under
    // way, nothing is cut: the look takes some milliseconds.
    life.wait(Some(Instant::now() + LAST_LOOK), || {
        life.phase() >= Phase::Aborting
            || only_followers_left()
            || !services.accounting.only_followers_open()
    });
    let cut_short = life.phase() >= Phase::Aborting || !only_followers_left();
    if cut_short {
        life.abort(Abort::Deadline);
        if let Some((why, _)) = life.log().abort {
            note!(
                services.journal,
                Warn,
                "cut short by {why}: {}",
                services.accounting.counts()
            );
        }
        engine.announce(Phase::Aborting, Instant::now());
        services.places.wake_acceptor();
        pool.abort_running(AbortScope::ExceptCompleting);
        let grace = Instant::now() + services.config.linger;
        life.wait(Some(grace), only_followers_left);
    }
    board.publish(Progress::Finished(Box::new(services.accounting.report())));
    let grace = Instant::now() + services.config.linger;
    life.wait(Some(grace), || {
        services.accounting.everyone_left() || !cut_short && life.phase() >= Phase::Aborting
    });
    engine.evict();
    // What is still open waits for code of the application that does not return.
    let everyone_left = || services.accounting.everyone_left();
    if !life.wait(Some(Instant::now() + THREAD_END_GRACE), everyone_left) {
        life.abort(Abort::Deadline);
        pool.abort_running(AbortScope::All);
    }

    services.refusals.log_rest(&services.journal);

    // 6. Every thread is joined, and the handler is dropped: with the last
    //    handle of the engine, so this one goes before.
    let (life, books) = (Arc::clone(life), Arc::clone(&services.accounting));
    drop(shared);
    let left = pool.join();
    life.stopped();

    // 7. The report.
    let mut report = books.report();
    report.threads_left = left.threads;
    report.unreturned = left.unreturned;
    debug_assert!(report.balances(), "the books do not balance: {report:?}");
    report
}

/// The last call is for those who were idle when the drain began; that moment
/// is in the log already.
fn last_call_ends(services: &Services) -> Instant {
    let began = services.life.draining_since();
    began.unwrap_or_else(Instant::now) + services.config.last_call
}

/// Knocks until the acceptor has seen that the server stops; at the deadline or
/// at an abort, for one last time. `false` if it has not.
///
/// One knock is enough, unless there is no way to it (no loopback interface, a
/// firewall), or another holder of a shared listener took it. At a listener
/// that is ours alone the acceptor looks up now and then without any.
fn wake_acceptor(engine: &Engine) -> bool {
    let services = &engine.services;
    let mut knocks = Vec::new();
    loop {
        let deadline = services.life.deadline();
        let over = services.life.phase() >= Phase::Aborting
            || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match engine.knocker.knock() {
            Ok(knock) => knocks.push(knock),
            Err(error) => note!(services.journal, Debug, "knocking at the acceptor: {error}"),
        }
        let again = Instant::now() + if over { KNOCK_LAST } else { KNOCK_EVERY };
        services.places.wake_acceptor();
        let awake = services.life.wait(Some(again), || engine.acceptor_awake());
        if awake || over {
            return awake;
        }
    }
}

/// Waits until `over`, or until `deadline`, and keeps followers informed.
///
/// While nothing follows the shutdown, a request wakes this thread no more than
/// before: it waits for the end, and for the first follower.
fn follow_until(
    services: &Services,
    board: &Board,
    deadline: Option<Instant>,
    over: impl Fn() -> bool,
) {
    let (life, books) = (&services.life, &services.accounting);
    let mut told = Counts::default();
    loop {
        // A follower takes no place from the backlog.
        services.places.wake_acceptor();
        if books.followers() == 0 {
            let in_time = life.wait(deadline, || over() || books.followers() > 0);
            if over() || !in_time {
                return;
            }
        }
        let counts = books.counts();
        if counts != told {
            told = counts;
            board.publish(Progress::Counts(counts));
        }
        let news = || books.followers() == 0 || books.counts() != told;
        let in_time = life.wait_for_counts(deadline, || over() || news());
        if over() || !in_time {
            return;
        }
        // Changes come in bursts; one piece of news is enough for each.
        let pause = Instant::now() + TELL_EVERY;
        let pause = deadline.map_or(pause, |deadline| deadline.min(pause));
        life.wait(Some(pause), &over);
    }
}
