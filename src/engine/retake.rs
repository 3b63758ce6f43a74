//! Takes jobs from workers whose calls are long.
//!
//! Any thread may look at the workers' slots for that. The owners of shards do so
//! once a millisecond, between connections. While several owners are awake, they
//! watch each other, and no timer is needed: a timer is the most expensive way on busy
//! cores. Otherwise the [monitor](super::monitor) looks.

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

/// A call that waits keeps its job for so long after a look first saw it.
const WAITS_MAX: Duration = Duration::from_millis(1);

/// A call that computes keeps its job for so long if every core is busy: the other
/// connections of the shard gain from another worker only if the call goes on for
/// long.
const COMPUTES_MAX: Duration = Duration::from_millis(10);

/// An owner that has looked within this time is taken to be awake.
const AWAKE: Duration = Duration::from_millis(4);

/// See the module.
#[derive(Debug)]
pub(crate) struct Retake {
    began: Instant,
    /// When each worker has looked as an owner, in µs since `began`.
    looks: Box<[AtomicU64]>,
    workers: Mutex<Box<[Watched]>>,
}

/// A worker's slot, and the call that the last look found in it.
#[derive(Debug)]
struct Watched {
    slot: Arc<InFlight>,
    /// The call's number, and when a look first saw it.
    seen: Option<(u64, Instant)>,
}

impl Retake {
    pub(crate) fn new<'a>(slots: impl Iterator<Item = &'a Arc<InFlight>>) -> Self {
        let watched = |slot: &Arc<InFlight>| Watched {
            slot: Arc::clone(slot),
            seen: None,
        };
        let workers: Box<[Watched]> = slots.map(watched).collect();
        Self {
            began: Instant::now(),
            looks: workers.iter().map(|_| AtomicU64::new(0)).collect(),
            workers: Mutex::new(workers),
        }
    }

    /// The worker of this number owns a shard, and looks.
    pub(crate) fn note_owner(&self, worker: usize, now: Instant) {
        // The worker that is started at an abort has no entry.
        if let Some(look) = self.looks.get(worker) {
            look.store(self.micros(now), Relaxed);
        }
    }

    /// Looks at every slot, and passes the jobs of long calls to `hand_off`.
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

    /// Whether several owners look, so that each of them is watched by another.
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::config::Config;
    use crate::engine::in_flight::Call;
    use crate::engine::monitor_waker::MonitorWaker;
    use crate::engine::shard::Job;
    use crate::journal::Journal;
    use crate::lifecycle::accounting::Accounting;
    use crate::lifecycle::phase::Lifecycle;
    use crate::lifecycle::report::UserCode;

    fn job() -> OwnedJob {
        let life = Arc::new(Lifecycle::new(&Config::default()));
        let waiting = Accounting::new(life).waiting_gauge();
        Job::new(waiting, Arc::new(MonitorWaker::new()), Journal::unread()).unwrap()
    }

    fn begin(slot: &InFlight) {
        let call = Call::new(UserCode::Handler, None, Instant::now());
        slot.slot.begin_alone(call, Some(job()));
    }

    /// How many jobs a look at this time takes, while every core is busy.
    fn look(retake: &Retake, now: Instant) -> usize {
        let taken = Cell::new(0);
        retake.look(now, false, |_| taken.set(taken.get() + 1));
        taken.get()
    }

    fn one_worker() -> (Retake, Arc<InFlight>, Instant) {
        let slot = Arc::<InFlight>::default();
        let retake = Retake::new(std::iter::once(&slot));
        (retake, slot, Instant::now())
    }

    #[test]
    fn a_call_that_waits_loses_its_job_after_waits_max() {
        let (retake, slot, now) = one_worker();
        begin(&slot);
        assert_eq!(look(&retake, now), 0);
        let nearly = now + WAITS_MAX - Duration::from_nanos(1);
        assert_eq!(look(&retake, nearly), 0);
        assert_eq!(look(&retake, now + WAITS_MAX), 1);
        assert_eq!(look(&retake, now + 2 * COMPUTES_MAX), 0);
        assert!(slot.slot.finish().is_none());
    }

    #[test]
    fn a_call_that_is_over_keeps_its_job() {
        let (retake, slot, now) = one_worker();
        begin(&slot);
        assert_eq!(look(&retake, now), 0);
        assert!(slot.slot.finish().is_some());
        assert_eq!(look(&retake, now + COMPUTES_MAX), 0);
    }

    #[test]
    fn the_next_call_has_its_full_time() {
        let (retake, slot, now) = one_worker();
        begin(&slot);
        assert_eq!(look(&retake, now), 0);
        slot.slot.finish();
        begin(&slot);
        let later = now + COMPUTES_MAX;
        assert_eq!(look(&retake, later), 0, "it is seen for the first time");
        assert_eq!(look(&retake, later + WAITS_MAX), 1);
    }

    #[test]
    fn a_call_without_a_job_loses_nothing() {
        let (retake, slot, now) = one_worker();
        slot.begin_alone(UserCode::Drop, None);
        assert_eq!(look(&retake, now), 0);
        assert_eq!(look(&retake, now + COMPUTES_MAX), 0);
    }

    #[test]
    fn every_worker_that_is_held_up_loses_its_job() {
        let slots: Vec<_> = (0..3).map(|_| Arc::<InFlight>::default()).collect();
        let (retake, now) = (Retake::new(slots.iter()), Instant::now());
        begin(&slots[0]);
        begin(&slots[2]);
        assert_eq!(look(&retake, now), 0);
        begin(&slots[1]);
        assert_eq!(look(&retake, now + WAITS_MAX), 2);
        assert_eq!(look(&retake, now + 2 * WAITS_MAX), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_call_that_computes_keeps_its_job_for_longer() {
        let (retake, slot, now) = one_worker();
        // The slot belongs to this thread, which is running while it looks.
        slot.set_thread();
        begin(&slot);
        assert_eq!(look(&retake, now), 0);
        assert_eq!(look(&retake, now + WAITS_MAX), 0);
        let nearly = now + COMPUTES_MAX - Duration::from_nanos(1);
        assert_eq!(look(&retake, nearly), 0);
        assert_eq!(look(&retake, now + COMPUTES_MAX), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_call_that_computes_beside_an_idle_core_loses_its_job() {
        let (retake, slot, now) = one_worker();
        slot.set_thread();
        begin(&slot);
        assert_eq!(look(&retake, now), 0);
        let taken = Cell::new(0);
        retake.look(now + WAITS_MAX, true, |_| taken.set(taken.get() + 1));
        assert_eq!(taken.get(), 1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_call_that_waits_loses_its_job_before_one_that_computes() {
        let (retake, slot, now) = one_worker();
        let (end, ended) = mpsc::channel::<()>();
        let its_slot = Arc::clone(&slot);
        let worker = thread::spawn(move || {
            its_slot.set_thread();
            begin(&its_slot);
            assert!(ended.recv().is_err());
        });
        while slot.thread_is_running() != Some(false) || slot.slot.call().is_none() {
            thread::yield_now();
        }
        assert_eq!(look(&retake, now), 0);
        assert_eq!(look(&retake, now + WAITS_MAX), 1);
        drop(end);
        worker.join().unwrap();
    }

    #[test]
    fn a_look_does_not_wait_for_another_thread_that_looks() {
        let (retake, slot, now) = one_worker();
        begin(&slot);
        assert_eq!(look(&retake, now), 0);
        let other = retake.workers.lock().unwrap();
        assert_eq!(look(&retake, now + COMPUTES_MAX), 0);
        drop(other);
        assert_eq!(look(&retake, now + COMPUTES_MAX), 1);
    }

    #[test]
    fn owners_look_if_two_of_them_have_looked_lately() {
        let slots: Vec<_> = (0..2).map(|_| Arc::<InFlight>::default()).collect();
        let retake = Retake::new(slots.iter());
        let now = Instant::now() + Duration::from_secs(1);
        assert!(!retake.owners_look(now));
        retake.note_owner(0, now);
        assert!(!retake.owners_look(now), "no other owner would see it");
        retake.note_owner(0, now + LOOK_EVERY);
        assert!(!retake.owners_look(now + LOOK_EVERY));
        retake.note_owner(2, now + LOOK_EVERY);
        assert!(!retake.owners_look(now + LOOK_EVERY), "it has no number");
        retake.note_owner(1, now + LOOK_EVERY);
        assert!(retake.owners_look(now + LOOK_EVERY));
        assert!(!retake.owners_look(now + LOOK_EVERY + AWAKE));
    }
}
