//! What is said of the requests that the server itself refuses. The debug level
//! names each; the info level has one line for a burst of them, since a scanner
//! must not fill the log.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use http::StatusCode;

use crate::journal::Journal;
use crate::journal::note;

/// How long a burst is counted before the line is written.
const GATHER: Duration = Duration::from_secs(1);

/// How long there is no other line after one.
const PAUSE: Duration = Duration::from_secs(10);

/// The statuses of refusals. One that is not here is counted in the first place.
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

/// Counts refusals until they are told. It has no lock, so nothing is held while
/// a line is written.
pub(crate) struct Refusals {
    counts: [AtomicU64; STATUSES.len()],
    /// There may be a count that is not told. Set behind the count, and cleared
    /// before the counts are taken, so none is forgotten.
    pending: AtomicBool,
    /// Before that, nothing is told: milliseconds since `started`.
    due: AtomicU64,
    started: Instant,
}

/// How many requests were refused since the last line, with which statuses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told([u64; STATUSES.len()]);

impl Refusals {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; STATUSES.len()],
            pending: AtomicBool::new(false),
            due: AtomicU64::new(0),
            started: now,
        }
    }

    /// Counts one, at this moment.
    pub(crate) fn note(&self, status: StatusCode, now: Instant) {
        let place = STATUSES.iter().position(|&known| known == status);
        debug_assert!(place.is_some(), "a refusal with {status}");
        self.counts[place.unwrap_or(0)].fetch_add(1, SeqCst);
        if !self.pending.load(SeqCst) {
            self.due.fetch_max(self.millis(now + GATHER), SeqCst);
        }
        self.pending.store(true, SeqCst);
    }

    /// Writes the line for what was counted, if it is time for it. If nothing was,
    /// as a rule, this costs one load.
    pub(crate) fn tell_if_due(&self, journal: &Journal) {
        if self.pending.load(SeqCst)
            && let Some(told) = self.take_if_due(Instant::now())
        {
            note!(journal, Info, "{told}");
        }
    }

    /// At the end of the server: writes the line for what was counted last.
    pub(crate) fn tell_rest(&self, journal: &Journal) {
        if let Some(told) = self.take() {
            note!(journal, Info, "{told}");
        }
    }

    fn take_if_due(&self, now: Instant) -> Option<Told> {
        if self.millis(now) < self.due.load(SeqCst) {
            return None;
        }
        self.due.fetch_max(self.millis(now + PAUSE), SeqCst);
        self.take()
    }

    fn take(&self) -> Option<Told> {
        if !self.pending.swap(false, SeqCst) {
            return None;
        }
        let mut told = Told::default();
        for (taken, count) in told.0.iter_mut().zip(&self.counts) {
            *taken = count.swap(0, SeqCst);
        }
        (told.total() > 0).then_some(told)
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Told {
    fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// `3 requests refused (2 with 400, 1 with 408): the debug level names each`
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = match self.total() {
            1 => "1 request refused (".to_owned(),
            total => format!("{total} requests refused ("),
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
        assert_eq!(refusals.take_if_due(at(5)), None, "nothing to tell");
        for _ in 0..40 {
            refusals.note(BAD, at(20));
        }
        refusals.note(LATE, at(20));
        assert_eq!(refusals.take_if_due(at(20)), None, "it may go on");
        let told = refusals.take_if_due(at(21)).unwrap();
        assert_eq!(
            told.to_string(),
            "41 requests refused (40 with 400, 1 with 408): the debug level names each"
        );
        refusals.note(BAD, at(22));
        assert_eq!(refusals.take_if_due(at(23)), None, "one line was enough");
        let told = refusals.take_if_due(at(31)).unwrap();
        assert_eq!(
            told.to_string(),
            "1 request refused (1 with 400): the debug level names each"
        );
        assert_eq!(refusals.take_if_due(at(99)), None, "all is told");
    }

    #[test]
    fn the_last_ones_are_told_at_the_end() {
        let refusals = Refusals::new(Instant::now());
        assert_eq!(refusals.take(), None);
        refusals.note(LATE, Instant::now());
        assert_eq!(refusals.take().unwrap().total(), 1);
        assert_eq!(refusals.take(), None);
    }

    #[test]
    fn none_is_forgotten_however_many_threads_count_and_tell() {
        let refusals = Refusals::new(Instant::now());
        let told = AtomicU64::new(0);
        let take = || {
            let found = refusals.take().map_or(0, |told| told.total());
            told.fetch_add(found, SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        refusals.note(BAD, refusals.started);
                        take();
                    }
                });
            }
        });
        take();
        assert_eq!(told.into_inner(), 8_000);
    }
}
