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
    /// [`ring`](Self::ring); not at all if `has_call` says that one has begun.
    pub(crate) fn sleep(&self, until: Option<Instant>, has_call: impl FnOnce() -> bool) {
        self.asleep.store(true, SeqCst);
        if !has_call() {
            match until {
                Some(until) => {
                    thread::park_timeout(until.saturating_duration_since(Instant::now()));
                }
                None => thread::park(),
            }
        }
        self.asleep.store(false, SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Thread>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
