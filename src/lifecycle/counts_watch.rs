//! Wakes the threads that wait for a count to change. While no thread waits, a
//! change costs one atomic load.

use std::time::Instant;

use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::PoisonError;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::SeqCst;
use crate::waiting::wait_until;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct CountsWatch {
    watchers: AtomicUsize,
    /// Grows with every change that a watcher may not have seen.
    version: Mutex<u64>,
    changed: Condvar,
}

impl CountsWatch {
    /// Wakes the threads that wait, after a count has changed.
    ///
    /// The caller changes the count before this call, and a watcher increments
    /// `watchers` before it reads the count. All four steps are `SeqCst`: either
    /// the watcher sees the change, or this call sees the watcher.
    pub(crate) fn changed(&self) {
        if self.watchers.load(SeqCst) > 0 {
            *self.lock() += 1;
            self.changed.notify_all();
        }
    }

    /// Waits until `condition` holds, or until `deadline`. Returns whether it
    /// holds.
    ///
    /// `condition` is checked after every change, with no lock held: it may block,
    /// call the server, or panic, and holds up no other thread.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        mut condition: impl FnMut() -> bool,
    ) -> bool {
        let _watcher = Watcher::new(self);
        loop {
            let seen = *self.lock();
            if condition() {
                return true;
            }
            let has_changed = |version: &u64| *version != seen;
            if !wait_until(&self.changed, self.lock(), deadline, has_changed) {
                return false;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one thread that waits, until its drop, also when a condition panics.
struct Watcher<'a>(&'a CountsWatch);

impl<'a> Watcher<'a> {
    fn new(watch: &'a CountsWatch) -> Self {
        watch.watchers.fetch_add(1, SeqCst);
        Self(watch)
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::panic;
    use std::panic::AssertUnwindSafe;
    use std::thread;

    use super::*;

    #[test]
    fn a_watcher_wakes_for_a_change_and_for_its_deadline() {
        let (watch, count) = (CountsWatch::default(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let watcher = scope.spawn(|| watch.wait(None, || count.load(SeqCst) == 1));
            count.store(1, SeqCst);
            watch.changed();
            assert!(watcher.join().unwrap());
        });
        assert!(!watch.wait(Some(Instant::now()), || false));
    }

    #[test]
    fn a_condition_that_panics_leaves_no_watcher_behind() {
        let watch = CountsWatch::default();
        let panics = || watch.wait(None, || panic!("on purpose"));
        assert!(panic::catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(watch.watchers.load(SeqCst), 0);
        assert!(watch.wait(None, || true));
    }

    #[test]
    fn a_condition_runs_without_a_lock() {
        let watch = CountsWatch::default();
        let mut asked = 0;
        let met = watch.wait(None, || {
            // With a lock held this would deadlock.
            watch.changed();
            asked += 1;
            asked == 2
        });
        assert!(met);
    }
}
