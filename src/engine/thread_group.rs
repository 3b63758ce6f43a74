//! Threads for code of the application, in addition to the workers. They run functions
//! that write a body, functions of upgraded connections, and code that an abort has
//! deferred. Like all threads of the server, they are named, owned and joined.

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
use crate::isolate::isolate;
use crate::journal::Journal;
use crate::journal::note;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::report::UserCode;

/// How many threads run the code that an abort has deferred. If all of them block, the
/// rest of that code does not run, and the report names it.
const DEFERRED_THREADS_MAX: usize = 16;

/// A function whose thread could not be started. Its drop may run code of the
/// application.
pub(crate) type Unstarted = Box<dyn Send>;

/// See the module.
#[derive(Debug)]
pub(crate) struct ThreadGroup {
    life: Arc<Lifecycle>,
    journal: Arc<Journal>,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    threads: Vec<Thread>,
    /// Code that an abort has deferred, and that no thread has taken yet.
    deferred: VecDeque<Deferred>,
    /// How many threads run deferred code.
    deferred_threads: usize,
}

/// What is not finished when the server ends.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// The threads that may still run.
    pub(crate) threads: Vec<Thread>,
    /// Code that no thread has run.
    pub(crate) deferred: VecDeque<Deferred>,
}

impl ThreadGroup {
    pub(crate) fn new(life: Arc<Lifecycle>, journal: Arc<Journal>) -> Arc<Self> {
        Arc::new(Self {
            life,
            journal,
            members: Mutex::default(),
        })
    }

    /// Runs code of the application on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system cannot start a thread. `f` is handed back, not dropped.
    pub(crate) fn spawn(
        &self,
        name: &str,
        code: UserCode,
        subject: Subject,
        f: impl FnOnce(&Arc<InFlight>) + Send + 'static,
    ) -> Result<(), Unstarted> {
        let slot = Arc::<InFlight>::default();
        slot.begin_alone(code, Some(subject));
        let (thread_slot, journal) = (Arc::clone(&slot), Arc::clone(&self.journal));
        let started = Thread::spawn(name, &self.life, slot, move || {
            if isolate(|| f(&thread_slot)).is_err() {
                note!(journal, Error, "{code} panicked");
            }
        });
        match started {
            Ok(thread) => {
                let threads = &mut self.lock().threads;
                // A thread that has ended is not joined: it may still drop its
                // thread-locals, and these drops may block.
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

    /// Runs code that an abort has deferred, on threads of its own: there it may block
    /// without a delay for the stop.
    pub(crate) fn run_deferred(self: &Arc<Self>, deferred: Vec<Deferred>) {
        let subjects: Vec<Subject> = {
            let mut members = self.lock();
            members.deferred.extend(deferred);
            let count = DEFERRED_THREADS_MAX - members.deferred_threads;
            let waiting = members.deferred.iter().take(count);
            let subjects: Vec<_> = waiting.map(|deferred| deferred.subject.clone()).collect();
            members.deferred_threads += subjects.len();
            subjects
        };
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
                self.lock().deferred_threads -= 1;
            }
        }
    }

    /// The next code for a thread of [`run_deferred`](Self::run_deferred). `None`: the
    /// thread ends.
    fn next_deferred(&self) -> Option<Deferred> {
        let mut members = self.lock();
        let next = members.deferred.pop_front();
        if next.is_none() {
            members.deferred_threads -= 1;
        }
        next
    }

    /// Takes the threads that may still run.
    pub(crate) fn take_threads(&self) -> Vec<Thread> {
        mem::take(&mut self.lock().threads)
    }

    /// Takes the threads that may still run, and the code that no thread has run.
    pub(crate) fn take_unfinished(&self) -> Unfinished {
        let mut members = self.lock();
        Unfinished {
            threads: mem::take(&mut members.threads),
            deferred: mem::take(&mut members.deferred),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
