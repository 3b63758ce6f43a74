//! The log lines about requests that the server itself refuses. The debug level names
//! each request. The info level has one line for a burst, because a scanner must not
//! fill the log.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use http::StatusCode;

use crate::journal::Journal;
use crate::journal::note;

/// How long a burst is counted before its line is written.
const BURST: Duration = Duration::from_secs(1);

/// The shortest time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The statuses of refusals. Any other status is counted as the first of these.
const STATUSES: [StatusCode; 10] = [
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::EXPECTATION_FAILED,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::NOT_IMPLEMENTED,
    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
];

/// Counts refusals until they are logged. It has no lock, so no thread waits while
/// another one writes a line.
pub(crate) struct Refusals {
    counts: [AtomicU64; STATUSES.len()],
    /// There may be counts that are not logged yet. Set after a refusal is counted, and
    /// cleared before the counts are taken, so that no refusal is lost.
    has_counts: AtomicBool,
    /// The earliest time of the next line, in milliseconds since `started`.
    due_millis: AtomicU64,
    started: Instant,
}

/// How many requests were refused since the last line, for each status.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary([u64; STATUSES.len()]);

impl Refusals {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; STATUSES.len()],
            has_counts: AtomicBool::new(false),
            due_millis: AtomicU64::new(0),
            started: now,
        }
    }

    /// Counts a refusal with this status.
    pub(crate) fn count(&self, status: StatusCode, now: Instant) {
        let index = STATUSES.iter().position(|&known| known == status);
        debug_assert!(index.is_some(), "a refusal with {status}");
        self.counts[index.unwrap_or(0)].fetch_add(1, SeqCst);
        if !self.has_counts.load(SeqCst) {
            self.due_millis.fetch_max(self.millis(now + BURST), SeqCst);
        }
        self.has_counts.store(true, SeqCst);
    }

    /// Writes the line for the counts, if it is due. Usually nothing was counted, and
    /// the call costs one load.
    pub(crate) fn log_if_due(&self, journal: &Journal) {
        if self.has_counts.load(SeqCst)
            && let Some(summary) = self.take_if_due(Instant::now())
        {
            note!(journal, Info, "{summary}");
        }
    }

    /// Writes the line for the counts that are not logged yet, when the server ends.
    pub(crate) fn log_rest(&self, journal: &Journal) {
        if let Some(summary) = self.take() {
            note!(journal, Info, "{summary}");
        }
    }

    fn take_if_due(&self, now: Instant) -> Option<Summary> {
        if self.millis(now) < self.due_millis.load(SeqCst) {
            return None;
        }
        self.due_millis
            .fetch_max(self.millis(now + LINE_INTERVAL), SeqCst);
        self.take()
    }

    fn take(&self) -> Option<Summary> {
        if !self.has_counts.swap(false, SeqCst) {
            return None;
        }
        let mut summary = Summary::default();
        for (taken, count) in summary.0.iter_mut().zip(&self.counts) {
            *taken = count.swap(0, SeqCst);
        }
        (summary.total() > 0).then_some(summary)
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Summary {
    fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// `3 requests rejected (2 with 400, 1 with 408): the debug level names each`
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = match self.total() {
            1 => "1 request rejected (".to_owned(),
            total => format!("{total} requests rejected ("),
        };
        for (status, count) in STATUSES.iter().zip(self.0).filter(|&(_, count)| count > 0) {
            write!(f, "{before}{count} with {}", status.as_str())?;
            ", ".clone_into(&mut before);
        }
        f.write_str("): the debug level names each")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    const LATE: StatusCode = StatusCode::REQUEST_TIMEOUT;

    #[test]
    fn a_burst_is_one_line() {
        let start = Instant::now();
        let refusals = Refusals::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(refusals.take_if_due(at(5)), None, "nothing is counted");
        for _ in 0..40 {
            refusals.count(BAD, at(20));
        }
        refusals.count(LATE, at(20));
        assert_eq!(refusals.take_if_due(at(20)), None, "the burst may go on");
        let summary = refusals.take_if_due(at(21)).unwrap();
        assert_eq!(
            summary.to_string(),
            "41 requests rejected (40 with 400, 1 with 408): the debug level names each"
        );
        refusals.count(BAD, at(22));
        assert_eq!(
            refusals.take_if_due(at(23)),
            None,
            "the last line is recent"
        );
        let summary = refusals.take_if_due(at(31)).unwrap();
        assert_eq!(
            summary.to_string(),
            "1 request rejected (1 with 400): the debug level names each"
        );
        assert_eq!(refusals.take_if_due(at(99)), None, "all is logged");
    }

    #[test]
    fn the_last_refusals_are_logged_at_the_end() {
        let refusals = Refusals::new(Instant::now());
        assert_eq!(refusals.take(), None);
        refusals.count(LATE, Instant::now());
        assert_eq!(refusals.take().unwrap().total(), 1);
        assert_eq!(refusals.take(), None);
    }

    #[test]
    fn no_refusal_is_lost_while_several_threads_count_and_log() {
        let refusals = Refusals::new(Instant::now());
        let logged = AtomicU64::new(0);
        let take = || {
            let found = refusals.take().map_or(0, |summary| summary.total());
            logged.fetch_add(found, SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        refusals.count(BAD, refusals.started);
                        take();
                    }
                });
            }
        });
        take();
        assert_eq!(logged.into_inner(), 8_000);
    }
}
