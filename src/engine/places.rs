//! Places for connections: as many as may be open at a time. The acceptor
//! takes one for each connection that it accepts, and only the close of the
//! socket gives it back. So at the limit the acceptor sleeps until a connection
//! closes, whatever else happens on the others.

use std::time::Instant;

use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::PoisonError;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::SeqCst;
use crate::waiting::wait_until;

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    max: usize,
    taken: AtomicUsize,
    /// The acceptor waits. Only it does.
    awaited: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            taken: AtomicUsize::new(0),
            awaited: AtomicBool::new(false),
            lock: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(SeqCst)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.taken() < self.max
    }

    /// Takes a place. Only the acceptor does, and it has seen that there is one.
    pub(crate) fn take(self: &Arc<Self>) -> Place {
        self.taken.fetch_add(1, SeqCst);
        Place(Arc::clone(self))
    }

    /// Waits until `condition` holds, or until `deadline`. It is asked whenever
    /// a place is given back, and at every [`ask_again`](Self::ask_again).
    pub(crate) fn wait(&self, deadline: Option<Instant>, mut condition: impl FnMut() -> bool) {
        // Before the condition is asked: a connection that closes first gives
        // its place back, and then looks whether the acceptor waits.
        self.awaited.store(true, SeqCst);
        wait_until(&self.changed, self.guard(), deadline, |()| condition());
        self.awaited.store(false, SeqCst);
    }

    /// Has the acceptor look again: the server stops, say.
    pub(crate) fn ask_again(&self) {
        if self.awaited.load(SeqCst) {
            // Under the lock, so that it is not between asking and waiting.
            drop(self.guard());
            self.changed.notify_all();
        }
    }

    fn guard(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place. Its drop, after that of the socket, gives it back.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        self.0.ask_again();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_place_that_is_given_back_wakes_the_acceptor() {
        let places = Places::new(1);
        let place = places.take();
        assert!(!places.has_room());
        thread::scope(|scope| {
            let acceptor = scope.spawn(|| places.wait(None, || places.has_room()));
            drop(place);
            acceptor.join().unwrap();
        });
        assert!(!places.awaited.load(SeqCst));
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn the_acceptor_looks_again_when_it_is_told_to() {
        let (places, stops) = (Places::new(1), AtomicBool::new(false));
        let _place = places.take();
        thread::scope(|scope| {
            let acceptor =
                scope.spawn(|| places.wait(None, || places.has_room() || stops.load(SeqCst)));
            stops.store(true, SeqCst);
            places.ask_again();
            acceptor.join().unwrap();
        });
    }
}
