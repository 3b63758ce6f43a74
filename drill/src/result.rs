//! The result of all rounds.

use std::time::Duration;

use super::DrillError;
use super::client::Mode;
use super::outcome::Class;
use super::outcome::ClassCounts;
use super::outcome::RoundCounts;
use super::outcome::Statuses;
use super::outcome::Timeline;
use super::round::RoundResult;
use super::server::Exit;

/// Every round that was run, and the error that ended the drill early.
#[derive(Debug, Default)]
pub(super) struct DrillResult {
    pub(super) rounds: Vec<RoundRecord>,
    /// One for each mode, in the order of their first rounds.
    pub(super) timelines: Vec<(Mode, Timeline)>,
    pub(super) error: Option<DrillError>,
}

/// One round.
#[derive(Debug)]
pub(super) struct RoundRecord {
    pub(super) mode: Mode,
    /// Counts the rounds of this mode, from 1.
    pub(super) number: usize,
    pub(super) counts: RoundCounts,
    /// How the server ended; `None` if it did not stop.
    pub(super) exit: Option<Exit>,
    /// Time from the stop to the end of the server.
    pub(super) exit_after: Option<Duration>,
}

/// All rounds of a mode.
#[derive(Debug)]
pub(super) struct ModeTotal {
    pub(super) mode: Mode,
    pub(super) rounds: usize,
    pub(super) by_class: ClassCounts,
    pub(super) statuses: Statuses,
    /// Each way in which the server ended, and how often, in order of first
    /// occurrence.
    pub(super) exits: Vec<(String, usize)>,
    /// Rounds in which the server did not stop.
    pub(super) did_not_stop: usize,
    /// Of the rounds in which the server stopped.
    pub(super) exit_median: Option<Duration>,
    pub(super) exit_max: Option<Duration>,
}

impl DrillResult {
    pub(super) fn add(&mut self, mode: Mode, number: usize, round: RoundResult) {
        let timeline = self.timelines.iter().position(|(known, _)| *known == mode);
        let timeline = timeline.unwrap_or_else(|| {
            self.timelines.push((mode, Timeline::default()));
            self.timelines.len() - 1
        });
        let timeline = &mut self.timelines[timeline].1;
        let exit = round.end.ok();
        self.rounds.push(RoundRecord {
            mode,
            number,
            counts: RoundCounts::of(&round.attempts, round.stop, timeline),
            exit,
            exit_after: exit.map(|exit| exit.at.saturating_duration_since(round.stop)),
        });
    }

    /// The totals of each mode, in the order of their first rounds.
    pub(super) fn totals(&self) -> Vec<ModeTotal> {
        let modes = self.timelines.iter().map(|&(mode, _)| mode);
        modes.map(|mode| self.total(mode)).collect()
    }

    pub(super) fn sum(&self) -> ClassCounts {
        let mut sum = ClassCounts::default();
        for record in &self.rounds {
            sum += record.counts.by_class;
        }
        sum
    }

    /// How many requests were lost, or their responses truncated.
    pub(super) fn lost_or_truncated(&self) -> u64 {
        self.sum().lost_or_truncated()
    }

    pub(super) fn exit_code(&self) -> u8 {
        match &self.error {
            Some(error) => error.code,
            None if self.lost_or_truncated() > 0 => 1,
            None if self.sum().unexpected() > 0 => 3,
            None => 0,
        }
    }

    fn total(&self, mode: Mode) -> ModeTotal {
        let mut rounds = 0;
        let mut by_class = ClassCounts::default();
        let mut statuses = Statuses::new();
        let mut exits: Vec<(String, usize)> = Vec::new();
        let mut times = Vec::new();
        for record in self.rounds.iter().filter(|record| record.mode == mode) {
            rounds += 1;
            by_class += record.counts.by_class;
            for (&status, count) in &record.counts.statuses {
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
        ModeTotal {
            mode,
            rounds,
            by_class,
            statuses,
            exits,
            did_not_stop: rounds - times.len(),
            exit_median: times.get(times.len() / 2).copied(),
            exit_max: times.last().copied(),
        }
    }
}

impl ModeTotal {
    /// Lost requests per stop, on average.
    pub(super) fn lost_per_stop(&self) -> f64 {
        self.per_stop(Class::Lost)
    }

    pub(super) fn truncated_per_stop(&self) -> f64 {
        self.per_stop(Class::Truncated)
    }

    fn per_stop(&self, class: Class) -> f64 {
        self.by_class[class] as f64 / self.rounds as f64
    }
}
