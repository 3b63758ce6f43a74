//! Taking jobs from workers whose calls are long.
//!
//! Any thread may look at the workers' slots for that. The owners of shards do
//! so in passing, once in a millisecond: while several of them are awake they
//! watch each other, and no timer is needed, which on busy cores is the dearest
//! way to look. Where they do not, the [monitor](super::monitor) looks.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::TryLockError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use super::in_flight::InFlight;
use super::in_flight::OwnedJob;

/// How often an owner, or the monitor, looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A call that waits keeps its job for so long after it was first seen.
const WAITS_MAX: Duration = Duration::from_millis(1);

/// A call that computes keeps its job for so long where every core is busy: to
/// move the shard to another one helps its other connections only if the call goes
/// on.
const COMPUTES_MAX: Duration = Duration::from_millis(10);

/// An owner that has looked within this time will look again.
const AWAKE: Duration = Duration::from_millis(4);

/// See the module.
#[derive(Debug)]
pub(crate) struct Retake {
    began: Instant,
    /// When each worker has looked as an owner, in µs since `began`.
    looks: Box<[AtomicU64]>,
    workers: Mutex<Box<[Watched]>>,
}

/// A worker's slot, and the call that the last look has found in it.
#[derive(Debug)]
struct Watched {
    slot: Arc<InFlight>,
    /// Its number, and when it was first seen.
    seen: Option<(u64, Instant)>,
}

impl Retake {
    pub(crate) fn new(slots: &[Arc<InFlight>]) -> Self {
        let watched = |slot: &Arc<InFlight>| Watched {
            slot: Arc::clone(slot),
            seen: None,
        };
        Self {
            began: Instant::now(),
            looks: slots.iter().map(|_| AtomicU64::new(0)).collect(),
            workers: Mutex::new(slots.iter().map(watched).collect()),
        }
    }

    /// As [`look`](Self::look), by the worker of this number, which owns a shard.
    pub(crate) fn look_as_owner(
        &self,
        worker: usize,
        now: Instant,
        has_idle_core: bool,
        hand_off: impl Fn(OwnedJob),
    ) {
        // One that was started for an abort has no number of its own.
        if let Some(look) = self.looks.get(worker) {
            look.store(self.micros(now), Relaxed);
        }
        self.look(now, has_idle_core, hand_off);
    }

    /// Looks at every slot. Gives the jobs of the calls that are long to
    /// `hand_off`.
    pub(crate) fn look(&self, now: Instant, has_idle_core: bool, hand_off: impl Fn(OwnedJob)) {
        let mut workers = match self.workers.try_lock() {
            Ok(workers) => workers,
            Err(TryLockError::Poisoned(workers)) => workers.into_inner(),
            // Another thread looks.
            Err(TryLockError::WouldBlock) => return,
        };
        for worker in &mut *workers {
            let call = worker.slot.slot.call();
            match (call, worker.seen) {
                (Some(call), Some((seen, since))) if call == seen => {
                    if worker.is_held_up(now.saturating_duration_since(since), has_idle_core)
                        && let Some(job) = worker.slot.slot.take_job(call)
                    {
                        hand_off(job);
                    }
                }
                (call, _) => worker.seen = call.map(|call| (call, now)),
            }
        }
    }

    /// Whether several owners look: then each is seen by another one.
    pub(crate) fn owners_look(&self, now: Instant) -> bool {
        let now = self.micros(now);
        let awake = u64::try_from(AWAKE.as_micros()).unwrap_or(u64::MAX);
        let looks = self.looks.iter();
        let recent = looks.filter(|look| now.saturating_sub(look.load(Relaxed)) < awake);
        recent.count() > 1
    }

    fn micros(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Watched {
    fn is_held_up(&self, time: Duration, has_idle_core: bool) -> bool {
        time >= COMPUTES_MAX
            || time >= WAITS_MAX && (has_idle_core || self.slot.thread_is_running() != Some(true))
    }
}
