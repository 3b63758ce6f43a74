//! How many bytes the responses in progress still have to send.
//!
//! A response whose length is known is entered when its first write does not send it
//! whole: when it waits for its client or for its next piece, or before a further part
//! of its file or stream is sent. A response that one write sends whole costs nothing.
//!
//! Each shard has counters of its own, as for the other numbers. So a read costs the
//! same with one download and with ten thousand, and takes no lock.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// How many bytes of one response are counted at most: 1 TiB. The sum over the largest
/// number of connections is less than 2^64.
const COUNTED_MAX: u64 = (1 << 40) - 1;

/// The counters of one shard.
#[derive(Debug, Default)]
pub(super) struct BytesLeft {
    /// The sum of all [`Entered`].
    left: AtomicU64,
    /// How many bytes have been sent of responses since they were entered.
    sent: AtomicU64,
}

/// How many bytes of one response are in the sum. Only the connection changes it.
#[derive(Debug, Default)]
pub(super) struct Entered(u64);

impl Entered {
    pub(super) fn is_none(&self) -> bool {
        self.0 == 0
    }
}

impl BytesLeft {
    pub(super) fn left(&self) -> u64 {
        self.left.load(Relaxed)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// So many bytes of the response are left. Enters it if it is not entered yet.
    pub(super) fn update(&self, entered: &mut Entered, left: u64) {
        let left = left.min(COUNTED_MAX);
        if entered.is_none() {
            entered.0 = left;
            self.left.fetch_add(left, Relaxed);
            return;
        }
        // What is left of a response never grows.
        let sent = entered.0.saturating_sub(left);
        entered.0 -= sent;
        self.left.fetch_sub(sent, Relaxed);
        self.sent.fetch_add(sent, Relaxed);
    }

    /// Nothing of the response is sent any more. `is_whole`: everything was sent.
    #[cold]
    pub(super) fn end(&self, entered: &mut Entered, is_whole: bool) {
        let left = std::mem::take(&mut entered.0);
        self.left.fetch_sub(left, Relaxed);
        if is_whole {
            self.sent.fetch_add(left, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_back_to_zero_whether_a_response_is_sent_or_cut() {
        let counters = BytesLeft::default();
        let (mut sent, mut cut) = (Entered::default(), Entered::default());
        counters.update(&mut sent, 100);
        counters.update(&mut cut, 1000);
        assert_eq!((counters.left(), counters.sent()), (1100, 0));
        counters.update(&mut sent, 60);
        counters.update(&mut cut, 1000);
        assert_eq!((counters.left(), counters.sent()), (1060, 40));
        counters.end(&mut sent, true);
        assert_eq!((counters.left(), counters.sent()), (1000, 100));
        counters.end(&mut cut, false);
        assert_eq!((counters.left(), counters.sent()), (0, 100));
        assert!(sent.is_none() && cut.is_none());
    }

    #[test]
    fn the_largest_lengths_do_not_overflow_and_no_value_underflows() {
        let counters = BytesLeft::default();
        let mut entered: Vec<Entered> = (0..3).map(|_| Entered::default()).collect();
        for entered in &mut entered {
            counters.update(entered, u64::MAX);
            counters.update(entered, u64::MAX - 1);
            // It never grows, and if it did, nothing would be counted.
            counters.update(entered, 10);
            counters.update(entered, 20);
        }
        assert_eq!(counters.left(), 30);
        for entered in &mut entered {
            counters.end(entered, false);
            counters.end(entered, false);
        }
        assert_eq!(counters.left(), 0);
    }
}
