//! The threads of a server. Each is named, owned, and joined in bounded time.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::RecvTimeoutError;

use super::in_flight::InFlight;
use crate::lifecycle::phase::Lifecycle;

/// How long one join may take before another thread is started for the rest.
const SLOW_JOIN: Duration = Duration::from_millis(10);

/// A thread, and its slot.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: JoinHandle<()>,
    slot: Arc<InFlight>,
}

/// The drop marks the thread as ended, whether the thread returned or panicked.
struct EndGuard {
    life: Arc<Lifecycle>,
    slot: Arc<InFlight>,
    has_returned: bool,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        if !self.has_returned {
            let thread = thread::current();
            self.life.fail(thread.name().unwrap_or("without a name"));
        }
        self.slot.set_ended();
        self.life.notify();
    }
}

impl Thread {
    /// Starts a thread. A thread that panics stops the server, because no other thread
    /// does its work.
    ///
    /// # Errors
    ///
    /// The system cannot start a thread. `f` is handed back, not dropped: it may hold
    /// values of the application.
    pub(crate) fn spawn<F>(
        name: &str,
        life: &Arc<Lifecycle>,
        slot: Arc<InFlight>,
        f: F,
    ) -> Result<Self, (io::Error, Option<F>)>
    where
        F: FnOnce() + Send + 'static,
    {
        // Shared with the thread, so that `f` can be handed back if the thread does not
        // start.
        let task = Arc::new(Mutex::new(Some(f)));
        let take =
            |task: &Mutex<Option<F>>| task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread_task = Arc::clone(&task);
        let (thread_life, thread_slot) = (Arc::clone(life), Arc::clone(&slot));
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Created on the thread: a thread that does not start does not end.
            let mut end_guard = EndGuard {
                life: thread_life,
                slot: thread_slot,
                has_returned: false,
            };
            // This also drops what `f` holds, before the thread is marked as ended.
            if let Some(f) = take(&thread_task) {
                f();
            }
            end_guard.has_returned = true;
        });
        match started {
            Ok(handle) => Ok(Self { handle, slot }),
            Err(error) => Err((error, take(&task))),
        }
    }

    pub(crate) fn slot(&self) -> &Arc<InFlight> {
        &self.slot
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.slot.has_ended()
    }
}

/// Joins threads that are marked as ended, until `end` at most. Returns how many could
/// not be joined.
///
/// Such a thread still drops its thread-locals before it can be joined. They may
/// belong to the application, and their drops may block. So the joins run on threads
/// of their own, and another such thread is started whenever a join is slow.
pub(crate) fn join_ended(threads: Vec<Thread>, end: Instant) -> usize {
    let count = threads.len();
    let (sender, to_join) = crossbeam_channel::unbounded();
    for thread in threads {
        // The receiver exists, so the send does not fail.
        let _ = sender.send(thread);
    }
    drop(sender);
    let (joined, joined_threads) = crossbeam_channel::unbounded();
    let start_joiner = || {
        let (to_join, joined) = (to_join.clone(), joined.clone());
        let join_all = move || {
            for thread in to_join {
                // `EndGuard` has reported a panic already.
                let _ = thread.handle.join();
                let _ = joined.send(());
            }
        };
        let joiner = thread::Builder::new().name("farewell-join".to_owned());
        joiner.spawn(join_all).is_ok()
    };
    let mut left = count;
    let mut can_join = start_joiner();
    while left > 0 && can_join {
        let left_until_end = end.saturating_duration_since(Instant::now());
        match joined_threads.recv_timeout(left_until_end.min(SLOW_JOIN)) {
            Ok(()) => left -= 1,
            Err(RecvTimeoutError::Timeout) if !left_until_end.is_zero() => {
                can_join = to_join.is_empty() || start_joiner();
            }
            Err(_) => can_join = false,
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use super::*;
    use crate::config::Config;
    use crate::lifecycle::phase::Phase;
    use crate::lifecycle::phase::Trigger;

    const SECOND: Duration = Duration::from_secs(1);

    fn life() -> Arc<Lifecycle> {
        Arc::new(Lifecycle::new(&Config::default()))
    }

    fn start(name: &str, life: &Arc<Lifecycle>, f: impl FnOnce() + Send + 'static) -> Thread {
        match Thread::spawn(name, life, Arc::default(), f) {
            Ok(thread) => thread,
            Err((error, _)) => panic!("{name}: {error}"),
        }
    }

    fn after(time: Duration) -> Instant {
        Instant::now() + time
    }

    #[test]
    fn a_thread_that_panics_stops_the_server() {
        let life = life();
        let panics = || panic!("on purpose");
        let thread = start("test-panics", &life, panics);
        life.wait_for_phase(Phase::Draining, None);
        assert_eq!(life.history().trigger.unwrap().0, Trigger::Failure);
        assert_eq!(life.failed_thread(), Some("test-panics"));
        life.wait(None, || thread.has_ended());
        assert_eq!(join_ended(vec![thread], after(60 * SECOND)), 0);
    }

    #[test]
    fn a_thread_that_returns_does_not_stop_the_server() {
        let life = life();
        let thread = start("test-returns", &life, || ());
        life.wait(None, || thread.has_ended());
        assert_eq!(join_ended(vec![thread], after(60 * SECOND)), 0);
        assert_eq!(life.phase(), Phase::Running);
        assert_eq!(life.failed_thread(), None);
    }

    /// A value whose drop blocks until the gate is open.
    struct BlocksInDrop(Arc<(Mutex<bool>, Condvar)>);

    impl Drop for BlocksInDrop {
        fn drop(&mut self) {
            let (open, changed) = &*self.0;
            let guard = open.lock().unwrap();
            drop(changed.wait_while(guard, |open| !*open).unwrap());
        }
    }

    thread_local! {
        static LOCAL: Mutex<Option<BlocksInDrop>> = const { Mutex::new(None) };
    }

    #[test]
    fn a_thread_local_that_blocks_does_not_delay_other_joins() {
        let life = life();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let blocks = BlocksInDrop(Arc::clone(&gate));
        let f = move || LOCAL.with(|local| *local.lock().unwrap() = Some(blocks));
        let blocked = start("test-local", &life, f);
        let thread = start("test-returns", &life, || ());
        life.wait(None, || blocked.has_ended() && thread.has_ended());
        assert_eq!(join_ended(vec![blocked, thread], after(SECOND)), 1);
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
    }
}
