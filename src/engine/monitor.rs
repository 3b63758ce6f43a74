//! The monitor is a thread with four tasks. It takes the job from a worker whose call
//! is long, if no other worker looks for that. It wakes the owner of a shard in which
//! a deadline has passed. It polls the shards that wait for a worker, so that the
//! counts show the requests that have arrived. It wakes the [reserve] for
//! connections that have waited there for long.
//!
//! While no call with a job is in progress and no job waits, the monitor sleeps until
//! the next deadline. [`MonitorWaker`](super::monitor_waker::MonitorWaker) says how it is woken.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::reserve;
use super::retake::LOOK_EVERY;

/// How often to look while the owners of the shards look as well.
const OWNERS_LOOK: Duration = Duration::from_millis(10);

/// How often to poll the shards that wait for a worker.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// How long after a deadline to wake the owner of the shard again.
const DEADLINE_AGAIN: Duration = Duration::from_millis(10);

/// Looks until the run queue is closed.
pub(crate) fn run(engine: &Engine) {
    engine.monitor_waker.register_thread();
    let mut next_poll = Instant::now();
    while !engine.run_queue.is_closed() {
        let now = Instant::now();
        engine.look(now);
        let due = wake_due_owners(engine, now);
        let is_behind = engine.run_queue.is_behind();
        if is_behind && now >= next_poll {
            poll_waiting_jobs(engine);
            next_poll = now + POLL_EVERY;
        }
        if !has_work(engine) {
            let was_called = engine.monitor_waker.sleep(due, || has_work(engine));
            if !was_called {
                // A deadline has passed, or an earlier one was added.
                continue;
            }
        }
        // This sleep gives a call that has just begun its time. It also saves
        // wake-ups: no call that begins meanwhile wakes this thread.
        let owners_look = engine.retake.owners_look(Instant::now()) || !engine.has_call_with_job();
        thread::park_timeout(match owners_look {
            true => OWNERS_LOOK,
            false => LOOK_EVERY,
        });
    }
}

/// Whether the monitor has a reason not to sleep.
fn has_work(engine: &Engine) -> bool {
    engine.has_call_with_job() || engine.run_queue.is_behind() || engine.run_queue.is_closed()
}

/// Wakes the owners of shards in which a deadline has passed. Returns when to do so
/// next.
fn wake_due_owners(engine: &Engine, now: Instant) -> Option<Instant> {
    let mut next: Option<Instant> = None;
    for shard in &engine.shards {
        let Some(mut due) = shard.scan_due() else {
            continue;
        };
        if due <= now {
            // An owner that does not sleep sees the deadline at its next poll.
            shard.interrupt();
            due = now + DEADLINE_AGAIN;
        }
        next = Some(next.map_or(due, |next| next.min(due)));
    }
    next
}

/// Polls each shard that waits for a worker.
fn poll_waiting_jobs(engine: &Engine) {
    let (mut any_is_ready, mut any_is_due) = (false, false);
    engine.run_queue.for_each(|job| {
        let now = job.poll_for(Some(Duration::ZERO));
        any_is_ready |= job.ready() > 0;
        any_is_due |= reserve::is_due(job, now);
    });
    if any_is_ready {
        engine.wake_owner();
    }
    if any_is_due && let Some(reserve) = &engine.reserve {
        reserve.wake();
    }
}
