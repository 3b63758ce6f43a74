//! Limits how many handlers wait for the rest of their request's body at a time
//! ([`Config::uploads_max`](crate::Config)). So any number of clients that send slowly
//! cannot occupy all workers.
//!
//! The limit is a semaphore, first come, first served: a permit that is given back is
//! granted to the connection that has waited longest.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::message::body::source::Waker;

/// See the module.
pub(crate) struct UploadLimit {
    total: usize,
    permits: Mutex<Permits>,
}

#[derive(Default)]
struct Permits {
    /// Permits that are held, or granted but not acquired yet.
    taken: usize,
    /// The number of the latest waiter. Numbers count up, so the waiter with the lowest
    /// number has waited longest.
    last_number: u64,
    waiting: BTreeMap<u64, Waker>,
    /// Waiters that were granted a permit but have not acquired it yet.
    granted: BTreeSet<u64>,
}

impl UploadLimit {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            permits: Mutex::default(),
        })
    }

    /// Acquires a permit. If no permit is free, sets `waiter`, and calls `waker` when
    /// a permit is granted to this waiter. Then the connection calls `acquire` again.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        waker: Waker,
        waiter: &mut Option<UploadWaiter>,
    ) -> Option<UploadPermit> {
        let mut permits = self.lock();
        let number = match waiter {
            None if permits.taken < self.total && permits.waiting.is_empty() => {
                permits.taken += 1;
                return Some(UploadPermit(Arc::clone(self)));
            }
            None => {
                permits.last_number += 1;
                permits.last_number
            }
            Some(UploadWaiter { number, .. }) if permits.granted.remove(number) => {
                // The waiter's drop takes the lock.
                drop(permits);
                *waiter = None;
                return Some(UploadPermit(Arc::clone(self)));
            }
            Some(UploadWaiter { number, .. }) => *number,
        };
        permits.waiting.insert(number, waker);
        drop(permits);
        waiter.get_or_insert_with(|| UploadWaiter {
            limit: Arc::clone(self),
            number,
        });
        None
    }

    /// Grants a permit that was given back to the waiter with the lowest number.
    fn release(&self, mut permits: MutexGuard<'_, Permits>) {
        match permits.waiting.pop_first() {
            None => permits.taken -= 1,
            Some((number, wake)) => {
                permits.granted.insert(number);
                drop(permits);
                wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UploadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.lock().taken;
        write!(f, "UploadLimit({taken} of {} taken)", self.total)
    }
}

/// Permission for a handler to wait for its request's body. The drop gives it back.
#[derive(Debug)]
pub(crate) struct UploadPermit(Arc<UploadLimit>);

impl Drop for UploadPermit {
    fn drop(&mut self) {
        self.0.release(self.0.lock());
    }
}

/// A connection that waits for a permit. The drop ends the wait. A permit that was
/// granted but not acquired goes to the next waiter.
#[derive(Debug)]
pub(crate) struct UploadWaiter {
    limit: Arc<UploadLimit>,
    number: u64,
}

impl Drop for UploadWaiter {
    fn drop(&mut self) {
        let mut permits = self.limit.lock();
        permits.waiting.remove(&self.number);
        if permits.granted.remove(&self.number) {
            self.limit.release(permits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The connections whose wakers were called, in order.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<&'static str>>>);

    impl Calls {
        fn so_far(&self) -> Vec<&'static str> {
            self.0.lock().unwrap().clone()
        }
    }

    /// A connection that needs a permit.
    struct Upload {
        name: &'static str,
        waiter: Option<UploadWaiter>,
    }

    impl Upload {
        fn of(name: &'static str) -> Self {
            let waiter = None;
            Self { name, waiter }
        }

        fn acquire(&mut self, limit: &Arc<UploadLimit>, calls: &Calls) -> Option<UploadPermit> {
            let (calls, name) = (calls.clone(), self.name);
            let waker: Waker = Arc::new(move || calls.0.lock().unwrap().push(name));
            limit.acquire(waker, &mut self.waiter)
        }
    }

    #[test]
    fn permits_are_granted_in_the_order_of_arrival() {
        let (limit, calls) = (UploadLimit::new(2), Calls::default());
        let first = Upload::of("first").acquire(&limit, &calls).unwrap();
        let second = Upload::of("second").acquire(&limit, &calls).unwrap();
        let (mut third, mut fourth) = (Upload::of("third"), Upload::of("fourth"));
        assert!(third.acquire(&limit, &calls).is_none());
        assert!(fourth.acquire(&limit, &calls).is_none());
        // A further call changes nothing.
        assert!(third.acquire(&limit, &calls).is_none());
        drop(first);
        assert_eq!(calls.so_far(), ["third"]);
        // The permit is granted to the third: no other upload acquires it.
        assert!(fourth.acquire(&limit, &calls).is_none());
        let mut fifth = Upload::of("fifth");
        assert!(fifth.acquire(&limit, &calls).is_none());
        let third = third.acquire(&limit, &calls).unwrap();
        drop((second, third));
        assert_eq!(calls.so_far(), ["third", "fourth", "fifth"]);
        assert!(fifth.acquire(&limit, &calls).is_some());
        assert!(fourth.acquire(&limit, &calls).is_some());
        assert_eq!(limit.lock().taken, 0);
    }

    #[test]
    fn a_waiter_that_is_dropped_passes_its_permit_on() {
        let (limit, calls) = (UploadLimit::new(1), Calls::default());
        let permit = Upload::of("first").acquire(&limit, &calls).unwrap();
        let (mut second, mut third) = (Upload::of("second"), Upload::of("third"));
        let mut fourth = Upload::of("fourth");
        for upload in [&mut second, &mut third, &mut fourth] {
            assert!(upload.acquire(&limit, &calls).is_none());
        }
        drop(second);
        drop(permit);
        assert_eq!(calls.so_far(), ["third"]);
        drop(third);
        assert_eq!(calls.so_far(), ["third", "fourth"]);
        drop(fourth.acquire(&limit, &calls).unwrap());
        assert_eq!(limit.lock().taken, 0);
    }
}
