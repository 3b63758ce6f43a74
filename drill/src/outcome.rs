//! What came of all rounds.

use std::time::Duration;

use super::Failure;
use super::client::Mode;
use super::round::Played;
use super::server::Exit;
use super::tally::Class;
use super::tally::Statuses;
use super::tally::Sums;
use super::tally::Tally;
use super::tally::Timeline;

/// Every round that was played to its end, and why there are no more.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) rounds: Vec<Record>,
    /// Of each mode, in the order of their first rounds.
    pub(super) timelines: Vec<(Mode, Timeline)>,
    pub(super) failure: Option<Failure>,
}

/// One round.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) mode: Mode,
    /// From 1.
    pub(super) number: usize,
    pub(super) sums: Sums,
    /// How the server ended; none if it did not stop.
    pub(super) exit: Option<Exit>,
    /// From the stop to the server's end.
    pub(super) exit_after: Option<Duration>,
}

/// All rounds of a mode.
#[derive(Debug)]
pub(super) struct Total {
    pub(super) mode: Mode,
    pub(super) rounds: usize,
    pub(super) tally: Tally,
    pub(super) statuses: Statuses,
    /// How the server ended, and how often so, in the order of their first
    /// time.
    pub(super) exits: Vec<(String, usize)>,
    /// Rounds in which it did not stop.
    pub(super) unstopped: usize,
    /// Of the rounds in which it did.
    pub(super) exit_median: Option<Duration>,
    pub(super) exit_max: Option<Duration>,
}

impl Outcome {
    pub(super) fn add(&mut self, mode: Mode, number: usize, played: Played) {
        let timeline = self.timelines.iter().position(|(known, _)| *known == mode);
        let timeline = timeline.unwrap_or_else(|| {
            self.timelines.push((mode, Timeline::default()));
            self.timelines.len() - 1
        });
        let timeline = &mut self.timelines[timeline].1;
        let exit = played.end.ok();
        self.rounds.push(Record {
            mode,
            number,
            sums: Sums::of(&played.attempts, played.stop, timeline),
            exit,
            exit_after: exit.map(|exit| exit.at.saturating_duration_since(played.stop)),
        });
    }

    /// The sums of each mode, in the order of their first rounds.
    pub(super) fn totals(&self) -> Vec<Total> {
        let modes = self.timelines.iter().map(|&(mode, _)| mode);
        modes.map(|mode| self.total(mode)).collect()
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
            None if self.failed() > 0 => 1,
            None if self.sum().unexpected() > 0 => 3,
            None => 0,
        }
    }

    fn total(&self, mode: Mode) -> Total {
        let mut rounds = 0;
        let mut tally = Tally::default();
        let mut statuses = Statuses::new();
        let mut exits: Vec<(String, usize)> = Vec::new();
        let mut times = Vec::new();
        for record in self.rounds.iter().filter(|record| record.mode == mode) {
            rounds += 1;
            tally += record.sums.tally;
            for (&status, count) in &record.sums.statuses {
                *statuses.entry(status).or_default() += count;
            }
            let (Some(exit), Some(after)) = (record.exit, record.exit_after) else {
                continue;
            };
            times.push(after);
            let exit = exit.to_string();
            match exits.iter_mut().find(|(known, _)| *known == exit) {
                Some((_, count)) => *count += 1,
                None => exits.push((exit, 1)),
            }
        }
        times.sort_unstable();
        Total {
            mode,
            rounds,
            tally,
            statuses,
            exits,
            unstopped: rounds - times.len(),
            exit_median: times.get(times.len() / 2).copied(),
            exit_max: times.last().copied(),
        }
    }
}

impl Total {
    /// How many requests each stop has lost, on average.
    pub(super) fn lost_per_stop(&self) -> f64 {
        self.per_stop(Class::Lost)
    }

    pub(super) fn truncated_per_stop(&self) -> f64 {
        self.per_stop(Class::Truncated)
    }

    fn per_stop(&self, class: Class) -> f64 {
        self.tally[class] as f64 / self.rounds as f64
    }
}
