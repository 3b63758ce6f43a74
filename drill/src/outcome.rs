//! How attempts ended, and counts of them.

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
/// An attempt is one request that a client set out to send. It has exactly one
/// outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A complete response with the expected status. This is the status.
    Answered(u16),
    /// A complete response with an unexpected status.
    UnexpectedStatus(u16),
    /// The connection was refused and nothing was sent: the client can safely
    /// send the request to another server.
    ConnectionRefused,
    /// Pipelined after a request whose response said `Connection: close`. By
    /// RFC 9112 section 9.6 it was not processed, and the client can safely
    /// send it again.
    Unprocessed,
    /// No byte of a response came.
    Lost(Loss),
    /// A part of a response came, but not all of it.
    Truncated(Loss),
}

/// Why an attempt was lost or its response truncated, and at which stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) stage: AttemptStage,
    pub(super) cause: LossCause,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptStage {
    /// The handshake has not completed.
    Connecting,
    /// The connection is new, and nothing has been sent on it.
    Connected,
    /// A part of the request has been sent, or all of it.
    Sent,
    /// A part of the response has come.
    ReceivingResponse,
}

/// Why an attempt did not get a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LossCause {
    /// The server closed its side in an orderly way.
    Eof,
    /// The connection was reset.
    Reset,
    /// Nothing came for as long as the client waits.
    Timeout,
    /// The bytes that came are not a response.
    Malformed(&'static str),
}

impl Loss {
    /// A phrase for people.
    pub(super) fn explain(self, patience: Duration) -> String {
        let patience = humantime::format_duration(patience);
        match (self.stage, self.cause) {
            (AttemptStage::Connecting, LossCause::Timeout) => {
                format!("no connection within {patience}")
            }
            (AttemptStage::Connecting, _) => "the handshake failed".to_owned(),
            (AttemptStage::Connected, _) => "reset after the connection was established".to_owned(),
            (AttemptStage::Sent, LossCause::Eof) => "closed before a response".to_owned(),
            (AttemptStage::Sent, LossCause::Reset) => "reset after the request was sent".to_owned(),
            (AttemptStage::Sent, LossCause::Timeout) => format!("no response within {patience}"),
            (AttemptStage::ReceivingResponse, LossCause::Eof) => {
                "closed in the middle of the response".to_owned()
            }
            (AttemptStage::ReceivingResponse, LossCause::Reset) => {
                "reset in the middle of the response".to_owned()
            }
            (AttemptStage::ReceivingResponse, LossCause::Timeout) => {
                format!("no byte within {patience} in the middle of the response")
            }
            (_, LossCause::Malformed(why)) => format!("not a valid response: {why}"),
        }
    }
}

/// The status that a response should have: one status or a class, such as `404`
/// or `2xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Status(u16),
    Class(u16),
}

impl Expected {
    /// The default.
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
            .ok_or_else(|| "write a status such as 404, or a class such as 4xx".to_owned())
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
    pub(super) outcome: Outcome,
    pub(super) ended: Instant,
}

/// The classes that attempts are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    AnsweredBefore,
    AnsweredAfter,
    ConnectionRefused,
    Unprocessed,
    /// A response with an unexpected status below 500.
    AnsweredOther,
    Answered5xx,
    Lost,
    Truncated,
}

impl Class {
    pub(super) const ALL: [Self; 8] = [
        Self::AnsweredBefore,
        Self::AnsweredAfter,
        Self::ConnectionRefused,
        Self::Unprocessed,
        Self::AnsweredOther,
        Self::Answered5xx,
        Self::Lost,
        Self::Truncated,
    ];

    /// The key in JSON. In the table, blanks take the place of `_`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AnsweredBefore => "answered_before",
            Self::AnsweredAfter => "answered_after",
            Self::ConnectionRefused => "refused",
            Self::Unprocessed => "unprocessed",
            Self::AnsweredOther => "answered_other",
            Self::Answered5xx => "answered_5xx",
            Self::Lost => "lost",
            Self::Truncated => "truncated",
        }
    }

    fn of(attempt: &Attempt, stop: Instant) -> Self {
        match attempt.outcome {
            Outcome::Answered(_) if attempt.ended < stop => Self::AnsweredBefore,
            Outcome::Answered(_) => Self::AnsweredAfter,
            Outcome::UnexpectedStatus(500..) => Self::Answered5xx,
            Outcome::UnexpectedStatus(_) => Self::AnsweredOther,
            Outcome::ConnectionRefused => Self::ConnectionRefused,
            Outcome::Unprocessed => Self::Unprocessed,
            Outcome::Lost(_) => Self::Lost,
            Outcome::Truncated(_) => Self::Truncated,
        }
    }
}

/// How many attempts are in each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassCounts([u64; Class::ALL.len()]);

impl Index<Class> for ClassCounts {
    type Output = u64;

    fn index(&self, class: Class) -> &u64 {
        &self.0[class as usize]
    }
}

impl IndexMut<Class> for ClassCounts {
    fn index_mut(&mut self, class: Class) -> &mut u64 {
        &mut self.0[class as usize]
    }
}

impl AddAssign for ClassCounts {
    fn add_assign(&mut self, other: Self) {
        for class in Class::ALL {
            self[class] += other[class];
        }
    }
}

impl ClassCounts {
    /// Attempts that a graceful stop does not have.
    pub(super) fn lost_or_truncated(&self) -> u64 {
        self[Class::Lost] + self[Class::Truncated]
    }

    /// Responses with the expected status.
    pub(super) fn answered(&self) -> u64 {
        self[Class::AnsweredBefore] + self[Class::AnsweredAfter]
    }

    /// Responses with an unexpected status.
    pub(super) fn unexpected(&self) -> u64 {
        self[Class::AnsweredOther] + self[Class::Answered5xx]
    }
}

/// Milliseconds from the stop; negative before the stop.
pub(super) fn millis_from(stop: Instant, at: Instant) -> f64 {
    match at.checked_duration_since(stop) {
        Some(after) => after.as_secs_f64() * 1e3,
        None => stop.duration_since(at).as_secs_f64() * -1e3,
    }
}

/// Counts for each millisecond from the stop, for the chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline(BTreeMap<i64, ClassCounts>);

impl Timeline {
    /// The counts of these milliseconds.
    pub(super) fn sum(&self, millis: Range<i64>) -> ClassCounts {
        let mut sum = ClassCounts::default();
        for (_, &by_class) in self.0.range(millis) {
            sum += by_class;
        }
        sum
    }

    /// The last millisecond in which an attempt ended other than by a refused
    /// connection. A client that repeats its SYN may be refused long after the
    /// stop.
    pub(super) fn last(&self) -> Option<i64> {
        let others = Class::ALL
            .into_iter()
            .filter(|&class| class != Class::ConnectionRefused);
        let refused_alone =
            |by_class: &ClassCounts| others.clone().all(|class| by_class[class] == 0);
        let mut ends = self.0.iter().rev();
        ends.find(|(_, by_class)| !refused_alone(by_class))
            .map(|(&millis, _)| millis)
    }

    fn add(&mut self, millis: f64, class: Class) {
        self.0.entry(millis.floor() as i64).or_default()[class] += 1;
    }
}

/// How many responses had each status.
pub(super) type Statuses = BTreeMap<u16, u64>;

/// A lost or truncated request, for the output.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) class: Class,
    pub(super) millis: f64,
    pub(super) loss: Loss,
}

/// The counts of a round's attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundCounts {
    pub(super) by_class: ClassCounts,
    pub(super) statuses: Statuses,
    /// The statuses that were unexpected.
    pub(super) unexpected: Statuses,
    /// The first lost and truncated requests.
    pub(super) examples: Vec<Example>,
}

impl RoundCounts {
    /// How many examples are printed at most.
    pub(super) const EXAMPLES_MAX: usize = 5;

    pub(super) fn of(attempts: &[Attempt], stop: Instant, timeline: &mut Timeline) -> Self {
        let mut counts = Self::default();
        for attempt in attempts {
            let class = Class::of(attempt, stop);
            let millis = millis_from(stop, attempt.ended);
            counts.by_class[class] += 1;
            timeline.add(millis, class);
            match attempt.outcome {
                Outcome::Answered(status) => *counts.statuses.entry(status).or_default() += 1,
                Outcome::UnexpectedStatus(status) => {
                    *counts.statuses.entry(status).or_default() += 1;
                    *counts.unexpected.entry(status).or_default() += 1;
                }
                Outcome::Lost(loss) | Outcome::Truncated(loss) => counts.examples.push(Example {
                    class,
                    millis,
                    loss,
                }),
                Outcome::ConnectionRefused | Outcome::Unprocessed => {}
            }
        }
        counts
            .examples
            .sort_by(|a, b| a.millis.total_cmp(&b.millis));
        counts.examples.truncate(Self::EXAMPLES_MAX);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_responses_with_the_expected_status_count_before_or_after_the_stop() {
        let start = Instant::now();
        let stop = start + Duration::from_millis(50);
        let loss = Loss {
            stage: AttemptStage::Sent,
            cause: LossCause::Eof,
        };
        let outcomes = [
            (0, Outcome::Answered(200)),
            (60, Outcome::Answered(204)),
            (10, Outcome::UnexpectedStatus(503)),
            (70, Outcome::UnexpectedStatus(404)),
            (70, Outcome::ConnectionRefused),
            (70, Outcome::Lost(loss)),
            (20, Outcome::Truncated(loss)),
        ];
        let attempts = outcomes.map(|(millis, outcome)| Attempt {
            outcome,
            ended: start + Duration::from_millis(millis),
        });
        let mut timeline = Timeline::default();
        let counts = RoundCounts::of(&attempts, stop, &mut timeline);
        assert_eq!(counts.by_class, ClassCounts([1, 1, 1, 0, 1, 1, 1, 1]));
        assert_eq!(counts.by_class.lost_or_truncated(), 2);
        assert_eq!(counts.by_class.answered(), 2);
        assert_eq!(counts.by_class.unexpected(), 2);
        assert_eq!(
            counts.statuses,
            Statuses::from([(200, 1), (204, 1), (404, 1), (503, 1)])
        );
        assert_eq!(counts.unexpected, Statuses::from([(404, 1), (503, 1)]));
        assert_eq!(counts.examples[0].class, Class::Truncated);
        assert_eq!(timeline.sum(-50..-49)[Class::AnsweredBefore], 1);
        assert_eq!(timeline.sum(10..20)[Class::AnsweredAfter], 1);
        assert_eq!(timeline.sum(10..21)[Class::Lost], 1);
        assert_eq!(timeline.last(), Some(20));
    }

    #[test]
    fn the_expected_status_is_one_status_or_a_class() {
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
