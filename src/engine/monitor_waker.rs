//! Wakes the [monitor](super::monitor): when a call begins while the monitor sleeps,
//! and when a deadline is added that is earlier than all others.
//!
//! The monitor sets the flag `asleep`, and then checks whether a call is in
//! progress. A worker first puts its call into its [`InFlightSlot`](super::in_flight_slot::InFlightSlot), and
//! then reads `asleep`. So the monitor sees the call, or the worker sees that the
//! monitor sleeps.

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
pub(crate) struct MonitorWaker {
    asleep: AtomicBool,
    /// The monitor's thread, once it runs.
    thread: Mutex<Option<Thread>>,
}

impl MonitorWaker {
    pub(crate) fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
            thread: Mutex::new(None),
        }
    }

    /// The calling thread is the monitor's: it is the thread to wake.
    pub(crate) fn register_thread(&self) {
        *self.lock() = Some(thread::current());
    }

    /// Wakes the monitor, whatever it waits for.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*self.lock() {
            thread.unpark();
        }
    }

    /// Wakes the monitor if it sleeps because no call is in progress.
    pub(crate) fn wake_if_asleep(&self) {
        if self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// Called by the monitor: sleeps until a call begins, until `until`, or until the
    /// next [`wake`](Self::wake). Does not sleep if `has_call` returns true. Returns
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

    /// A thread that sleeps as the monitor does. It returns whether a call has woken
    /// it.
    fn sleeper(waker: &Arc<MonitorWaker>) -> thread::JoinHandle<bool> {
        let (its_waker, (answers, answered)) = (Arc::clone(waker), mpsc::channel());
        let thread = thread::spawn(move || {
            its_waker.register_thread();
            answers.send(()).unwrap();
            its_waker.sleep(None, || false)
        });
        answered.recv().unwrap();
        thread
    }

    fn wait_asleep(waker: &MonitorWaker) {
        while !waker.asleep.load(SeqCst) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_call_that_begins_wakes_a_monitor_that_sleeps() {
        let waker = Arc::new(MonitorWaker::new());
        let monitor = sleeper(&waker);
        wait_asleep(&waker);
        waker.wake_if_asleep();
        assert!(monitor.join().unwrap());
        assert!(!waker.asleep.load(SeqCst), "the next call does not wake it");
    }

    #[test]
    fn any_other_wake_wakes_it_too() {
        let waker = Arc::new(MonitorWaker::new());
        let monitor = sleeper(&waker);
        wait_asleep(&waker);
        waker.wake();
        assert!(!monitor.join().unwrap(), "no call has begun");
    }

    #[test]
    fn a_wake_before_the_sleep_ends_it_at_once() {
        let waker = MonitorWaker::new();
        waker.register_thread();
        waker.wake();
        assert!(!waker.sleep(None, || false));
        assert!(!waker.asleep.load(SeqCst));
    }

    #[test]
    fn the_monitor_does_not_sleep_while_a_call_is_in_progress() {
        let waker = MonitorWaker::new();
        waker.register_thread();
        assert!(waker.sleep(None, || true));
        assert!(!waker.asleep.load(SeqCst));
    }

    #[test]
    fn a_deadline_ends_the_sleep() {
        let waker = MonitorWaker::new();
        waker.register_thread();
        let now = Instant::now();
        assert!(!waker.sleep(Some(now), || false));
        assert!(!waker.sleep(Some(now + Duration::from_millis(1)), || false));
    }
}
