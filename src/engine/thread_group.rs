//! Threads for code of the application beside the workers: functions that write
//! a body, take-overs, and what an abort leaves to be dropped. They are named,
//! owned, and joined as the others are.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use super::deferred::Deferred;
use super::deferred::Subject;
use super::in_flight::InFlight;
use super::threads::Thread;
use crate::drain::phase::Lifecycle;
use crate::drain::report::UserCode;
use crate::isolate::isolate;
use crate::journal::Journal;
use crate::journal::note;

/// How many threads run what an abort leaves. If all of them block, the rest
/// does not run, and the report names it.
const DEFERRED_THREADS: usize = 16;

/// What had no thread to run on. Its drop may run code of the application.
pub(crate) type Unstarted = Box<dyn Send>;

#[derive(Debug)]
pub(crate) struct ThreadGroup {
    life: Arc<Lifecycle>,
    journal: Arc<Journal>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    threads: Vec<Thread>,
    /// What aborts have left, for the threads that run it.
    deferred: VecDeque<Deferred>,
}

/// What is left of a crew at the end.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) threads: Vec<Thread>,
    /// What no thread has come to run.
    pub(crate) deferred: VecDeque<Deferred>,
}

impl ThreadGroup {
    pub(crate) fn new(life: Arc<Lifecycle>, journal: Arc<Journal>) -> Arc<Self> {
        Arc::new(Self {
            life,
            journal,
            state: Mutex::default(),
        })
    }

    /// Runs code of the application on a thread of its own.
    ///
    /// # Errors
    ///
    /// There is no thread to be had: `f` is handed back, not dropped.
    pub(crate) fn spawn(
        &self,
        name: &str,
        code: UserCode,
        subject: Subject,
        f: impl FnOnce(&Arc<InFlight>) + Send + 'static,
    ) -> Result<(), Unstarted> {
        let slot = Arc::<InFlight>::default();
        slot.begin_alone(code, Some(subject));
        let (its_slot, journal) = (Arc::clone(&slot), Arc::clone(&self.journal));
        let started = Thread::spawn(name, &self.life, slot, move || {
            if isolate(|| f(&its_slot)).is_err() {
                note!(journal, Error, "{code} panicked");
            }
        });
        match started {
            Ok(thread) => {
                let threads = &mut self.lock().threads;
                // An ended thread needs no join: only thread-locals are left of
                // it, whose drops may block.
                threads.retain(|thread| !thread.has_ended());
                threads.push(thread);
                Ok(())
            }
            Err((error, f)) => {
                note!(
                    self.journal,
                    Error,
                    "cannot start the thread {name}: {error}"
                );
                Err(Box::new(f))
            }
        }
    }

    /// Runs what an abort has left of connections, where it can block without
    /// holding up the stop.
    pub(crate) fn run_deferred(self: &Arc<Self>, deferred: Vec<Deferred>) {
        let subjects: Vec<Subject> = deferred
            .iter()
            .take(DEFERRED_THREADS)
            .map(|deferred| deferred.subject.clone())
            .collect();
        self.lock().deferred.extend(deferred);
        for subject in subjects {
            let group = Arc::clone(self);
            let run_all = move |slot: &Arc<InFlight>| {
                while let Some(next) = group.next_deferred() {
                    slot.run_alone(next, &group.journal);
                }
            };
            if self
                .spawn("farewell-drop", UserCode::Drop, subject, run_all)
                .is_err()
            {
                return;
            }
        }
    }

    fn next_deferred(&self) -> Option<Deferred> {
        self.lock().deferred.pop_front()
    }

    /// Every thread that may still run.
    pub(crate) fn take_threads(&self) -> Vec<Thread> {
        mem::take(&mut self.lock().threads)
    }

    /// Every thread that may still run, and what none has run.
    pub(crate) fn take_left(&self) -> Left {
        let State { threads, deferred } = mem::take(&mut *self.lock());
        Left { threads, deferred }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
