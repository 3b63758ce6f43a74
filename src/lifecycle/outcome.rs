//! The outcomes of connections and requests, and the count of each.

use std::fmt;
use std::marker::PhantomData;

/// The outcome of a connection or a request. A [`Tally`] counts them.
pub trait Outcome: Copy + fmt::Debug + Sized + 'static {
    /// Every outcome, in the order of the report.
    const ALL: &'static [Self];
    /// The index in [`ALL`](Self::ALL).
    fn index(self) -> usize;
    /// The name in a report, such as `"closed idle"`.
    fn name(self) -> &'static str;
}

/// How a connection ended. Each accepted connection has exactly one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionOutcome {
    /// The client closed its side when no request was in progress: every request
    /// of the connection was answered, and every answer is delivered.
    Completed,
    /// The server closed the connection while it was idle: its idle timeout or the
    /// last call was over.
    ClosedIdle,
    /// The server half-closed the connection while it was idle, or after an
    /// answer in a drain, and the client had sent something before it learned of
    /// that. RFC 9112 section 9.3.1 has clients retry such a request.
    CrossedClose,
    /// The last answer was written, but the client reset the connection, or did
    /// not close its side within [`Config::linger`](crate::Config::linger). So it
    /// is not known whether the answer has arrived.
    DeliveryUnconfirmed,
    /// The client closed or reset the connection in the middle of a request or an
    /// answer.
    ClientDisconnected,
    /// The client stopped reading an answer, or read it too slowly
    /// ([`Config::write_timeout`](crate::Config::write_timeout)).
    ClientStalled,
    /// The body of an answer failed, or was shorter than its length. The server
    /// cut the connection, so the client sees that the answer is incomplete.
    BodyFailed,
    /// A handler upgraded the connection
    /// ([`Body::upgrade`](crate::Body::upgrade)), and the function that got it
    /// has returned.
    Upgraded,
    /// The server cut the connection before an answer was complete, or before the
    /// function that got the upgraded connection had returned.
    Cut,
}

impl Outcome for ConnectionOutcome {
    const ALL: &'static [Self] = &[
        Self::Completed,
        Self::ClosedIdle,
        Self::CrossedClose,
        Self::DeliveryUnconfirmed,
        Self::ClientDisconnected,
        Self::ClientStalled,
        Self::BodyFailed,
        Self::Upgraded,
        Self::Cut,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ClosedIdle => "closed idle",
            Self::CrossedClose => "crossed the close",
            Self::DeliveryUnconfirmed => "delivery unconfirmed",
            Self::ClientDisconnected => "client disconnected",
            Self::ClientStalled => "client stalled",
            Self::BodyFailed => "body failed",
            Self::Upgraded => "upgraded",
            Self::Cut => "cut",
        }
    }
}

/// How a request ended. Each request whose first byte has arrived has exactly one
/// outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The handler's response was written whole, or the head of a response that
    /// upgrades the connection.
    Answered,
    /// The handler panicked, and a 500 was written whole.
    HandlerPanicked,
    /// The server itself rejected the request (400, 408, 413, …), and wrote that
    /// answer whole.
    Rejected,
    /// The server answered the request with a 503: no handler had started it at
    /// the deadline, or it waited too long behind slow uploads.
    Unavailable,
    /// The client closed or reset the connection before the answer was written.
    ClientDisconnected,
    /// The client stopped reading the answer, or read it too slowly
    /// ([`Config::write_timeout`](crate::Config::write_timeout)).
    ClientStalled,
    /// The body of the answer failed, or was shorter than its length. The server
    /// cut the connection, so the client sees that the answer is incomplete.
    BodyFailed,
    /// The server cut the request before its answer was complete.
    Cut,
}

impl RequestOutcome {
    /// Whether the answer was written whole.
    pub(super) fn is_whole(self) -> bool {
        match self {
            Self::Answered | Self::HandlerPanicked | Self::Rejected | Self::Unavailable => true,
            Self::ClientDisconnected | Self::ClientStalled | Self::BodyFailed | Self::Cut => false,
        }
    }
}

impl Outcome for RequestOutcome {
    const ALL: &'static [Self] = &[
        Self::Answered,
        Self::HandlerPanicked,
        Self::Rejected,
        Self::Unavailable,
        Self::ClientDisconnected,
        Self::ClientStalled,
        Self::BodyFailed,
        Self::Cut,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::HandlerPanicked => "handler panicked",
            Self::Rejected => "rejected",
            Self::Unavailable => "answered 503",
            Self::ClientDisconnected => "client disconnected",
            Self::ClientStalled => "client stalled",
            Self::BodyFailed => "body failed",
            Self::Cut => "cut",
        }
    }
}

/// The count of each outcome.
#[derive(Clone, PartialEq, Eq)]
pub struct Tally<O> {
    /// In the order of [`Outcome::ALL`].
    counts: Vec<u64>,
    outcome: PhantomData<O>,
}

impl<O: Outcome> Tally<O> {
    /// `count` gives the count of each outcome.
    pub(crate) fn new(count: impl FnMut(&O) -> u64) -> Self {
        Self {
            counts: O::ALL.iter().map(count).collect(),
            outcome: PhantomData,
        }
    }

    /// How many had this outcome.
    pub fn count(&self, outcome: O) -> u64 {
        self.counts[outcome.index()]
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every outcome with its count, which may be 0.
    pub fn iter(&self) -> impl Iterator<Item = (O, u64)> {
        O::ALL.iter().copied().zip(self.counts.iter().copied())
    }
}

/// Shows the counts that are not 0: `{"answered": 12, "cut": 1}`.
impl<O: Outcome> fmt::Debug for Tally<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let occurred = self.iter().filter(|&(_, count)| count > 0);
        f.debug_map()
            .entries(occurred.map(|(outcome, count)| (outcome.name(), count)))
            .finish()
    }
}

/// Shows the counts that are not 0: `12 answered, 1 cut`, or `none`.
impl<O: Outcome> fmt::Display for Tally<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (outcome, count) in self.iter().filter(|&(_, count)| count > 0) {
            write!(f, "{separator}{count} {}", outcome.name())?;
            separator = ", ";
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_index() {
        for (index, outcome) in ConnectionOutcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), index);
        }
        for (index, outcome) in RequestOutcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), index);
        }
    }
}
