//! Limits the log lines about requests that may not stop the server: a client can send
//! such requests as fast as it likes.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// The shortest time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Counts the denials that get no line.
#[derive(Debug, Default)]
pub(super) struct DenialLog(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    last_line: Option<Instant>,
    without_line: u64,
}

impl DenialLog {
    /// Counts a denial. If it gets a line, returns how many before it got none.
    pub(super) fn count(&self, now: Instant) -> Option<u64> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = recent
            .last_line
            .map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since < LINE_INTERVAL) {
            recent.without_line += 1;
            return None;
        }
        recent.last_line = Some(now);
        Some(std::mem::take(&mut recent.without_line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_has_a_line_a_second_and_its_count() {
        let log = DenialLog::default();
        let start = Instant::now();
        let at = |millis| log.count(start + Duration::from_millis(millis));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(0), at(400), at(999)), (None, None, None));
        assert_eq!(at(1_000), Some(3));
        assert_eq!(at(1_999), None);
        assert_eq!(at(9_000), Some(1));
        assert_eq!(at(10_000), Some(0));
    }
}
