//! The steps of a stop, in their order: [`drain`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::follow::Progress;
use super::follow::ProgressChannel;
use crate::engine::Engine;
use crate::engine::services::Services;
use crate::engine::worker_pool::AbortScope;
use crate::engine::worker_pool::THREAD_END_GRACE;
use crate::engine::worker_pool::WorkerPool;
use crate::journal::note;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::Report;

/// The shortest time between two pieces for a follower.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);

/// The time between two pieces for a follower while only the bytes that are left to send
/// change.
const BYTES_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait for the acceptor before the next attempt to wake it.
const WAKE_INTERVAL: Duration = Duration::from_millis(50);

/// How long to wait for the acceptor after the last attempt: longer than one
/// accept waits.
const LAST_WAKE_GRACE: Duration = Duration::from_secs(1);

/// From when on the log says that the last call is longer than the setting.
const ALLOWANCE_TO_LOG: Duration = Duration::from_millis(50);

/// How long after the deadline the acceptor may go on draining the backlog if no
/// connection is open.
const BACKLOG_GRACE: Duration = Duration::from_millis(500);

/// Stops the server, from the trigger to the report. No other function orders the
/// steps of a stop.
pub(crate) fn drain(mut pool: WorkerPool, progress: &ProgressChannel) -> Report {
    let shared = Arc::clone(pool.engine());
    let (engine, services) = (&*shared, &shared.services);
    let life = &services.life;

    // 1. The trigger moves the phase.
    life.wait_for_phase(Phase::LameDuck, None);
    if let Some((trigger, _)) = life.history().trigger {
        note!(services.journal, Info, "asked to stop by {trigger}");
    }

    // 2. The lame duck: readiness says 503, and everything else goes on.
    follow_until(services, progress, life.lame_duck_ends(), || {
        life.phase() > Phase::LameDuck
    });
    life.drain();
    services.accounting.drain_begun();
    note!(
        services.journal,
        Info,
        "draining: {}",
        Left(&services.accounting)
    );

    // 3. The acceptor has the kernel refuse new connections, drains the backlog,
    //    closes the listener, and ends.
    if !wake_acceptor(engine) {
        note!(
            services.journal,
            Error,
            "cannot wake the acceptor: its thread is left behind"
        );
        pool.abandon_acceptor();
    }

    // 4. The last call for connections without a request in progress.
    let last_call_ends = life.last_call_ends().unwrap_or_else(Instant::now);
    engine.announce(Phase::Draining, last_call_ends);
    allow_for_round_trips(engine);

    // 5. Handlers, writers and lingering connections finish, unless the deadline or
    //    an abort comes first. Then the followers get the report.
    let only_followers_left = || services.accounting.only_followers_left();
    follow_until(services, progress, life.deadline(), || {
        life.is_aborting() || only_followers_left()
    });
    // If no connection is left to cut, the acceptor gets the milliseconds that it
    // needs to drain the backlog.
    life.wait(Some(Instant::now() + BACKLOG_GRACE), || {
        life.is_aborting() || only_followers_left() || !services.accounting.only_followers_open()
    });
    let cut_short = life.is_aborting() || !only_followers_left();
    if cut_short {
        life.abort(Abort::Deadline);
        if let Some((why, _)) = life.history().abort {
            note!(
                services.journal,
                Warn,
                "cut short by {why}: {}",
                Left(&services.accounting)
            );
        }
        engine.announce(Phase::Aborting, Instant::now());
        services.places.wake_acceptor();
        pool.abort_running(AbortScope::ExceptCompleting);
        let grace = Instant::now() + services.config.linger;
        life.wait(Some(grace), only_followers_left);
    }
    progress.publish(Progress::Finished(Box::new(services.accounting.report())));
    let grace = Instant::now() + services.config.linger;
    life.wait(Some(grace), || {
        services.accounting.all_ended() || !cut_short && life.is_aborting()
    });
    engine.evict();
    // A connection that is still open waits for code of the application that does
    // not return.
    let all_ended = || services.accounting.all_ended();
    if !life.wait(Some(Instant::now() + THREAD_END_GRACE), all_ended) {
        life.abort(Abort::Deadline);
        pool.abort_running(AbortScope::All);
    }

    services.refusals.log_rest(&services.journal);

    // 6. Every thread is joined. The handler is dropped with the last handle of the
    //    engine, so this handle is dropped first.
    let (life, accounting) = (Arc::clone(life), Arc::clone(&services.accounting));
    drop(shared);
    let left = pool.join();
    life.stopped();

    // 7. The report.
    let mut report = accounting.report();
    report.threads_left = left.threads;
    report.unreturned = left.unreturned;
    debug_assert!(
        report.balances(),
        "the accounting does not balance: {report:?}"
    );
    report
}

/// Makes the last call longer if clients are far away. A connection asks again when its
/// last call is over, so the announcement needs not to wait for the kernel, which
/// searches all its sockets for the answer.
fn allow_for_round_trips(engine: &Engine) {
    let services = &engine.services;
    if services.accounting.open() == 0 {
        return;
    }
    let ask = || engine.acceptor_waker.longest_round_trip();
    let round_trip = services.life.allow_for(ask);
    let allowance = services.life.allowance();
    if allowance >= ALLOWANCE_TO_LOG {
        note!(
            services.journal,
            Info,
            "a client has a round trip of {round_trip:.0?}: the last call is longer by {allowance:.1?}"
        );
    }
}

/// The connections and requests that are left, and what is left to send.
struct Left<'a>(&'a Accounting);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.counts().fmt(f)?;
        match self.0.unsent() {
            unsent if unsent.bytes > 0 => write!(f, ", {unsent}"),
            _ => Ok(()),
        }
    }
}

/// Connects to the listener until the acceptor has seen that the server stops. At
/// the deadline or at an abort it does so one last time. Returns `false` if the
/// acceptor has not seen it.
///
/// One connection is enough, unless none can be made (no loopback interface, a
/// firewall), or another holder of a shared listener accepts it. At a listener
/// that is ours alone, the acceptor also wakes up by itself now and then.
fn wake_acceptor(engine: &Engine) -> bool {
    let services = &engine.services;
    let mut connections = Vec::new();
    loop {
        let deadline = services.life.deadline();
        let over = services.life.is_aborting()
            || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match engine.acceptor_waker.wake() {
            Ok(connection) => connections.push(connection),
            Err(error) => note!(services.journal, Debug, "cannot wake the acceptor: {error}"),
        }
        let again = Instant::now() + if over { LAST_WAKE_GRACE } else { WAKE_INTERVAL };
        services.places.wake_acceptor();
        let awake = services.life.wait(Some(again), || engine.acceptor_awake());
        if awake || over {
            return awake;
        }
    }
}

/// Waits until `over`, or until `deadline`, and publishes the counts to followers.
///
/// While there is no follower, requests do not wake this thread: it waits for
/// `over` and for the first follower only.
fn follow_until(
    services: &Services,
    progress: &ProgressChannel,
    deadline: Option<Instant>,
    over: impl Fn() -> bool,
) {
    let (life, accounting) = (&services.life, &services.accounting);
    let mut published = Counts::default();
    loop {
        // The acceptor does not count followers towards the limit of connections, so
        // a new follower may let it go on.
        services.places.wake_acceptor();
        if progress.followers() == 0 {
            let in_time = life.wait(deadline, || over() || progress.followers() > 0);
            if over() || !in_time {
                return;
            }
        }
        let counts = accounting.counts();
        if counts != published {
            published = counts;
            progress.publish(Progress::Counts(counts));
        }
        // The bytes that are left change with every write, which wakes no thread.
        let has_changed =
            || progress.followers() == 0 || !accounting.counts().has_same_numbers(&published);
        let tick = Instant::now() + BYTES_INTERVAL;
        let until = deadline.map_or(tick, |deadline| deadline.min(tick));
        life.wait_for_counts(Some(until), || over() || has_changed());
        if over() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return;
        }
        // Changes come in bursts, and one piece is enough for each burst.
        let pause = Instant::now() + PUBLISH_INTERVAL;
        let pause = deadline.map_or(pause, |deadline| deadline.min(pause));
        life.wait(Some(pause), &over);
    }
}
