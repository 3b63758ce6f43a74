//! `Serialize` for values of this module, with the feature `serde`. The words are those
//! of the program's report. Durations are in seconds. Names of outcomes and phases have
//! `_` for blanks.

mod activity;
mod totals;

use std::time::Duration;

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct;

use super::counts::Counts;
use super::outcome::ConnectionOutcome;
use super::outcome::Outcome;
use super::outcome::RequestOutcome;
use super::outcome::Tally;
use super::phase::Abort;
use super::phase::Phase;
use super::phase::Trigger;
use super::report::CutRequest;
use super::report::Report;
use super::report::Unreturned;

/// An object with the fields of the report, in groups for connections and requests.
/// [`Report::all_answered`] is a field too.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
/// server.shutdown_handle().shutdown();
/// let report = server.serve(|_: farewell::Request| "hello\n")?;
/// let json = serde_json::to_value(&report)?;
/// assert_eq!(json["trigger"]["by"], "call");
/// assert_eq!(json["requests"]["ended"]["answered"], 0);
/// # Ok(())
/// # }
/// ```
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = |duration: Option<Duration>| duration.map(|it| it.as_secs_f64());
        let connections = ReportedConnections {
            accepted: self.accepted,
            ended: &self.connections,
            ended_after_trigger: &self.connections_after_trigger,
        };
        let requests = ReportedRequests {
            begun: self.begun,
            ended: &self.requests,
            ended_after_trigger: &self.requests_after_trigger,
            answered_on_last_call: self.answered_on_last_call,
        };
        let mut fields = serializer.serialize_struct("Report", 14)?;
        fields.serialize_field("trigger", &self.trigger)?;
        fields.serialize_field("abort", &self.abort)?;
        fields.serialize_field("seconds", &self.duration.as_secs_f64())?;
        fields.serialize_field("draining_after_seconds", &seconds(self.draining_after))?;
        fields.serialize_field("refusing_after_seconds", &seconds(self.refusing_after))?;
        fields.serialize_field("aborted_after_seconds", &seconds(self.aborted_after))?;
        fields.serialize_field("all_answered", &self.all_answered())?;
        fields.serialize_field("connections", &connections)?;
        fields.serialize_field("requests", &requests)?;
        fields.serialize_field("followers", &self.followers)?;
        fields.serialize_field("cut", &self.cut)?;
        fields.serialize_field("backlog_abandoned", &self.backlog_abandoned)?;
        fields.serialize_field("threads_left", &self.threads_left)?;
        fields.serialize_field("unreturned", &self.unreturned)?;
        fields.end()
    }
}

struct ReportedConnections<'a> {
    accepted: u64,
    ended: &'a Tally<ConnectionOutcome>,
    ended_after_trigger: &'a Tally<ConnectionOutcome>,
}

impl Serialize for ReportedConnections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Connections", 3)?;
        fields.serialize_field("accepted", &self.accepted)?;
        fields.serialize_field("ended", self.ended)?;
        fields.serialize_field("ended_after_trigger", self.ended_after_trigger)?;
        fields.end()
    }
}

struct ReportedRequests<'a> {
    begun: u64,
    ended: &'a Tally<RequestOutcome>,
    ended_after_trigger: &'a Tally<RequestOutcome>,
    answered_on_last_call: u64,
}

impl Serialize for ReportedRequests<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Requests", 4)?;
        fields.serialize_field("begun", &self.begun)?;
        fields.serialize_field("ended", self.ended)?;
        fields.serialize_field("ended_after_trigger", self.ended_after_trigger)?;
        fields.serialize_field("answered_on_last_call", &self.answered_on_last_call)?;
        fields.end()
    }
}

impl Serialize for CutRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("CutRequest", 6)?;
        fields.serialize_field("route", &self.route)?;
        fields.serialize_field("peer", &self.peer.to_string())?;
        fields.serialize_field("seconds", &self.age.as_secs_f64())?;
        fields.serialize_field("handler_running", &self.handler_running)?;
        fields.serialize_field("response_bytes_sent", &self.response_bytes_sent)?;
        fields.serialize_field("response_bytes_total", &self.response_bytes_total)?;
        fields.end()
    }
}

/// The fields of the request are `null` if there is none.
impl Serialize for Unreturned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request.as_ref();
        let route = request.map(|request| &request.route);
        let peer = request.map(|request| request.peer.to_string());
        let seconds = request.map(|request| request.age.as_secs_f64());
        let mut fields = serializer.serialize_struct("Unreturned", 4)?;
        fields.serialize_field("code", &self.code.to_string())?;
        fields.serialize_field("route", &route)?;
        fields.serialize_field("peer", &peer)?;
        fields.serialize_field("seconds", &seconds)?;
        fields.end()
    }
}

/// An object: what it was in `by`, and for a request its `peer`.
impl Serialize for Trigger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (by, peer) = match self {
            Self::Call => ("call", None),
            Self::Signal => ("signal", None),
            Self::Request(peer) => ("request", Some(peer)),
            Self::Restart => ("restart", None),
            Self::Failure => ("failure", None),
        };
        let fields_count = 1 + usize::from(peer.is_some());
        let mut fields = serializer.serialize_struct("Trigger", fields_count)?;
        fields.serialize_field("by", by)?;
        if let Some(peer) = peer {
            fields.serialize_field("peer", &peer.to_string())?;
        }
        fields.end()
    }
}

/// `"deadline"`, or the trigger.
impl Serialize for Abort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Deadline => serializer.serialize_str("deadline"),
            Self::Requested(trigger) => trigger.serialize(serializer),
        }
    }
}

/// The name, such as `"lame_duck"`.
impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&with_underscores(&self.to_string()))
    }
}

/// The name, such as `"closed_idle"`.
impl Serialize for ConnectionOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&with_underscores(self.name()))
    }
}

/// The name, such as `"handler_panicked"`.
impl Serialize for RequestOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&with_underscores(self.name()))
    }
}

/// A map from each outcome to its count, which may be 0.
impl<O: Outcome> Serialize for Tally<O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.iter();
        serializer
            .collect_map(counts.map(|(outcome, count)| (with_underscores(outcome.name()), count)))
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Counts", 8)?;
        fields.serialize_field("open", &self.open)?;
        fields.serialize_field("in_progress", &self.in_progress)?;
        fields.serialize_field("waiting", &self.waiting)?;
        fields.serialize_field("idle", &self.idle)?;
        fields.serialize_field("lingering", &self.lingering)?;
        fields.serialize_field("upgraded", &self.upgraded)?;
        fields.serialize_field("followers", &self.followers)?;
        fields.serialize_field("response_bytes_left", &self.response_bytes_left)?;
        fields.end()
    }
}

fn with_underscores(name: &str) -> String {
    name.replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde_json::json;

    use super::*;
    use crate::address::PeerAddr;
    use crate::config::Config;
    use crate::lifecycle::accounting::Accounting;
    use crate::lifecycle::phase::Lifecycle;
    use crate::lifecycle::report::UnreturnedRequest;
    use crate::lifecycle::report::UserCode;

    fn accounting() -> Accounting {
        Accounting::new(std::sync::Arc::new(Lifecycle::new(&Config::default())))
    }

    #[test]
    fn a_report_has_groups_names_and_seconds() {
        let peer: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let peer = PeerAddr::from(peer);
        let mut report = accounting().report();
        report.trigger = Trigger::Request(peer);
        report.abort = Some(Abort::Requested(Trigger::Signal));
        report.duration = Duration::from_millis(1500);
        report.draining_after = Some(Duration::from_millis(500));
        report.cut.push(CutRequest {
            route: "GET /slow".to_owned(),
            peer,
            age: Duration::from_secs(2),
            handler_running: true,
            response_bytes_sent: 0,
            response_bytes_total: None,
        });
        let request = UnreturnedRequest {
            route: "GET /slow".to_owned(),
            peer,
            age: Duration::from_secs(2),
        };
        report.unreturned.push(Unreturned {
            code: UserCode::Handler,
            request: Some(request),
        });
        report.unreturned.push(Unreturned {
            code: UserCode::Logger,
            request: None,
        });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            json["trigger"],
            json!({"by": "request", "peer": "127.0.0.1:5"})
        );
        assert_eq!(json["abort"], json!({"by": "signal"}));
        assert_eq!(json["seconds"], 1.5);
        assert_eq!(json["draining_after_seconds"], 0.5);
        assert_eq!(json["aborted_after_seconds"], json!(null));
        assert_eq!(json["connections"]["ended"]["closed_idle"], 0);
        assert_eq!(json["requests"]["ended_after_trigger"]["answered_503"], 0);
        let cut = json!({
            "route": "GET /slow", "peer": "127.0.0.1:5", "seconds": 2.0, "handler_running": true,
            "response_bytes_sent": 0, "response_bytes_total": null,
        });
        assert_eq!(json["cut"], json!([cut]));
        let unreturned = json!([
            {"code": "the handler", "route": "GET /slow", "peer": "127.0.0.1:5", "seconds": 2.0},
            {"code": "the logger", "route": null, "peer": null, "seconds": null},
        ]);
        assert_eq!(json["unreturned"], unreturned);
        report.abort = Some(Abort::Deadline);
        assert_eq!(serde_json::to_value(&report).unwrap()["abort"], "deadline");
    }

    #[test]
    fn totals_have_the_timings_of_the_stop() {
        let life = std::sync::Arc::new(Lifecycle::new(&Config::default()));
        life.shutdown(Trigger::Signal);
        let totals = Accounting::new(life).totals();
        let json = serde_json::to_value(totals).unwrap();
        assert_eq!(json["stop"]["draining_after_seconds"], 0.0);
        assert_eq!(json["stop"]["aborted_after_seconds"], json!(null));
        let left = json["stop"]["seconds_left"].as_f64().unwrap();
        let timeout = Config::default().drain_timeout.as_secs_f64();
        assert!(left > 0.0 && left <= timeout, "{json}");
    }

    #[test]
    fn totals_and_counts_are_objects() {
        let accounting = accounting();
        let json = serde_json::to_value(accounting.totals()).unwrap();
        assert_eq!(json["connections"]["accepted"], 0);
        assert_eq!(json["requests"]["ended"]["handler_panicked"], 0);
        assert_eq!(json["requests"]["statuses"], json!({}));
        assert_eq!(json["requests"]["methods"]["GET"], 0);
        assert_eq!(json["requests"]["rejections"]["head_timeout"], 0);
        assert_eq!(json["requests"]["handler_panics"], 0);
        assert_eq!(json["requests"]["queued"]["count"], 0);
        assert_eq!(json["stop"], json!(null));
        let route = &json["requests"]["routes"][0];
        assert_eq!(route["route"], json!(null));
        let classes = json!({"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0});
        assert_eq!(route["statuses"], classes);
        assert_eq!(route["durations"]["buckets"][0], json!([0.0001, 0]));
        let json = serde_json::to_value(accounting.counts()).unwrap();
        assert_eq!(json["in_progress"], 0);
        assert_eq!(serde_json::to_value(Phase::LameDuck).unwrap(), "lame_duck");
        let outcome = serde_json::to_value(RequestOutcome::Unavailable).unwrap();
        assert_eq!(outcome, "answered_503");
    }
}
