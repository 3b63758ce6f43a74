//! The report as JSON.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::outcome::Tally;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Trigger;
use crate::lifecycle::report::Report;

impl Report {
    /// The report as one JSON object, in one line without a line end. Needs the
    /// feature `stop-routes`. It is the last line that a client of
    /// [`StopRoutes`](crate::StopRoutes) with `?wait` gets.
    ///
    /// Durations are in seconds. The keys of outcomes are their names, with `_` for
    /// blanks. Later versions may add keys.
    ///
    /// ```
    /// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
    /// server.shutdown_handle().shutdown();
    /// let report = server.serve(|_: farewell::Request| "hello\n")?;
    /// let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    /// assert_eq!(json["all_answered"], true);
    /// assert_eq!(json["trigger"]["by"], "call");
    /// assert_eq!(json["requests"]["ended"]["cut"], 0);
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        value(self).to_string()
    }
}

fn value(report: &Report) -> Value {
    let cut: Vec<Value> = report
        .cut
        .iter()
        .map(|cut| {
            json!({
                "route": cut.route,
                "peer": cut.peer.to_string(),
                "seconds": cut.age.as_secs_f64(),
                "handler_running": cut.handler_running,
            })
        })
        .collect();
    let unreturned: Vec<Value> = report
        .unreturned
        .iter()
        .map(|unreturned| {
            let request = unreturned.request.as_ref();
            json!({
                "code": unreturned.code.to_string(),
                "route": request.map(|request| &request.route),
                "peer": request.map(|request| request.peer.to_string()),
                "seconds": request.map(|request| request.age.as_secs_f64()),
            })
        })
        .collect();
    json!({
        "trigger": trigger(report.trigger),
        "abort": report.abort.map(|abort| match abort {
            Abort::Deadline => json!("deadline"),
            Abort::Requested(by) => trigger(by),
        }),
        "seconds": report.duration.as_secs_f64(),
        "draining_after_seconds": seconds(report.draining_after),
        "refusing_after_seconds": seconds(report.refusing_after),
        "aborted_after_seconds": seconds(report.aborted_after),
        "all_answered": report.all_answered(),
        "connections": {
            "accepted": report.accepted,
            "ended": tally(&report.connections),
            "ended_after_trigger": tally(&report.connections_after_trigger),
        },
        "requests": {
            "begun": report.begun,
            "ended": tally(&report.requests),
            "ended_after_trigger": tally(&report.requests_after_trigger),
            "answered_on_last_call": report.answered_on_last_call,
        },
        "followers": report.followers,
        "cut": cut,
        "backlog_abandoned": report.backlog_abandoned,
        "threads_left": report.threads_left,
        "unreturned": unreturned,
    })
}

fn trigger(trigger: Trigger) -> Value {
    match trigger {
        Trigger::Call => json!({ "by": "call" }),
        Trigger::Signal => json!({ "by": "signal" }),
        Trigger::Failure => json!({ "by": "failure" }),
        Trigger::Request(peer) => json!({ "by": "request", "peer": peer.to_string() }),
    }
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64())
}

fn tally<O: Outcome>(tally: &Tally<O>) -> Value {
    let counts: Map<String, Value> = tally
        .iter()
        .map(|(outcome, count)| (outcome.name().replace(' ', "_"), json!(count)))
        .collect();
    Value::Object(counts)
}
