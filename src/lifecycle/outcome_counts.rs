//! A count for each outcome, before the trigger and after it.

use std::marker::PhantomData;

use super::numbers::BeforeAndAfter;
use super::outcome::Outcome;
use super::outcome::Tally;

/// How many connections have ended, by outcome.
#[derive(Debug)]
pub(super) struct OutcomeCounts<O> {
    counts: Vec<BeforeAndAfter>,
    outcome: PhantomData<O>,
}

impl<O: Outcome> OutcomeCounts<O> {
    pub(super) fn new() -> Self {
        Self {
            counts: O::ALL.iter().map(|_| BeforeAndAfter::default()).collect(),
            outcome: PhantomData,
        }
    }

    pub(super) fn count(&self, outcome: O, after_trigger: bool) {
        self.counts[outcome.index()].count(after_trigger);
    }

    fn tally(&self, which: impl Fn(&BeforeAndAfter) -> u64) -> Tally<O> {
        Tally::new(|outcome: &O| which(&self.counts[outcome.index()]))
    }

    pub(super) fn all(&self) -> Tally<O> {
        self.tally(BeforeAndAfter::all)
    }

    pub(super) fn after(&self) -> Tally<O> {
        self.tally(BeforeAndAfter::after)
    }
}
