//! How many connections and requests there are at this moment.

use std::fmt;

/// What is going on at this moment.
///
/// The numbers are read one after another while the server works, so under
/// load they may be off by what happened in between. A connection in none of
/// the last three states is with a worker, between two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that were accepted and have not ended.
    pub open: usize,
    /// Requests of which a byte has arrived and whose answer is not complete.
    pub in_progress: usize,
    /// Connections with no request in progress for which something has come
    /// that no worker has looked at: a request, as a rule.
    pub waiting: usize,
    /// Connections with no request in progress that wait for one.
    pub idle: usize,
    /// Connections whose last answer is written, waiting for the client to
    /// close its side.
    pub lingering: usize,
    /// Connections that a handler has upgraded
    /// ([`Body::upgrade`](crate::Body::upgrade)).
    pub upgraded: usize,
    /// Of the connections, those that only follow the shutdown
    /// ([`ShutdownHandle::follow`](crate::ShutdownHandle::follow)).
    pub followers: usize,
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
