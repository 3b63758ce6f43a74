//! What wakes the [monitor](super::monitor): a call that begins while it sleeps,
//! and a deadline that is earlier than the others.
//!
//! The monitor says that it sleeps, and then looks whether a call is in progress.
//! A worker first makes its call known ([`Slot`](super::slot::Slot)), and then
//! looks whether the monitor sleeps. So the monitor sees the call, or the worker
//! sees that the monitor sleeps.

use std::time::Instant;

use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::PoisonError;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::SeqCst;
use crate::sync::thread;
use crate::sync::thread::Thread;

/// See the module.
#[derive(Debug)]
pub(crate) struct Bell {
    asleep: AtomicBool,
    /// The monitor's, once it runs.
    thread: Mutex<Option<Thread>>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    /// The calling thread is the monitor's.
    pub(crate) fn answer(&self) {
        *self.lock() = Some(thread::current());
    }

    /// Wakes the monitor, whatever it waits for.
    pub(crate) fn ring(&self) {
        if let Some(thread) = &*self.lock() {
            thread.unpark();
        }
    }

    /// Wakes the monitor if it sleeps because no call is in progress.
    pub(crate) fn ring_if_asleep(&self) {
        if self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst) {
            self.ring();
        }
    }

    /// The monitor sleeps until a call begins, until `until`, or until the next
    /// [`ring`](Self::ring); not at all if `has_call` says that one has begun. Says
    /// whether a call has ended the sleep.
    pub(crate) fn sleep(&self, until: Option<Instant>, has_call: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, SeqCst);
        let has_call = has_call();
        if !has_call {
            match until {
                Some(until) => {
                    thread::park_timeout(until.saturating_duration_since(Instant::now()));
                }
                None => thread::park(),
            }
        }
        // Only a call clears it.
        let was_called = !self.asleep.swap(false, SeqCst);
        has_call || was_called
    }

    fn lock(&self) -> MutexGuard<'_, Option<Thread>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sync::Arc;

    /// A thread that sleeps at the bell, until it has been woken: by a call?
    fn sleeper(bell: &Arc<Bell>) -> thread::JoinHandle<bool> {
        let (its_bell, (answers, answered)) = (Arc::clone(bell), mpsc::channel());
        let thread = thread::spawn(move || {
            its_bell.answer();
            answers.send(()).unwrap();
            its_bell.sleep(None, || false)
        });
        answered.recv().unwrap();
        thread
    }

    fn wait_asleep(bell: &Bell) {
        while !bell.asleep.load(SeqCst) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_call_that_begins_wakes_a_monitor_that_sleeps() {
        let bell = Arc::new(Bell::new());
        let monitor = sleeper(&bell);
        wait_asleep(&bell);
        bell.ring_if_asleep();
        assert!(monitor.join().unwrap());
        assert!(!bell.asleep.load(SeqCst), "the next call does not ring");
    }

    #[test]
    fn any_other_ring_wakes_it_too() {
        let bell = Arc::new(Bell::new());
        let monitor = sleeper(&bell);
        wait_asleep(&bell);
        bell.ring();
        assert!(!monitor.join().unwrap(), "no call has begun");
    }

    #[test]
    fn a_ring_that_comes_before_the_sleep_ends_it_at_once() {
        let bell = Bell::new();
        bell.answer();
        bell.ring();
        assert!(!bell.sleep(None, || false));
        assert!(!bell.asleep.load(SeqCst));
    }

    #[test]
    fn a_call_that_has_begun_is_slept_through_by_no_monitor() {
        let bell = Bell::new();
        bell.answer();
        assert!(bell.sleep(None, || true));
        assert!(!bell.asleep.load(SeqCst));
    }

    #[test]
    fn a_deadline_ends_the_sleep() {
        let bell = Bell::new();
        bell.answer();
        let now = Instant::now();
        assert!(!bell.sleep(Some(now), || false));
        assert!(!bell.sleep(Some(now + Duration::from_millis(1)), || false));
    }
}
