//! How a shard's owner sleeps in its poll, and how other threads wake it.
//!
//! The owner says that it sleeps, then checks for a reason to stay awake, and then
//! polls. Another thread first creates such a reason (a job on the run queue, a
//! connection that was woken, a close) and then interrupts the sleep. So the owner sees
//! the reason, or the other thread sees that the owner sleeps. A wake-up between the
//! check and the poll ends the poll at once.

use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::SeqCst;

/// Whether the owner of a shard sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Sleep(AtomicBool);

impl Sleep {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The owner says that it sleeps. After this it checks for reasons to stay awake.
    pub(crate) fn begin(&self) {
        self.0.store(true, SeqCst);
    }

    /// The owner is awake.
    pub(crate) fn end(&self) {
        self.0.store(false, SeqCst);
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// Ends the sleep. Returns whether the caller has to wake the owner; only the first
    /// caller has to.
    pub(crate) fn interrupt(&self) -> bool {
        // The load comes first because it is cheap, and usually false.
        self.0.load(SeqCst) && self.0.swap(false, SeqCst)
    }
}
