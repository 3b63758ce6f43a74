//! How connections and requests end, and how many ended in which way.

use std::fmt;
use std::marker::PhantomData;

/// A way to end, with a place in a [`Tally`].
pub trait Outcome: Copy + fmt::Debug + Sized + 'static {
    /// Every outcome, in the order of the report.
    const ALL: &'static [Self];
    /// The place in [`ALL`](Self::ALL).
    fn index(self) -> usize;
    /// The outcome in words that fit a report, such as `"hung up"`.
    fn name(self) -> &'static str;
}

/// How a connection ended. Each accepted connection ends in exactly one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionOutcome {
    /// The client closed its side with nothing outstanding: everything it
    /// asked was answered, and the answers are delivered.
    Completed,
    /// Idle, and closed by us: its idle timeout or the last call was over.
    HungUp,
    /// Closed by us while idle, or after an answer in a drain, and something
    /// that the client sent crossed our goodbye on the wire. RFC 9112 section
    /// 9.3.1 has clients retry it.
    Crossed,
    /// Its last answer was written, but the client did not close its side
    /// within [`Config::linger`](crate::Config::linger), or reset it.
    Unconfirmed,
    /// The client closed or reset it in the middle of a request or an answer.
    Vanished,
    /// The client stopped reading in the middle of an answer.
    Stalled,
    /// Ended by us because the body of an answer failed, or fell short of its
    /// length, so that the client can tell.
    Broken,
    /// A handler took it over ([`Body::take_over`](crate::Body::take_over)),
    /// and was done with it.
    TakenOver,
    /// Ended by us before an answer was complete, or before a handler that had
    /// taken it over was done with it.
    Cut,
}

impl Outcome for ConnectionOutcome {
    const ALL: &'static [Self] = &[
        Self::Completed,
        Self::HungUp,
        Self::Crossed,
        Self::Unconfirmed,
        Self::Vanished,
        Self::Stalled,
        Self::Broken,
        Self::TakenOver,
        Self::Cut,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::HungUp => "hung up",
            Self::Crossed => "crossed",
            Self::Unconfirmed => "unconfirmed",
            Self::Vanished => "vanished",
            Self::Stalled => "stalled",
            Self::Broken => "broken",
            Self::TakenOver => "taken over",
            Self::Cut => "cut",
        }
    }
}

/// How a request ended. Each request, from its first byte on, ends in exactly
/// one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The handler's response was written whole; of one that takes the
    /// connection over, its head.
    Answered,
    /// The handler panicked; a 500 was written whole.
    Failed,
    /// The server itself refused it (400, 408, 413, …), and wrote that whole.
    Refused,
    /// No handler had started it at the deadline, or there were too many
    /// slow uploads before it: 503.
    TurnedAway,
    /// The client went away before its answer was written.
    Abandoned,
    /// The client stopped reading its answer.
    Stalled,
    /// The body of its answer failed, or fell short of its length: the
    /// connection was cut, so that the client can tell.
    Broken,
    /// Ended by us before its answer was complete.
    Cut,
}

impl Outcome for RequestOutcome {
    const ALL: &'static [Self] = &[
        Self::Answered,
        Self::Failed,
        Self::Refused,
        Self::TurnedAway,
        Self::Abandoned,
        Self::Stalled,
        Self::Broken,
        Self::Cut,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::TurnedAway => "turned away",
            Self::Abandoned => "abandoned",
            Self::Stalled => "stalled",
            Self::Broken => "broken",
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
