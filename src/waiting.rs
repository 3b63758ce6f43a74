//! Waiting for a condition, with or without a deadline.

use std::time::Instant;

use crate::sync::Condvar;
use crate::sync::MutexGuard;
use crate::sync::PoisonError;

/// Waits until `condition` holds for the guarded value, or until `deadline`.
/// Returns whether it holds.
///
/// Unlike std's `wait_while`, it goes on when a thread has panicked with the lock
/// held: the guarded values are consistent at any time, and a panic of another
/// thread must end no wait.
pub(crate) fn wait_until<T>(
    changed: &Condvar,
    mut guard: MutexGuard<'_, T>,
    deadline: Option<Instant>,
    mut condition: impl FnMut(&T) -> bool,
) -> bool {
    loop {
        if condition(&guard) {
            return true;
        }
        let Some(deadline) = deadline else {
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        guard = changed
            .wait_timeout(guard, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    #[test]
    fn a_panic_with_the_lock_held_ends_no_wait() {
        let (met, changed) = (&Mutex::new(false), &Condvar::new());
        thread::scope(|scope| {
            let lock = || met.lock().unwrap_or_else(PoisonError::into_inner);
            let waiter = scope.spawn(move || wait_until(changed, lock(), None, |met| *met));
            let panics = scope.spawn(|| {
                let _held = met.lock().unwrap();
                changed.notify_all();
                panic!("on purpose");
            });
            assert!(panics.join().is_err());
            assert!(met.is_poisoned());
            *lock() = true;
            changed.notify_all();
            assert!(waiter.join().unwrap());
        });
        let guard = met.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(!wait_until(changed, guard, Some(Instant::now()), |_| false));
    }
}
