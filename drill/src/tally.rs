//! What became of every attempt, and the sums.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::ops::Index;
use std::ops::IndexMut;
use std::ops::Range;
use std::time::Duration;
use std::time::Instant;

/// How one attempt ended, as its client saw it.
///
/// An attempt is one request that a client set out to make. It ends in exactly
/// one fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// A complete answer with an expected status, which this is.
    Answered(u16),
    /// A complete answer with another status.
    Unexpected(u16),
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

/// The status that a right answer has: one, or a class of them. `404`, `2xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Status(u16),
    Class(u16),
}

impl Expected {
    /// What is right if nothing else is said.
    pub(super) const SUCCESS: Self = Self::Class(2);

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (number, expected): (_, fn(u16) -> Self) = match text.strip_suffix("xx") {
            Some(class) => (class, Self::Class),
            None => (text, Self::Status),
        };
        let is_right = |expected: &Self| match expected {
            Self::Status(status) => (200..=599).contains(status),
            Self::Class(class) => (2..=5).contains(class),
        };
        let expected = number.parse().ok().map(expected);
        expected
            .filter(is_right)
            .ok_or_else(|| "write it as 404, or 4xx for all of them".to_owned())
    }

    pub(super) fn includes(self, status: u16) -> bool {
        match self {
            Self::Status(expected) => status == expected,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
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
    /// With an unexpected status below 500.
    AnsweredOther,
    Answered5xx,
    Lost,
    Truncated,
}

impl Class {
    pub(super) const ALL: [Self; 8] = [
        Self::AnsweredBefore,
        Self::AnsweredAfter,
        Self::Refused,
        Self::Unprocessed,
        Self::AnsweredOther,
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
            Self::AnsweredOther => "answered_other",
            Self::Answered5xx => "answered_5xx",
            Self::Lost => "lost",
            Self::Truncated => "truncated",
        }
    }

    fn of(attempt: &Attempt, stop: Instant) -> Self {
        match attempt.fate {
            Fate::Answered(_) if attempt.ended < stop => Self::AnsweredBefore,
            Fate::Answered(_) => Self::AnsweredAfter,
            Fate::Unexpected(500..) => Self::Answered5xx,
            Fate::Unexpected(_) => Self::AnsweredOther,
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

    /// Answers with the expected status.
    pub(super) fn answered(&self) -> u64 {
        self[Class::AnsweredBefore] + self[Class::AnsweredAfter]
    }

    /// Answers with another status.
    pub(super) fn unexpected(&self) -> u64 {
        self[Class::AnsweredOther] + self[Class::Answered5xx]
    }
}

/// Milliseconds from the stop, which are negative before it.
pub(super) fn millis_from(stop: Instant, at: Instant) -> f64 {
    match at.checked_duration_since(stop) {
        Some(after) => after.as_secs_f64() * 1e3,
        None => stop.duration_since(at).as_secs_f64() * -1e3,
    }
}

/// The sums of each millisecond from the stop, for the chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline(BTreeMap<i64, Tally>);

impl Timeline {
    /// The sums of this time.
    pub(super) fn sum(&self, millis: Range<i64>) -> Tally {
        let mut sum = Tally::default();
        for (_, &tally) in self.0.range(millis) {
            sum += tally;
        }
        sum
    }

    /// The last millisecond in which something else than a connection that was
    /// refused ended. A client that has to repeat its SYN may be refused long
    /// after all is over.
    pub(super) fn last(&self) -> Option<i64> {
        let others = Class::ALL
            .into_iter()
            .filter(|&class| class != Class::Refused);
        let refused_alone = |tally: &Tally| others.clone().all(|class| tally[class] == 0);
        let mut ends = self.0.iter().rev();
        ends.find(|(_, tally)| !refused_alone(tally))
            .map(|(&millis, _)| millis)
    }

    fn add(&mut self, millis: f64, class: Class) {
        self.0.entry(millis.floor() as i64).or_default()[class] += 1;
    }
}

/// How many answers had each status.
pub(super) type Statuses = BTreeMap<u16, u64>;

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
    pub(super) statuses: Statuses,
    /// Those that were not expected.
    pub(super) unexpected: Statuses,
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
            match attempt.fate {
                Fate::Answered(status) => *sums.statuses.entry(status).or_default() += 1,
                Fate::Unexpected(status) => {
                    *sums.statuses.entry(status).or_default() += 1;
                    *sums.unexpected.entry(status).or_default() += 1;
                }
                Fate::Lost(loss) | Fate::Truncated(loss) => sums.examples.push(Example {
                    class,
                    millis,
                    loss,
                }),
                Fate::Refused | Fate::Unprocessed => {}
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
            (0, Fate::Answered(200)),
            (60, Fate::Answered(204)),
            (10, Fate::Unexpected(503)),
            (70, Fate::Unexpected(404)),
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
        assert_eq!(sums.tally, Tally([1, 1, 1, 0, 1, 1, 1, 1]));
        assert_eq!(sums.tally.failed(), 2);
        assert_eq!(sums.tally.answered(), 2);
        assert_eq!(sums.tally.unexpected(), 2);
        assert_eq!(
            sums.statuses,
            Statuses::from([(200, 1), (204, 1), (404, 1), (503, 1)])
        );
        assert_eq!(sums.unexpected, Statuses::from([(404, 1), (503, 1)]));
        assert_eq!(sums.examples[0].class, Class::Truncated);
        assert_eq!(timeline.sum(-50..-49)[Class::AnsweredBefore], 1);
        assert_eq!(timeline.sum(10..20)[Class::AnsweredAfter], 1);
        assert_eq!(timeline.sum(10..21)[Class::Lost], 1);
        assert_eq!(timeline.last(), Some(20));
    }

    #[test]
    fn a_status_is_expected_alone_or_by_its_class() {
        let four = Expected::parse("404").unwrap();
        assert!(four.includes(404) && !four.includes(405));
        let threes = Expected::parse("3xx").unwrap();
        assert!(threes.includes(302) && !threes.includes(200));
        assert_eq!(
            (four.to_string(), threes.to_string()),
            ("404".into(), "3xx".into())
        );
        assert_eq!(Expected::parse("2xx"), Ok(Expected::SUCCESS));
        for wrong in ["", "xx", "1xx", "6xx", "100", "600", "2xxx", "two"] {
            assert!(Expected::parse(wrong).is_err(), "{wrong}");
        }
    }
}
