//! The threads of a server: every one named, owned, and joined, in bounded
//! time.

use std::io;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use super::in_flight::InFlight;
use crate::drain::phase::Lifecycle;
use crate::waiting::wait_until_closed;

/// One thread, and its slot.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: JoinHandle<()>,
    slot: Arc<InFlight>,
}

/// Says that a thread ends, however it does.
struct Ending {
    life: Arc<Lifecycle>,
    slot: Arc<InFlight>,
    returned: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.returned {
            let thread = thread::current();
            self.life.fail(thread.name().unwrap_or("without a name"));
        }
        self.slot.set_ended();
        self.life.notify();
    }
}

impl Thread {
    /// Starts a thread. One that panics ends the server: nothing takes over
    /// what it did, and a server that only looks alive is worse than none.
    pub(crate) fn spawn(
        name: &str,
        life: &Arc<Lifecycle>,
        slot: Arc<InFlight>,
        f: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let mut ending = Ending {
            life: Arc::clone(life),
            slot: Arc::clone(&slot),
            returned: false,
        };
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // All of it: to capture one field would leave the drop here.
                let ending = &mut ending;
                // This drops what `f` holds, before the thread counts as ended.
                f();
                ending.returned = true;
            })?;
        Ok(Self { handle, slot })
    }

    pub(crate) fn slot(&self) -> &Arc<InFlight> {
        &self.slot
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.slot.has_ended()
    }
}

/// Joins threads that have ended, for so long at most. Gives how many could not
/// be joined.
///
/// A thread that has ended drops its thread-locals before it can be joined.
/// These may be the application's, and block: so a thread of its own joins.
pub(crate) fn join_ended(threads: Vec<Thread>, timeout: Duration) -> usize {
    let count = threads.len();
    let (joined, all_joined) = crossbeam_channel::bounded(count.max(1));
    let join_all = move || {
        for thread in threads {
            // A panic has been noted by `Ending`.
            let _ = thread.handle.join();
            let _ = joined.send(());
        }
    };
    let joiner = thread::Builder::new().name("farewell-join".to_owned());
    if joiner.spawn(join_all).is_err() {
        return count;
    }
    count - wait_until_closed(&all_joined, Instant::now() + timeout)
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::Mutex;

    use super::*;
    use crate::drain::phase::Phase;
    use crate::drain::phase::Trigger;

    const SECOND: Duration = Duration::from_secs(1);

    fn life() -> Arc<Lifecycle> {
        Arc::new(Lifecycle::new(Duration::ZERO, SECOND))
    }

    #[test]
    fn a_thread_that_panics_stops_the_server() {
        let life = life();
        let panics = || panic!("as the test wishes");
        let thread = Thread::spawn("test-panics", &life, Arc::default(), panics).unwrap();
        life.wait_for_phase(Phase::Draining, None);
        assert_eq!(life.log().trigger.unwrap().0, Trigger::Failure);
        assert_eq!(life.failed_thread(), Some("test-panics"));
        life.wait(None, || thread.has_ended());
        assert_eq!(join_ended(vec![thread], 60 * SECOND), 0);
    }

    #[test]
    fn a_thread_that_returns_does_not() {
        let life = life();
        let thread = Thread::spawn("test-returns", &life, Arc::default(), || ()).unwrap();
        life.wait(None, || thread.has_ended());
        assert_eq!(join_ended(vec![thread], 60 * SECOND), 0);
        assert_eq!(life.phase(), Phase::Running);
        assert_eq!(life.failed_thread(), None);
    }

    /// Blocks when it is dropped, until it is told to go on.
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
    fn a_thread_local_that_blocks_holds_up_no_join() {
        let life = life();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let blocks = BlocksInDrop(Arc::clone(&gate));
        let f = move || LOCAL.with(|local| *local.lock().unwrap() = Some(blocks));
        let thread = Thread::spawn("test-local", &life, Arc::default(), f).unwrap();
        life.wait(None, || thread.has_ended());
        assert_eq!(join_ended(vec![thread], Duration::from_millis(10)), 1);
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
    }
}
