//! What the program does at a moment, as JSON.

use std::cmp::Reverse;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use farewell::Activity;
use farewell::LocalAddr;
use farewell::Metrics;
use farewell::RunningCall;
use farewell::ShutdownHandle;
use farewell::Totals;
use serde_json::Value;
use serde_json::json;

use super::window::Window;

/// The most calls that a snapshot lists, the longest first.
const CALLS_MAX: usize = 50;

/// What a snapshot is of, and what does not change.
pub(in super::super) struct Subject {
    pub(in super::super) metrics: Metrics,
    pub(in super::super) handle: ShutdownHandle,
    pub(in super::super) address: LocalAddr,
    pub(in super::super) workers: usize,
    pub(in super::super) max_connections: usize,
    pub(in super::super) lame_duck: Duration,
    pub(in super::super) drain_timeout: Duration,
    pub(in super::super) shutdown: ShutdownRoute,
    pub(in super::super) started: Instant,
}

/// What the page may do with `/shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ShutdownRoute {
    /// It is not served.
    None,
    /// A page that may be read may use it.
    Open,
    /// It needs the token.
    Token,
}

impl Subject {
    /// One object, in one line.
    pub(super) fn snapshot(&self, totals: &Totals, window: &Window) -> String {
        let activity = self.metrics.activity();
        let snapshot = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "address": self.address.to_string(),
            "process": std::process::id(),
            "time": unix_seconds(),
            "uptime_seconds": self.started.elapsed().as_secs_f64(),
            "phase": self.metrics.phase(),
            "connections": self.metrics.counts(),
            "connections_max": self.max_connections,
            "workers": self.workers(activity),
            "rates": window.rates(),
            "latency": window.latency(),
            "totals": totals_without_routes(totals),
            "stop": self.stop(),
            "limits": {
                "lame_duck_seconds": self.lame_duck.as_secs_f64(),
                "drain_timeout_seconds": self.drain_timeout.as_secs_f64(),
            },
            "shutdown": match self.shutdown {
                ShutdownRoute::None => "none",
                ShutdownRoute::Open => "open",
                ShutdownRoute::Token => "token",
            },
        });
        snapshot.to_string()
    }

    /// The calls from the longest, and which workers are busy, for how long.
    fn workers(&self, mut activity: Activity) -> Value {
        let seconds = |call: &RunningCall| (call.worker, call.running_for.as_secs_f64());
        let busy: Vec<(usize, f64)> = activity.calls.iter().map(seconds).collect();
        activity.calls.sort_by_key(|call| Reverse(call.running_for));
        activity.calls.truncate(CALLS_MAX);
        json!({
            // The activity has none before the server serves and after it has stopped.
            "workers": self.workers,
            "busy": busy.len(),
            "busy_seconds": busy,
            "calls": activity.calls,
            "queued": activity.queued,
            "queued_seconds": activity.queued_for.map(|time| time.as_secs_f64()),
        })
    }

    /// What is left of the stop; `null` before it.
    fn stop(&self) -> Value {
        let Some(deadline) = self.handle.deadline() else {
            return Value::Null;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let unsent = self.handle.unsent();
        json!({
            "seconds_left": left.as_secs_f64(),
            "response_bytes_left": unsent.bytes,
            "likely_seconds": unsent.likely_time.map(|time| time.as_secs_f64()),
            "before_deadline": unsent.likely_time.map(|_| !unsent.is_likely_cut()),
        })
    }
}

/// The totals without those of each route, which `/metrics` has.
fn totals_without_routes(totals: &Totals) -> Value {
    let mut value = serde_json::to_value(totals).unwrap_or_default();
    if let Some(requests) = value["requests"].as_object_mut() {
        requests.remove("routes");
    }
    value
}

fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
