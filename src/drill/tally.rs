//! What became of every attempt, and the sums.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::ops::Index;
use std::ops::IndexMut;
use std::time::Duration;
use std::time::Instant;

/// How one attempt ended, as its client saw it.
///
/// An attempt is one request that a client set out to make. It ends in exactly
/// one fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A complete answer, whatever its status below 500.
    Answered,
    /// A complete answer that blames the server.
    ServerError,
    /// The connection was refused: nothing was sent, and it is safe to go
    /// elsewhere.
    Refused,
    /// Sent behind a request whose answer said `Connection: close`: by RFC 9112
    /// section 9.6 it was not processed, and is safe to send again.
    Unprocessed,
    /// No byte of an answer came.
    Lost(Loss),
    /// An answer began and did not end.
    Truncated(Loss),
}

/// How far an attempt got, and what ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) point: Point,
    pub(super) ending: Ending,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// The kernel has not said yes.
    Connecting,
    /// On a fresh connection, with nothing sent yet.
    Connected,
    /// Some of the request was sent, or all of it.
    Sent,
    /// A part of the answer has come.
    Answering,
}

/// What ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server's side was closed in order.
    Eof,
    /// The connection was reset.
    Reset,
    /// Nothing came for as long as the client would wait.
    Silence,
    /// What came is no answer.
    Malformed(&'static str),
}

impl Loss {
    /// In words.
    pub(super) fn explain(self, patience: Duration) -> String {
        let patience = humantime::format_duration(patience);
        match (self.point, self.ending) {
            (Point::Connecting, Ending::Silence) => format!("no connection in {patience}"),
            (Point::Connecting, _) => "the connection failed".to_owned(),
            (Point::Connected, _) => "connected, reset before anything".to_owned(),
            (Point::Sent, Ending::Eof) => "EOF before an answer".to_owned(),
            (Point::Sent, Ending::Reset) => "reset after the request was sent".to_owned(),
            (Point::Sent, Ending::Silence) => format!("no answer in {patience}"),
            (Point::Answering, Ending::Eof) => "EOF in the middle of the answer".to_owned(),
            (Point::Answering, Ending::Reset) => "reset in the middle of the answer".to_owned(),
            (Point::Answering, Ending::Silence) => {
                format!("nothing for {patience} in the middle of the answer")
            }
            (_, Ending::Malformed(why)) => format!("no answer by RFC 9112: {why}"),
        }
    }
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) fate: Fate,
    pub(super) ended: Instant,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    AnsweredBefore,
    AnsweredAfter,
    Refused,
    Unprocessed,
    Answered5xx,
    Lost,
    Truncated,
}

impl Class {
    pub(super) const ALL: [Self; 7] = [
        Self::AnsweredBefore,
        Self::AnsweredAfter,
        Self::Refused,
        Self::Unprocessed,
        Self::Answered5xx,
        Self::Lost,
        Self::Truncated,
    ];

    /// As JSON has it, and with blanks the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AnsweredBefore => "answered_before",
            Self::AnsweredAfter => "answered_after",
            Self::Refused => "refused",
            Self::Unprocessed => "unprocessed",
            Self::Answered5xx => "answered_5xx",
            Self::Lost => "lost",
            Self::Truncated => "truncated",
        }
    }

    fn of(attempt: &Attempt, stop: Instant) -> Self {
        match attempt.fate {
            Fate::Answered if attempt.ended < stop => Self::AnsweredBefore,
            Fate::Answered => Self::AnsweredAfter,
            Fate::ServerError => Self::Answered5xx,
            Fate::Refused => Self::Refused,
            Fate::Unprocessed => Self::Unprocessed,
            Fate::Lost(_) => Self::Lost,
            Fate::Truncated(_) => Self::Truncated,
        }
    }
}

/// How many of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([u64; Class::ALL.len()]);

impl Index<Class> for Tally {
    type Output = u64;

    fn index(&self, class: Class) -> &u64 {
        &self.0[class as usize]
    }
}

impl IndexMut<Class> for Tally {
    fn index_mut(&mut self, class: Class) -> &mut u64 {
        &mut self.0[class as usize]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        for class in Class::ALL {
            self[class] += other[class];
        }
    }
}

impl Tally {
    /// What must not happen.
    pub(super) fn failed(&self) -> u64 {
        self[Class::Lost] + self[Class::Truncated]
    }
}

/// Milliseconds from the stop, which are negative before it.
pub(super) fn millis_from(stop: Instant, at: Instant) -> f64 {
    match at.checked_duration_since(stop) {
        Some(after) => after.as_secs_f64() * 1e3,
        None => stop.duration_since(at).as_secs_f64() * -1e3,
    }
}

/// A time slot's sums, for the chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline(BTreeMap<i64, Tally>);

impl Timeline {
    /// How long a slot is.
    pub(super) const SLOT_MILLIS: i64 = 10;

    /// The slots that have anything in them: their start, in milliseconds from
    /// the stop, and their sums.
    pub(super) fn slots(&self) -> impl Iterator<Item = (i64, &Tally)> {
        self.0
            .iter()
            .map(|(&slot, tally)| (slot * Self::SLOT_MILLIS, tally))
    }

    /// The sums of the slot that starts then.
    pub(super) fn at(&self, millis: i64) -> Tally {
        let slot = millis.div_euclid(Self::SLOT_MILLIS);
        self.0.get(&slot).copied().unwrap_or_default()
    }

    fn add(&mut self, millis: f64, class: Class) {
        let slot = (millis / Self::SLOT_MILLIS as f64).floor() as i64;
        self.0.entry(slot).or_default()[class] += 1;
    }
}

/// One request that failed, to show.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) class: Class,
    pub(super) millis: f64,
    pub(super) loss: Loss,
}

/// The sums of a round's attempts, given the moment of its stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) tally: Tally,
    /// The first few that failed.
    pub(super) examples: Vec<Example>,
}

impl Sums {
    /// How many failures are worth to be shown.
    pub(super) const EXAMPLES_MAX: usize = 5;

    pub(super) fn of(attempts: &[Attempt], stop: Instant, timeline: &mut Timeline) -> Self {
        let mut sums = Self::default();
        for attempt in attempts {
            let class = Class::of(attempt, stop);
            let millis = millis_from(stop, attempt.ended);
            sums.tally[class] += 1;
            timeline.add(millis, class);
            if let Fate::Lost(loss) | Fate::Truncated(loss) = attempt.fate {
                sums.examples.push(Example {
                    class,
                    millis,
                    loss,
                });
            }
        }
        sums.examples.sort_by(|a, b| a.millis.total_cmp(&b.millis));
        sums.examples.truncate(Self::EXAMPLES_MAX);
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_divides_the_answers_and_nothing_else() {
        let start = Instant::now();
        let stop = start + Duration::from_millis(50);
        let loss = Loss {
            point: Point::Sent,
            ending: Ending::Eof,
        };
        let fates = [
            (0, Fate::Answered),
            (60, Fate::Answered),
            (10, Fate::ServerError),
            (70, Fate::Refused),
            (70, Fate::Lost(loss)),
            (20, Fate::Truncated(loss)),
        ];
        let attempts = fates.map(|(millis, fate)| Attempt {
            fate,
            ended: start + Duration::from_millis(millis),
        });
        let mut timeline = Timeline::default();
        let sums = Sums::of(&attempts, stop, &mut timeline);
        assert_eq!(sums.tally, Tally([1, 1, 1, 0, 1, 1, 1]));
        assert_eq!(sums.tally.failed(), 2);
        assert_eq!(sums.examples[0].class, Class::Truncated);
        assert_eq!(timeline.at(-50)[Class::AnsweredBefore], 1);
        assert_eq!(timeline.at(10)[Class::AnsweredAfter], 1);
        assert_eq!(timeline.at(20)[Class::Lost], 1);
        assert_eq!(timeline.slots().count(), 5);
    }
}
