//! How many connections and requests there are at this moment.

use std::fmt;

/// How many connections and requests there are at this moment.
///
/// The numbers are read one after another while the server works, so under
/// load they may not fit each other exactly. Each open connection counts as in
/// progress, waiting, idle, lingering or upgraded. `idle` is computed as the rest,
/// so a connection that a worker moves to another state may count there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that were accepted and have not ended.
    pub open: usize,
    /// Requests whose first byte has arrived and whose answer is not complete.
    pub in_progress: usize,
    /// Connections with no request in progress that have received bytes, usually a
    /// request, and wait for a worker.
    pub waiting: usize,
    /// Connections that wait for a request.
    pub idle: usize,
    /// Connections that the server has half-closed, and that wait for the client
    /// to close its side.
    pub lingering: usize,
    /// Connections that a handler has upgraded
    /// ([`Body::upgrade`](crate::Body::upgrade)).
    pub upgraded: usize,
    /// Those of the open connections that only follow the shutdown
    /// ([`ShutdownHandle::follow`](crate::ShutdownHandle::follow)).
    pub followers: usize,
    /// The bytes of bodies that responses in progress still have to send, as far as
    /// their lengths are known. A response counts from its first write that does not
    /// send it whole, and with 1 TiB at most.
    ///
    /// It changes with every further write. Such a change alone is reported to
    /// followers once a second, and does not wake
    /// [`wait_for_counts`](crate::ShutdownHandle::wait_for_counts).
    /// [`ShutdownHandle::unsent`](crate::ShutdownHandle::unsent) has the time that is
    /// likely.
    pub response_bytes_left: u64,
}

impl Counts {
    /// Whether the numbers of connections and requests are the same.
    pub(crate) fn has_same_numbers(&self, other: &Self) -> bool {
        let left = self.response_bytes_left;
        *self
            == Self {
                response_bytes_left: left,
                ..*other
            }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_progress, waiting) = (self.in_progress, self.waiting);
        write!(f, "{in_progress} in progress, ")?;
        if waiting > 0 {
            write!(f, "{waiting} waiting for a worker, ")?;
        }
        write!(f, "{} idle, {} lingering", self.idle, self.lingering)?;
        match self.upgraded {
            0 => Ok(()),
            upgraded => write!(f, ", {upgraded} upgraded"),
        }
    }
}
