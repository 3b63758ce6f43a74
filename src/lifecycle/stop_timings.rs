//! How far a stop is, in time.

use std::time::Duration;
use std::time::Instant;

use super::phase::History;
use super::phase::Phase;

/// How far the stop of a server is: [`Totals::stop`](crate::Totals::stop). All times are
/// since the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopTimings {
    /// The time until now, or until the end once the server has stopped.
    pub duration: Duration,
    /// When the drain began, and the lame duck ended. `None` during the lame duck.
    pub draining_after: Option<Duration>,
    /// When the kernel began to refuse new connections, as in
    /// [`Report::refusing_after`](crate::Report::refusing_after).
    pub refusing_after: Option<Duration>,
    /// When the server began to cut what was left. `None` if it has not.
    pub aborted_after: Option<Duration>,
    /// The time until the server cuts what is left. `None` once it does so, or has
    /// stopped.
    pub time_left: Option<Duration>,
}

impl StopTimings {
    /// `None` if the stop has not begun. `deadline`: when the server cuts what is left.
    pub(crate) fn new(
        history: &History,
        phase: Phase,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Option<Self> {
        let (_, triggered) = history.trigger?;
        let since = |at: Instant| at.saturating_duration_since(triggered);
        let deadline = deadline.filter(|_| phase < Phase::Aborting);
        Some(Self {
            duration: since(history.stopped.unwrap_or(now)),
            draining_after: history.draining.map(since),
            refusing_after: history.refusing.map(since),
            aborted_after: history.abort.map(|(_, at)| since(at)),
            time_left: deadline.map(|at| at.saturating_duration_since(now)),
        })
    }

    /// The phases of a stop.
    #[cfg(feature = "metrics")]
    pub(crate) const PHASES: [Phase; 3] = [Phase::LameDuck, Phase::Draining, Phase::Aborting];

    /// How long each of the [`PHASES`](Self::PHASES) has taken until now.
    #[cfg(feature = "metrics")]
    pub(crate) fn by_phase(&self) -> [(Phase, Duration); 3] {
        let draining = self.draining_after.unwrap_or(self.duration);
        let aborting = self.aborted_after.unwrap_or(self.duration);
        let [lame_duck, drain, abort] = Self::PHASES;
        [
            (lame_duck, draining),
            (drain, aborting.saturating_sub(draining)),
            (abort, self.duration.saturating_sub(aborting)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::phase::Abort;
    use crate::lifecycle::phase::Trigger;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn times_are_since_the_trigger_and_end_with_the_stop() {
        let start = Instant::now();
        let at = |seconds| start + seconds * SECOND;
        let mut history = History::default();
        let of = |history: &History, phase, seconds| {
            StopTimings::new(history, phase, Some(at(13)), at(seconds))
        };
        assert_eq!(of(&history, Phase::Running, 0), None);

        history.trigger = Some((Trigger::Signal, at(1)));
        let lame_duck = of(&history, Phase::LameDuck, 2).unwrap();
        assert_eq!(lame_duck.duration, SECOND);
        assert_eq!(lame_duck.draining_after, None);
        assert_eq!(lame_duck.time_left, Some(11 * SECOND));

        history.draining = Some(at(3));
        history.refusing = Some(at(4));
        history.abort = Some((Abort::Deadline, at(13)));
        history.stopped = Some(at(14));
        let stopped = of(&history, Phase::Stopped, 99).unwrap();
        let expected = StopTimings {
            duration: 13 * SECOND,
            draining_after: Some(2 * SECOND),
            refusing_after: Some(3 * SECOND),
            aborted_after: Some(12 * SECOND),
            time_left: None,
        };
        assert_eq!(stopped, expected);
    }

    #[test]
    #[cfg(feature = "metrics")]
    fn the_phases_have_the_time_of_the_stop_together() {
        let timings = |draining, aborted| StopTimings {
            duration: 10 * SECOND,
            draining_after: draining,
            refusing_after: None,
            aborted_after: aborted,
            time_left: None,
        };
        let by_phase = |timings: StopTimings| timings.by_phase().map(|(_, time)| time.as_secs());
        assert_eq!(by_phase(timings(None, None)), [10, 0, 0]);
        assert_eq!(by_phase(timings(Some(2 * SECOND), None)), [2, 8, 0]);
        let aborted = timings(Some(2 * SECOND), Some(7 * SECOND));
        assert_eq!(by_phase(aborted), [2, 5, 3]);
    }
}
