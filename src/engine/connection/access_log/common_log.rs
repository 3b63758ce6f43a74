//! A line in the common log format, followed by the duration of the request in seconds, and
//! the rate in bytes a second.

use std::time::Duration;
use std::time::SystemTime;

use super::super::exchange::Exchange;
use super::date_parts;
use super::rate;
use crate::address::PeerAddr;
use crate::escaped::Escaped;

pub(super) fn line(
    peer: PeerAddr,
    exchange: &Exchange,
    began: SystemTime,
    took: Duration,
) -> String {
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
    match date_parts(at) {
        Some([day, month, year, time]) => format!("{day}/{month}/{year}:{time} +0000"),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::tests::exchange;
    use super::*;
    use crate::http1::encode::LAST_DATE;

    #[test]
    fn a_line_is_in_the_common_log_format() {
        let mut exchange = exchange("GET /a?b\\\u{202e} HTTP/1.1\r\nHost: a\r\n\r\n");
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
    fn a_time_without_an_http_date_is_a_dash() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(date(at(LAST_DATE)), "31/Dec/9999:23:59:59 +0000");
        assert_eq!(date(at(LAST_DATE + 1)), "-");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "-");
    }
}
