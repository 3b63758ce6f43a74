//! The steps of a stop, in their order: [`drain`].

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
use crate::lifecycle::counts::Counts;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::Report;

/// Followers hear of changes this often at most.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// How often to wake an acceptor that has not woken up.
const WAKE_EVERY: Duration = Duration::from_millis(50);

/// How long to wait for it after the last time: longer than it may wait in one
/// accept.
const WAKE_LAST: Duration = Duration::from_secs(1);

/// How long, from the deadline on, an acceptor may still look at its backlog
/// where no connection is open.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// From the trigger to the report. This function orders the steps of a
/// shutdown, and nothing else does.
pub(crate) fn drain(mut pool: WorkerPool, progress: &ProgressChannel) -> Report {
    let shared = Arc::clone(pool.engine());
    let (engine, services) = (&*shared, &shared.services);
    let life = &services.life;

    // 1. The trigger moves the phase, once.
    life.wait_for_phase(Phase::LameDuck, None);
    if let Some((trigger, _)) = life.history().trigger {
        note!(services.journal, Info, "asked to stop by {trigger}");
    }

    // 2. The lame duck: readiness says no, everything else goes on.
    follow_until(services, progress, life.lame_duck_ends(), || {
        life.phase() > Phase::LameDuck
    });
    life.drain();
    let counts = services.accounting.counts();
    note!(services.journal, Info, "draining: {counts}");

    // 3. The acceptor stops accepting new connections, drains the backlog, closes the
    //    listener, and ends.
    if !wake_acceptor(engine) {
        note!(
            services.journal,
            Error,
            "the acceptor cannot be woken: it is left behind"
        );
        pool.abandon_acceptor();
    }

    // 4. The last call for those who wait with nothing in progress.
    let last_call_ends = life.last_call_ends().unwrap_or_else(Instant::now);
    engine.announce(Phase::Draining, last_call_ends);

    // 5. Handlers, writers and lingerers finish, or the deadline comes, or an
    //    abort. Those who follow the shutdown hear of that last.
    let only_followers_left = || services.accounting.only_followers_left();
    follow_until(services, progress, life.deadline(), || {
        life.is_aborting() || only_followers_left()
    });
    // With no connection left but the acceptor's look at its backlog still under
    // way, nothing is cut: the look takes some milliseconds.
    life.wait(Some(Instant::now() + LAST_LOOK), || {
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
                services.accounting.counts()
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
    // What is still open waits for code of the application that does not return.
    let all_ended = || services.accounting.all_ended();
    if !life.wait(Some(Instant::now() + THREAD_END_GRACE), all_ended) {
        life.abort(Abort::Deadline);
        pool.abort_running(AbortScope::All);
    }

    services.refusals.log_rest(&services.journal);

    // 6. Every thread is joined, and the handler is dropped: with the last
    //    handle of the engine, so this one goes before.
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

/// Wakes the acceptor until it has seen that the server stops; at the deadline or at
/// an abort, for one last time. `false` if it has not.
///
/// One connection is enough, unless there is no way to the listener (no loopback
/// interface, a firewall), or another holder of a shared listener has accepted it. At
/// a listener that is ours alone the acceptor looks up now and then without any.
fn wake_acceptor(engine: &Engine) -> bool {
    let services = &engine.services;
    let mut connections = Vec::new();
    loop {
        let deadline = services.life.deadline();
        let over = services.life.is_aborting()
            || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match engine.acceptor_waker.wake() {
            Ok(connection) => connections.push(connection),
            Err(error) => note!(services.journal, Debug, "waking the acceptor: {error}"),
        }
        let again = Instant::now() + if over { WAKE_LAST } else { WAKE_EVERY };
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
    progress: &ProgressChannel,
    deadline: Option<Instant>,
    over: impl Fn() -> bool,
) {
    let (life, accounting) = (&services.life, &services.accounting);
    let mut told = Counts::default();
    loop {
        // A follower takes no place from the backlog.
        services.places.wake_acceptor();
        if accounting.followers() == 0 {
            let in_time = life.wait(deadline, || over() || accounting.followers() > 0);
            if over() || !in_time {
                return;
            }
        }
        let counts = accounting.counts();
        if counts != told {
            told = counts;
            progress.publish(Progress::Counts(counts));
        }
        let has_changed = || accounting.followers() == 0 || accounting.counts() != told;
        let in_time = life.wait_for_counts(deadline, || over() || has_changed());
        if over() || !in_time {
            return;
        }
        // Changes come in bursts; one value is enough for each.
        let pause = Instant::now() + TELL_EVERY;
        let pause = deadline.map_or(pause, |deadline| deadline.min(pause));
        life.wait(Some(pause), &over);
    }
}
