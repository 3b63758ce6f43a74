//! What came of all rounds.

use std::time::Duration;

use super::Failure;
use super::client::Mode;
use super::round::Played;
use super::server::Exit;
use super::tally::Sums;
use super::tally::Tally;
use super::tally::Timeline;

/// Every round that was played to its end, and why there are no more.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) rounds: Vec<Record>,
    pub(super) timeline: Timeline,
    pub(super) failure: Option<Failure>,
}

/// One round.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) mode: Mode,
    /// From 1.
    pub(super) number: usize,
    pub(super) sums: Sums,
    pub(super) exit: Exit,
    /// From the stop to the server's end.
    pub(super) exit_after: Duration,
}

/// All rounds of a mode.
#[derive(Debug)]
pub(super) struct Total {
    pub(super) mode: Mode,
    pub(super) rounds: usize,
    pub(super) tally: Tally,
    /// How the server ended, and how often so, in the order of their first
    /// time.
    pub(super) exits: Vec<(String, usize)>,
    pub(super) exit_median: Duration,
    pub(super) exit_max: Duration,
}

impl Outcome {
    pub(super) fn add(&mut self, mode: Mode, number: usize, played: Played) {
        self.rounds.push(Record {
            mode,
            number,
            sums: Sums::of(&played.attempts, played.stop, &mut self.timeline),
            exit: played.exit,
            exit_after: played.exit.at.saturating_duration_since(played.stop),
        });
    }

    /// The sums of each mode, in the order of their first rounds.
    pub(super) fn totals(&self) -> Vec<Total> {
        let mut modes: Vec<Mode> = Vec::new();
        for record in &self.rounds {
            if !modes.contains(&record.mode) {
                modes.push(record.mode);
            }
        }
        modes.into_iter().map(|mode| self.total(mode)).collect()
    }

    pub(super) fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        for record in &self.rounds {
            sum += record.sums.tally;
        }
        sum
    }

    /// How much was lost or truncated.
    pub(super) fn failed(&self) -> u64 {
        self.sum().failed()
    }

    pub(super) fn exit_code(&self) -> u8 {
        match &self.failure {
            Some(failure) => failure.code,
            None => u8::from(self.failed() > 0),
        }
    }

    fn total(&self, mode: Mode) -> Total {
        let mut tally = Tally::default();
        let mut exits: Vec<(String, usize)> = Vec::new();
        let mut times = Vec::new();
        for record in self.rounds.iter().filter(|record| record.mode == mode) {
            tally += record.sums.tally;
            times.push(record.exit_after);
            let exit = record.exit.to_string();
            match exits.iter_mut().find(|(known, _)| *known == exit) {
                Some((_, count)) => *count += 1,
                None => exits.push((exit, 1)),
            }
        }
        times.sort_unstable();
        Total {
            mode,
            rounds: times.len(),
            tally,
            exits,
            exit_median: times[times.len() / 2],
            exit_max: times[times.len() - 1],
        }
    }
}

impl Total {
    /// How many requests each stop has lost, on average.
    pub(super) fn lost_per_stop(&self) -> f64 {
        self.tally[super::tally::Class::Lost] as f64 / self.rounds as f64
    }
}
