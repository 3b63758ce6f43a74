//! How connections and requests end, and how many ended in which way.

use std::fmt;
use std::marker::PhantomData;

/// A way to end, with a place in a [`Tally`].
pub trait Outcome: Copy + fmt::Debug + Sized + 'static {
    /// Every outcome, in the order of the report.
    const ALL: &'static [Self];
    /// The place in [`ALL`](Self::ALL).
    fn index(self) -> usize;
    /// The outcome in words that fit a report, such as `"closed idle"`.
    fn name(self) -> &'static str;
}

/// How a connection ended. Each accepted connection ends in exactly one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionOutcome {
    /// The client closed its side when no request was in progress: every request was
    /// answered, and every answer is delivered.
    Completed,
    /// The server closed it while it was idle: its idle timeout or the last call was
    /// over.
    ClosedIdle,
    /// The server closed it while it was idle, or after an answer in a drain, and
    /// something that the client had sent meanwhile crossed the close on the wire. RFC
    /// 9112 section 9.3.1 has clients retry it.
    CrossedClose,
    /// The last answer was written, but the client reset the connection, or did not
    /// close its side within [`Config::linger`](crate::Config::linger).
    DeliveryUnconfirmed,
    /// The client closed or reset it in the middle of a request or an answer.
    ClientDisconnected,
    /// The client stopped reading in the middle of an answer.
    ClientStalled,
    /// The server cut it because the body of an answer failed, or fell short of its
    /// length, so that the client can tell.
    BodyFailed,
    /// A handler upgraded it ([`Body::upgrade`](crate::Body::upgrade)), and the
    /// function that got it has returned.
    Upgraded,
    /// The server cut it before an answer was complete, or before the function that got
    /// the upgraded connection had returned.
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

/// How a request ended. Each request, from its first byte on, ends in exactly
/// one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The handler's response was written whole; of a response that upgrades the
    /// connection, the head.
    Answered,
    /// The handler panicked; a 500 was written whole.
    HandlerPanicked,
    /// The server itself rejected it (400, 408, 413, …), and wrote that answer whole.
    Rejected,
    /// The server answered 503: no handler had started it at the deadline, or it waited
    /// too long because of slow uploads before it.
    Unavailable,
    /// The client closed or reset the connection before the answer was written.
    ClientDisconnected,
    /// The client stopped reading the answer.
    ClientStalled,
    /// The body of the answer failed, or fell short of its length: the server cut the
    /// connection, so that the client can tell.
    BodyFailed,
    /// The server cut it before its answer was complete.
    Cut,
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

/// How many ended in which way.
#[derive(Clone, PartialEq, Eq)]
pub struct Tally<O> {
    /// In the order of [`Outcome::ALL`].
    counts: Vec<u64>,
    outcome: PhantomData<O>,
}

impl<O: Outcome> Tally<O> {
    /// `count` says how many ended in each way.
    pub(crate) fn new(count: impl FnMut(&O) -> u64) -> Self {
        Self {
            counts: O::ALL.iter().map(count).collect(),
            outcome: PhantomData,
        }
    }

    /// How many ended in this way.
    pub fn count(&self, outcome: O) -> u64 {
        self.counts[outcome.index()]
    }

    /// How many ended at all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every outcome with its count, those that did not occur included.
    pub fn iter(&self) -> impl Iterator<Item = (O, u64)> {
        O::ALL.iter().copied().zip(self.counts.iter().copied())
    }
}

/// Shows what occurred, by its name: `{"answered": 12, "cut": 1}`.
impl<O: Outcome> fmt::Debug for Tally<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let occurred = self.iter().filter(|&(_, count)| count > 0);
        f.debug_map()
            .entries(occurred.map(|(outcome, count)| (outcome.name(), count)))
            .finish()
    }
}

/// Shows what occurred: `12 answered, 1 cut`, or `none`.
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
    fn every_outcome_has_its_own_place() {
        for (place, outcome) in ConnectionOutcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), place);
        }
        for (place, outcome) in RequestOutcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), place);
        }
    }
}
