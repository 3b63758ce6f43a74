//! The sleep of a shard's owner in its poll, and its end.
//!
//! The owner says that it sleeps, then looks for a reason not to, and then
//! polls. Another thread first makes such a reason (a job on the run queue, a
//! connection that was woken, a close) and then interrupts the sleep. So the
//! owner sees the reason, or the other thread sees that the owner sleeps. A wake
//! that comes between the look and the poll ends the poll at once.

use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::SeqCst;

/// Whether the owner of a shard sleeps, or is about to.
#[derive(Debug)]
pub(crate) struct Sleep(AtomicBool);

impl Sleep {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The owner will sleep, unless it finds a reason not to after this.
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

    /// Whether the caller has to wake the owner. Only one caller has to.
    pub(crate) fn interrupt(&self) -> bool {
        // The load first: it is cheap, and false as a rule.
        self.0.load(SeqCst) && self.0.swap(false, SeqCst)
    }
}
