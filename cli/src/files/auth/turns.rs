//! How many passwords are checked at once.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// A semaphore. Of the workers, at most half check a password or wait for their turn, so
/// that guesses leave the other half for clients that have the right one.
pub(super) struct Turns {
    at_once: usize,
    waiting_max: usize,
    state: Mutex<State>,
    /// Notified when a turn ends.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Turns that have begun and not ended: at most `at_once`.
    running: usize,
    /// Threads in [`Turns::wait`] without a turn: at most `waiting_max`.
    waiting: usize,
}

/// Its drop lets the next thread have its turn.
pub(super) struct Turn<'t>(&'t Turns);

impl Turns {
    /// One check for each core, and room for others to wait.
    pub(super) fn new(cores: usize, workers: usize) -> Self {
        let half = (workers / 2).max(1);
        let at_once = cores.clamp(1, half);
        Self {
            at_once,
            waiting_max: half - at_once,
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Waits for a turn; `None` if too many threads wait already. A turn is as long as the
    /// slowest hash, so the wait is bounded.
    pub(super) fn wait(&self) -> Option<Turn<'_>> {
        let mut state = self.lock();
        if state.running >= self.at_once {
            if state.waiting >= self.waiting_max {
                return None;
            }
            state.waiting += 1;
            let waited = self
                .ended
                .wait_while(state, |state| state.running >= self.at_once);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.running += 1;
        Some(Turn(self))
    }

    /// The numbers are consistent whenever the lock is released.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn half_of_the_workers_check_or_wait() {
        for (cores, workers, at_once, waiting) in
            [(2, 16, 2, 6), (64, 16, 8, 0), (1, 1, 1, 0), (4, 3, 1, 0)]
        {
            let turns = Turns::new(cores, workers);
            assert_eq!((turns.at_once, turns.waiting_max), (at_once, waiting));
        }
    }

    #[test]
    fn a_waiting_thread_gets_the_turn_that_ends_and_one_too_many_gets_none() {
        // One turn, and one thread that may wait.
        let turns = Turns::new(1, 4);
        let first = turns.wait().unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| turns.wait().is_some());
            while turns.lock().waiting == 0 {
                thread::yield_now();
            }
            assert!(turns.wait().is_none());
            drop(first);
            assert!(second.join().unwrap());
        });
        let state = turns.lock();
        assert_eq!((state.running, state.waiting), (0, 0));
    }
}
