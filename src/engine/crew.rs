//! Threads that run the user's code beside the workers: whoever writes a body,
//! whoever has taken a connection over. They are named, owned, and joined as
//! the others are.

use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::drain::phase::Lifecycle;

#[derive(Debug)]
pub(crate) struct Crew {
    life: Arc<Lifecycle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    running: Arc<AtomicUsize>,
}

impl Crew {
    pub(crate) fn new(life: Arc<Lifecycle>) -> Self {
        Self {
            life,
            threads: Mutex::default(),
            running: Arc::default(),
        }
    }

    /// Runs `f` on a thread of its own. If there is none to be had, `f` is
    /// dropped, and whoever waits for it has to find that out by its drop.
    pub(crate) fn start(&self, name: &str, f: impl FnOnce() + Send + 'static) {
        let running = Running {
            life: Arc::clone(&self.life),
            running: Arc::clone(&self.running),
        };
        self.running.fetch_add(1, SeqCst);
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _running = running;
            if panic::catch_unwind(AssertUnwindSafe(f)).is_err() {
                let thread = thread::current();
                log::error!("{} panicked", thread.name().unwrap_or_default());
            }
        });
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are joined at once, so their handles do not pile up.
        let mut index = 0;
        while index < threads.len() {
            if threads[index].is_finished() {
                super::staff::join(threads.swap_remove(index));
            } else {
                index += 1;
            }
        }
        match started {
            Ok(thread) => threads.push(thread),
            Err(error) => log::error!("cannot start the thread {name}: {error}"),
        }
    }

    /// Joins everyone, waiting until `deadline` at most. Says how many do not
    /// come to an end.
    pub(crate) fn join(&self, deadline: Instant) -> usize {
        let all_done = || self.running.load(SeqCst) == 0;
        let all_done = self.life.wait(Some(deadline), all_done);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = 0;
        for thread in threads {
            if all_done || thread.is_finished() {
                super::staff::join(thread);
            } else {
                left += 1;
            }
        }
        left
    }
}

/// Says that a thread has ended, or that it never began.
struct Running {
    life: Arc<Lifecycle>,
    running: Arc<AtomicUsize>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.fetch_sub(1, SeqCst);
        self.life.notify();
    }
}
