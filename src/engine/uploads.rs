//! How many workers may wait for bodies at a time: half of them. So clients
//! that send slowly cannot take all workers away from the others, however many
//! they are; those that are too many wait in the lot, before their handlers are
//! called, the oldest connection first.

use std::collections::BTreeMap;
use std::fmt;
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
    /// By the number of their connections.
    waiting: BTreeMap<u64, Waker>,
}

impl Uploads {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            places: (workers / 2).max(1),
            state: Mutex::default(),
        })
    }

    /// A place. If there is none, `waker` is called when there may be one, as
    /// long as `queued` is held.
    pub(crate) fn enter(
        self: &Arc<Self>,
        connection: u64,
        waker: Waker,
        queued: &mut Option<Queued>,
    ) -> Option<Place> {
        let mut state = self.lock();
        if state.taken < self.places {
            state.taken += 1;
            return Some(Place(Arc::clone(self)));
        }
        state.waiting.insert(connection, waker);
        queued.get_or_insert_with(|| Queued {
            uploads: Arc::clone(self),
            connection,
        });
        None
    }

    /// Calls the first who waits, if there is a place.
    fn call_next(&self, mut state: MutexGuard<'_, State>) {
        if state.taken < self.places
            && let Some((_, wake)) = state.waiting.pop_first()
        {
            drop(state);
            wake();
        }
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
        let mut state = self.0.lock();
        state.taken -= 1;
        self.0.call_next(state);
    }
}

/// One who waits for a place. Its drop is its end: if it has been called
/// already and does not take the place, the next one is called.
#[derive(Debug)]
pub(crate) struct Queued {
    uploads: Arc<Uploads>,
    connection: u64,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut state = self.uploads.lock();
        state.waiting.remove(&self.connection);
        self.uploads.call_next(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has been called, in order.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<u64>>>);

    impl Calls {
        fn waker(&self, connection: u64) -> Waker {
            let calls = self.clone();
            Arc::new(move || calls.0.lock().unwrap().push(connection))
        }

        fn so_far(&self) -> Vec<u64> {
            self.0.lock().unwrap().clone()
        }
    }

    /// One connection that wants a place.
    struct Wish {
        number: u64,
        queued: Option<Queued>,
    }

    impl Wish {
        fn of(number: u64) -> Self {
            let queued = None;
            Self { number, queued }
        }

        fn enter(&mut self, uploads: &Arc<Uploads>, calls: &Calls) -> Option<Place> {
            let waker = calls.waker(self.number);
            uploads.enter(self.number, waker, &mut self.queued)
        }
    }

    #[test]
    fn who_finds_no_place_is_called_when_there_is_one_the_oldest_first() {
        let (uploads, calls) = (Uploads::new(4), Calls::default());
        let first = Wish::of(1).enter(&uploads, &calls).unwrap();
        let second = Wish::of(2).enter(&uploads, &calls).unwrap();
        let (mut early, mut late) = (Wish::of(3), Wish::of(4));
        assert!(late.enter(&uploads, &calls).is_none());
        assert!(early.enter(&uploads, &calls).is_none());
        // Again, for whatever reason.
        assert!(early.enter(&uploads, &calls).is_none());
        assert!(calls.so_far().is_empty());
        drop(first);
        assert_eq!(calls.so_far(), [3]);
        let third = early.enter(&uploads, &calls).unwrap();
        drop(early);
        assert_eq!(calls.so_far(), [3]);
        drop((second, third));
        assert_eq!(calls.so_far(), [3, 4]);
    }

    #[test]
    fn one_that_is_called_and_has_left_passes_the_call_on() {
        let (uploads, calls) = (Uploads::new(1), Calls::default());
        let place = Wish::of(1).enter(&uploads, &calls).unwrap();
        let (mut leaves, mut waits) = (Wish::of(2), Wish::of(3));
        assert!(leaves.enter(&uploads, &calls).is_none());
        assert!(waits.enter(&uploads, &calls).is_none());
        drop(place);
        assert_eq!(calls.so_far(), [2]);
        drop(leaves);
        assert_eq!(calls.so_far(), [2, 3]);
    }
}
