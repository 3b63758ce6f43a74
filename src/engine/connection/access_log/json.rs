//! A line that is a JSON object. It is written by hand, because the library has `serde_json`
//! with some features only.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use super::super::exchange::Exchange;
use super::date_parts;
use super::rate;
use crate::address::PeerAddr;
use crate::escaped::JsonString;
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::outcome::RequestOutcome;

pub(super) fn line(
    peer: PeerAddr,
    exchange: &Exchange,
    outcome: RequestOutcome,
    began: SystemTime,
    took: Duration,
) -> String {
    let request_line = exchange.request_line.as_ref().map(|line| line.text());
    let [method, target, version] = request_line.as_deref().map_or([None; 3], parts);
    let address = peer.socket_addr();
    let sent = exchange.body_bytes_sent();
    format!(
        "{{\"time\":{},\"client\":{},\"port\":{},\"method\":{},\"target\":{},\"version\":{},\
         \"status\":{},\"outcome\":\"{}\",\"request_bytes\":{},\"body_bytes\":{sent},\
         \"seconds\":{:.6},\"bytes_per_second\":{}}}",
        OrNull(time(began).map(JsonString)),
        OrNull(address.map(|address| JsonString(address.ip()))),
        OrNull(address.map(|address| address.port())),
        OrNull(method.map(JsonString)),
        OrNull(target.map(JsonString)),
        OrNull(version.map(JsonString)),
        OrNull(exchange.status.map(|status| status.as_u16())),
        outcome.name().replace(' ', "_"),
        exchange.received_bytes,
        took.as_secs_f64(),
        OrNull(rate(sent, took)),
    )
}

/// A value, or `null`.
struct OrNull<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// The method, the target and the version. None of them has a blank in a valid head.
fn parts(request_line: &str) -> [Option<&str>; 3] {
    let mut words = request_line.splitn(3, ' ');
    [words.next(), words.next(), words.next()]
}

/// Returns `1994-11-06T08:49:37.250Z`. `None` for a time outside of the years 1970 to 9999.
fn time(at: SystemTime) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];

    let [day, month, year, time] = date_parts(at)?;
    let month = 1 + MONTHS.iter().position(|&name| name == month)?;
    let millis = at.duration_since(UNIX_EPOCH).ok()?.subsec_millis();
    Some(format!("{year}-{month:02}-{day}T{time}.{millis:03}Z"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::super::tests::exchange;
    use super::*;
    use crate::http1::encode::LAST_DATE;

    #[test]
    fn a_line_is_a_json_object_with_every_field() {
        let mut exchange = exchange("GET /a?b\\\"\u{202e}\u{1f600} HTTP/1.1\r\nHost: a\r\n\r\n");
        let inet = PeerAddr::Inet("127.0.0.1:5".parse().unwrap());
        let began = UNIX_EPOCH + Duration::from_millis(784_111_777_042);
        let took = Duration::from_micros(211);
        let parsed = |peer, exchange: &Exchange, outcome| -> Value {
            let line = line(peer, exchange, outcome, began, took);
            assert!(
                line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{line}"
            );
            serde_json::from_str(&line).unwrap()
        };
        assert_eq!(
            parsed(inet, &exchange, RequestOutcome::Answered),
            json!({
                "time": "1994-11-06T08:49:37.042Z", "client": "127.0.0.1", "port": 5,
                "method": "GET", "target": "/a?b\\\"\u{202e}\u{1f600}", "version": "HTTP/1.1",
                "status": 200, "outcome": "answered", "request_bytes": exchange.received_bytes, "body_bytes": 2326,
                "seconds": 0.000_211, "bytes_per_second": null
            })
        );
        exchange.request_line = None;
        exchange.status = None;
        exchange.sent_bytes = 0;
        assert_eq!(
            parsed(
                PeerAddr::Unix,
                &exchange,
                RequestOutcome::ClientDisconnected
            ),
            json!({
                "time": "1994-11-06T08:49:37.042Z", "client": null, "port": null,
                "method": null, "target": null, "version": null,
                "status": null, "outcome": "client_disconnected",
                "request_bytes": exchange.received_bytes, "body_bytes": 0, "seconds": 0.000_211, "bytes_per_second": null
            })
        );
    }

    #[test]
    fn a_large_body_has_a_rate() {
        let mut exchange = exchange("GET / HTTP/1.1\r\n\r\n");
        exchange.sent_bytes = 100 + (5 << 30);
        let took = Duration::from_secs(10);
        let line = line(
            PeerAddr::Unix,
            &exchange,
            RequestOutcome::Cut,
            UNIX_EPOCH,
            took,
        );
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["bytes_per_second"], 536_870_912);
        assert_eq!(line["seconds"], 10.0);
    }

    #[test]
    fn a_time_is_in_the_form_of_rfc_3339_or_unknown() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (LAST_DATE, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(time(at(seconds)).as_deref(), Some(expected));
        }
        assert_eq!(time(at(LAST_DATE + 1)), None);
        assert_eq!(time(UNIX_EPOCH - Duration::from_millis(1)), None);
    }
}
