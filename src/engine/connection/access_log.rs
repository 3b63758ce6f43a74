//! The access log. It has one line for each request: the common log format, followed by
//! the duration of the request in seconds, and the rate in bytes a second.
//!
//! ```text
//! 127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a HTTP/1.1" 200 2326 0.000211 -
//! 127.0.0.1 - - [06/Nov/1994:08:49:38 +0000] "GET /b.iso HTTP/1.1" 200 5368709120 48.120034 111569104
//! ```
//!
//! The time is the arrival of the request's first byte. The size is that of the body, as
//! far as it was sent. The rate is the size by the duration. A `-` stands for an unknown
//! value: the request line if the head was never complete, the status if the request
//! got no answer, the rate if the body was so small that the kernel may have taken it at
//! once.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use httpdate::HttpDate;
use log::Level;

use super::exchange::Exchange;
use crate::address::PeerAddr;
use crate::escaped::Escaped;
use crate::http1::encode::LAST_DATE;
use crate::journal::ACCESS;
use crate::journal::Journal;

pub(super) fn write(journal: &Journal, peer: PeerAddr, exchange: &Exchange) {
    let took = exchange.began.elapsed();
    let began = SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH);
    let line = line(peer, exchange, began, took);
    journal.write(Level::Info, ACCESS, format_args!("{line}"));
}

fn line(peer: PeerAddr, exchange: &Exchange, began: SystemTime, took: Duration) -> String {
    let request = match &exchange.request_line {
        Some(request_line) => format!("\"{}\"", Escaped(request_line.text())),
        None => "-".to_owned(),
    };
    let status = match exchange.status {
        Some(status) => status.as_str().to_owned(),
        None => "-".to_owned(),
    };
    let sent = exchange.body_bytes_sent();
    let rate = match rate(sent, took) {
        Some(rate) => rate.to_string(),
        None => "-".to_owned(),
    };
    format!(
        "{} - - [{}] {request} {status} {sent} {:.6} {rate}",
        host(peer),
        date(began),
        took.as_secs_f64()
    )
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

/// The IP address, or `unix:` for a unix socket, whose clients have none.
fn host(peer: PeerAddr) -> String {
    match peer.ip() {
        Some(ip) => ip.to_string(),
        None => "unix:".to_owned(),
    }
}

/// Returns `06/Nov/1994:08:49:37 +0000` for `Sun, 06 Nov 1994 08:49:37 GMT`. Returns
/// `-` for a time outside of the years 1970 to 9999.
fn date(at: SystemTime) -> String {
    let last = UNIX_EPOCH + Duration::from_secs(LAST_DATE);
    if !(UNIX_EPOCH..=last).contains(&at) {
        return "-".to_owned();
    }
    let date = HttpDate::from(at).to_string();
    let words: Vec<&str> = date.split(' ').collect();
    match words[..] {
        [_, day, month, year, time, _] => format!("{day}/{month}/{year}:{time} +0000"),
        _ => date,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http::StatusCode;

    use super::*;
    use crate::engine::slow_calls::CallKey;
    use crate::http1::request_line::RequestLine;
    use crate::lifecycle::method_label;

    #[test]
    fn a_line_is_in_the_common_log_format() {
        let head = "GET /a?b\\\u{202e} HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut exchange = Exchange {
            status: Some(StatusCode::OK),
            received_bytes: 0,
            sent_bytes: 2426,
            sent_before_body: 100,
            began: Instant::now(),
            on_last_call: false,
            call_key: CallKey::default(),
            route: None,
            method: method_label::OTHER,
            request_line: Some(RequestLine::of_head(head.into())),
        };
        let peer = PeerAddr::Inet("127.0.0.1:5".parse().unwrap());
        let began = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let took = Duration::from_micros(211);
        assert_eq!(
            line(peer, &exchange, began, took),
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \
             \"GET /a?b\\\\\\xe2\\x80\\xae HTTP/1.1\" 200 2326 0.000211 -"
        );
        exchange.sent_bytes = 100 + 5 * (1 << 30);
        let slow = Duration::from_secs(10);
        assert_eq!(
            line(peer, &exchange, began, slow),
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \
             \"GET /a?b\\\\\\xe2\\x80\\xae HTTP/1.1\" 200 5368709120 10.000000 536870912"
        );
        exchange.request_line = None;
        exchange.status = None;
        exchange.sent_bytes = 0;
        assert_eq!(
            line(peer, &exchange, began, took),
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] - - 0 0.000211 -"
        );
        assert_eq!(
            line(PeerAddr::Unix, &exchange, began, took),
            "unix: - - [06/Nov/1994:08:49:37 +0000] - - 0 0.000211 -"
        );
    }

    #[test]
    fn only_a_large_body_has_a_rate_and_no_rate_overflows() {
        let second = Duration::from_secs(1);
        assert_eq!(rate((1 << 20) - 1, second), None);
        assert_eq!(rate(1 << 20, second), Some(1 << 20));
        assert_eq!(rate(u64::MAX, Duration::ZERO), Some(u64::MAX));
        assert_eq!(rate(1 << 20, Duration::MAX), Some(0));
    }

    #[test]
    fn a_time_without_an_http_date_is_a_dash() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(date(at(LAST_DATE)), "31/Dec/9999:23:59:59 +0000");
        assert_eq!(date(at(LAST_DATE + 1)), "-");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "-");
    }
}
