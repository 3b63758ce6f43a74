//! Threads for code of the application beside the workers: functions that write
//! a body, take-overs, and what an abort leaves to be dropped. They are named,
//! owned, and joined as the others are.

use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use super::in_flight::Deferred;
use super::in_flight::InFlight;
use super::in_flight::Subject;
use super::threads::Thread;
use crate::drain::phase::Lifecycle;
use crate::drain::report::UserCode;
use crate::isolate::isolate;
use crate::journal::Journal;
use crate::journal::note;

/// How many threads drop what an abort leaves. If all of them block, the rest
/// is leaked.
const DEFERRED_THREADS: usize = 16;

#[derive(Debug)]
pub(crate) struct Crew {
    life: Arc<Lifecycle>,
    journal: Arc<Journal>,
    threads: Mutex<Vec<Thread>>,
}

impl Crew {
    pub(crate) fn new(life: Arc<Lifecycle>, journal: Arc<Journal>) -> Self {
        Self {
            life,
            journal,
            threads: Mutex::default(),
        }
    }

    /// Runs code of the application on a thread of its own.
    ///
    /// # Errors
    ///
    /// There is no thread to be had: `f` is handed back, not dropped, since its
    /// drop may run code of the application too.
    pub(crate) fn start<F>(
        &self,
        name: &str,
        code: UserCode,
        subject: Subject,
        f: F,
    ) -> Result<(), F>
    where
        F: FnOnce(&Arc<InFlight>) + Send + 'static,
    {
        let slot = Arc::<InFlight>::default();
        slot.begin(code, Some(subject));
        // Shared with the thread, so that it is still here if none starts.
        let task = Arc::new(Mutex::new(Some(f)));
        let (own, here, journal) = (
            Arc::clone(&task),
            Arc::clone(&slot),
            Arc::clone(&self.journal),
        );
        let started = Thread::spawn(name, &self.life, slot, move || {
            let f = own.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(f) = f
                && isolate(|| f(&here)).is_err()
            {
                note!(journal, Error, "{code} panicked");
            }
        });
        match started {
            Ok(thread) => {
                let mut threads = self.lock();
                // An ended thread needs no join: only thread-locals are left of
                // it, whose drops may block.
                threads.retain(|thread| !thread.has_ended());
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                note!(
                    self.journal,
                    Error,
                    "cannot start the thread {name}: {error}"
                );
                let f = task.lock().unwrap_or_else(PoisonError::into_inner).take();
                f.map_or(Ok(()), Err)
            }
        }
    }

    /// Runs what an abort has left of connections, where it can block without
    /// holding up the stop.
    pub(crate) fn run_deferred(&self, deferred: Vec<Deferred>) {
        if deferred.is_empty() {
            return;
        }
        let count = deferred.len().min(DEFERRED_THREADS);
        let (sender, queue) = crossbeam_channel::unbounded();
        for (number, next) in deferred.into_iter().enumerate() {
            if number < count {
                let (queue, subject) = (queue.clone(), next.subject().clone());
                let started = self.start("farewell-drop", UserCode::Drop, subject, move |slot| {
                    // A panic of one is no reason to leave out the others.
                    let _ = next.run(slot);
                    for next in queue {
                        let _ = Deferred::run(next, slot);
                    }
                });
                // Dropped here, it could block.
                if let Err(unstarted) = started {
                    mem::forget(unstarted);
                }
            } else if let Err(unsent) = sender.send(next) {
                mem::forget(unsent);
            }
        }
        // With no thread left to receive, the drop of the last end of the
        // channel would drop what is queued.
        mem::forget(queue);
    }

    /// Every thread that may still run.
    pub(crate) fn take_threads(&self) -> Vec<Thread> {
        mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
