//! How many workers may wait for bodies at a time: half of them. So clients
//! that send slowly cannot take all workers away from the others, however many
//! they are; those that are too many wait in the lot, before their handlers are
//! called.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::service::body::Waker;

pub(crate) struct Uploads {
    places: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// All of them are called when a place is given back: one alone might have
    /// gone away, and the place would stay empty.
    waiting: Vec<Waker>,
}

impl Uploads {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            places: (workers / 2).max(1),
            state: Mutex::default(),
        })
    }

    /// A place. If there is none, `waker` is called once there may be one.
    pub(crate) fn enter(self: &Arc<Self>, waker: impl FnOnce() -> Waker) -> Option<Place> {
        {
            let mut state = self.lock();
            if state.taken < self.places {
                state.taken += 1;
                return Some(Place(Arc::clone(self)));
            }
        }
        // Making a waker takes other locks.
        let waker = waker();
        let mut state = self.lock();
        if state.taken < self.places {
            state.taken += 1;
            return Some(Place(Arc::clone(self)));
        }
        state.waiting.push(waker);
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uploads({} of {})", self.lock().taken, self.places)
    }
}

/// One handler may wait for its body. Its drop gives the place back.
#[derive(Debug)]
pub(crate) struct Place(Arc<Uploads>);

impl Drop for Place {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.lock();
            state.taken -= 1;
            mem::take(&mut state.waiting)
        };
        for wake in waiting {
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    #[test]
    fn who_finds_no_place_is_called_when_there_may_be_one() {
        let uploads = Uploads::new(4);
        let called = Arc::new(AtomicUsize::new(0));
        let waker = || -> Waker {
            let called = Arc::clone(&called);
            Arc::new(move || _ = called.fetch_add(1, SeqCst))
        };
        let first = uploads.enter(waker).unwrap();
        let _second = uploads.enter(waker).unwrap();
        assert!(uploads.enter(waker).is_none());
        assert!(uploads.enter(waker).is_none());
        assert_eq!(called.load(SeqCst), 0);
        drop(first);
        assert_eq!(called.load(SeqCst), 2);
        assert!(uploads.enter(waker).is_some());
    }

    #[test]
    fn one_worker_has_one_place() {
        let uploads = Uploads::new(1);
        let nobody = || -> Waker { Arc::new(|| {}) };
        assert!(uploads.enter(nobody).is_some());
    }
}
