//! The access log. It has one line for each request, in the
//! [`AccessLogFormat`] of the configuration, which has the fields.

mod common_log;
mod json;

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use httpdate::HttpDate;
use log::Level;

use super::exchange::Exchange;
use crate::address::PeerAddr;
use crate::config::AccessLogFormat;
use crate::http1::encode::LAST_DATE;
use crate::journal::ACCESS;
use crate::journal::Journal;
use crate::lifecycle::outcome::RequestOutcome;

pub(super) fn write(
    journal: &Journal,
    format: AccessLogFormat,
    peer: PeerAddr,
    exchange: &Exchange,
    outcome: RequestOutcome,
) {
    // Asked before the line is made: the logger may not want it.
    if !journal.wants(Level::Info) {
        return;
    }
    let took = exchange.began.elapsed();
    let began = SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH);
    let line = match format {
        AccessLogFormat::Common => common_log::line(peer, exchange, began, took),
        AccessLogFormat::Json => json::line(peer, exchange, outcome, began, took),
    };
    journal.write(Level::Info, ACCESS, format_args!("{line}"));
}

/// The smallest body that has a rate, in bytes. The kernel may take a smaller one at once,
/// and then the duration says nothing about the network.
const RATED_BYTES_MIN: u64 = 1 << 20;

/// Returns the rate in bytes a second.
fn rate(bytes: u64, took: Duration) -> Option<u64> {
    if bytes < RATED_BYTES_MIN {
        return None;
    }
    let rate = u128::from(bytes) * 1_000_000_000 / took.as_nanos().max(1);
    Some(u64::try_from(rate).unwrap_or(u64::MAX))
}

/// The day, the month's name, the year and the time of day in UTC. `None` for a time outside
/// of the years 1970 to 9999.
fn date_parts(at: SystemTime) -> Option<[String; 4]> {
    if at.duration_since(UNIX_EPOCH).ok()?.as_secs() > LAST_DATE {
        return None;
    }
    // As in `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = HttpDate::from(at).to_string();
    let mut words = date.split(' ').skip(1).map(str::to_owned);
    let mut next = || words.next();
    Some([next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http::StatusCode;

    use super::*;
    use crate::engine::slow_calls::CallKey;
    use crate::http1::request_line::RequestLine;
    use crate::lifecycle::method_label;

    /// An exchange with this head, and an answer of 2326 bytes after a head of 100.
    pub(super) fn exchange(head: &'static str) -> Exchange {
        Exchange {
            status: Some(StatusCode::OK),
            received_bytes: head.len() as u64,
            sent_bytes: 2426,
            sent_before_body: 100,
            began: Instant::now(),
            on_last_call: false,
            call_key: CallKey::default(),
            route: None,
            method: method_label::OTHER,
            is_urgent: false,
            request_line: Some(RequestLine::of_head(head.into())),
        }
    }

    #[test]
    fn only_a_large_body_has_a_rate_and_no_rate_overflows() {
        let second = Duration::from_secs(1);
        assert_eq!(rate((1 << 20) - 1, second), None);
        assert_eq!(rate(1 << 20, second), Some(1 << 20));
        assert_eq!(rate(u64::MAX, Duration::ZERO), Some(u64::MAX));
        assert_eq!(rate(1 << 20, Duration::MAX), Some(0));
    }
}
