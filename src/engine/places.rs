//! Places for connections, as many as may be open at a time. The acceptor takes a
//! place for each connection, and only the close of the socket gives it back. So at
//! the limit the acceptor sleeps until a connection closes. Requests and answers on
//! the open connections do not wake it.

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
    /// The acceptor is in [`wait`](Self::wait). No other thread calls it.
    acceptor_waits: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            taken: AtomicUsize::new(0),
            acceptor_waits: AtomicBool::new(false),
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

    /// Takes a place. Only the acceptor calls this, and it has checked that there
    /// is one.
    pub(crate) fn take(self: &Arc<Self>) -> Place {
        self.taken.fetch_add(1, SeqCst);
        Place(Arc::clone(self))
    }

    /// Waits until `condition` holds, or until `deadline`. The condition is checked
    /// whenever a place is given back, and at every
    /// [`wake_acceptor`](Self::wake_acceptor).
    pub(crate) fn wait(&self, deadline: Option<Instant>, mut condition: impl FnMut() -> bool) {
        // Set before the condition is checked. A connection that closes gives its place
        // back, and then reads this flag; so the acceptor sees the place, or the
        // connection sees the flag.
        self.acceptor_waits.store(true, SeqCst);
        wait_until(&self.changed, self.guard(), deadline, |()| condition());
        self.acceptor_waits.store(false, SeqCst);
    }

    /// Makes the acceptor check its condition again, for instance when the server
    /// stops.
    pub(crate) fn wake_acceptor(&self) {
        if self.acceptor_waits.load(SeqCst) {
            // The lock is taken, so that the acceptor is not between its check and its
            // wait.
            drop(self.guard());
            self.changed.notify_all();
        }
    }

    fn guard(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place. The drop gives the place back; the socket is dropped before
/// it.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        self.0.wake_acceptor();
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
        assert!(!places.acceptor_waits.load(SeqCst));
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn the_acceptor_checks_again_when_it_is_woken() {
        let (places, stops) = (Places::new(1), AtomicBool::new(false));
        let _place = places.take();
        thread::scope(|scope| {
            let acceptor =
                scope.spawn(|| places.wait(None, || places.has_room() || stops.load(SeqCst)));
            stops.store(true, SeqCst);
            places.wake_acceptor();
            acceptor.join().unwrap();
        });
    }
}
