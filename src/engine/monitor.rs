//! The monitor: a thread that looks at the slots of the workers, takes the job
//! from one whose call is long, and hands it to another worker. It also wakes the
//! owner of a shard in which a deadline has come.
//!
//! It sleeps while no call with a job is in progress, until the next deadline;
//! see [`Bell`](super::bell::Bell) for how it is woken.

use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Engine;
use super::in_flight::InFlight;

/// How often to look while a call is in progress. A call that waits is noticed
/// at the second look.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A call that computes keeps its job for so long: to hand it to another core
/// helps the other connections of the shard only if the call goes on.
const COMPUTES_MAX: Duration = Duration::from_millis(10);

/// How long the owner of a shard may take to see to a deadline.
const DEADLINE_AGAIN: Duration = Duration::from_millis(10);

pub(crate) struct Monitor {
    engine: Arc<Engine>,
    workers: Vec<Watched>,
}

/// A worker's slot, and the call that the last look has found in it.
struct Watched {
    slot: Arc<InFlight>,
    /// Its number, and when it was first seen.
    seen: Option<(u64, Instant)>,
}

impl Monitor {
    pub(crate) fn new(engine: Arc<Engine>, slots: impl Iterator<Item = Arc<InFlight>>) -> Self {
        let workers = slots.map(|slot| Watched { slot, seen: None }).collect();
        Self { engine, workers }
    }

    /// Looks until the run queue is closed.
    pub(crate) fn run(mut self) {
        let engine = Arc::clone(&self.engine);
        engine.bell.answer();
        while !engine.run_queue.is_closed() {
            let now = Instant::now();
            let due = self.see_to_deadlines(now);
            match self.look(now) {
                true => thread::park_timeout(LOOK_EVERY),
                false => engine.bell.sleep(due, || {
                    self.in_call() || engine.run_queue.is_closed()
                }),
            }
        }
    }

    /// Whether a call with a job is in progress.
    fn in_call(&self) -> bool {
        self.workers
            .iter()
            .any(|worker| worker.slot.slot.call().is_some())
    }

    /// Takes the jobs of calls that are long. Says whether a call is in progress.
    fn look(&mut self, now: Instant) -> bool {
        let mut in_call = false;
        for worker in &mut self.workers {
            let call = worker.slot.slot.call();
            in_call |= call.is_some();
            match (call, worker.seen) {
                (Some(call), Some((seen, since))) if call == seen => {
                    let held_up = now.saturating_duration_since(since) >= COMPUTES_MAX
                        || worker.slot.thread_is_running() != Some(true);
                    if held_up && let Some(job) = worker.slot.slot.take_job(call) {
                        self.engine.hand_off(job);
                    }
                }
                (call, _) => worker.seen = call.map(|call| (call, now)),
            }
        }
        in_call
    }

    /// Wakes the owners of shards in which a deadline has come. Gives when to do
    /// so next.
    fn see_to_deadlines(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for shard in &self.engine.shards {
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
}
