//! Stops the server by a request: three ways, which the query chooses.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde_json::json;

use super::StopRoutes;
use super::access::Denial;
use super::denial_log::DenialLog;
use super::refusal::method_not_allowed;
use crate::address::PeerAddr;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::phase::Trigger;
use crate::lifecycle::unsent::Unsent;
use crate::message::body::Body;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;
use crate::shutdown::follow::Progress;
use crate::shutdown::handle::ShutdownHandle;

/// The time between two lines of `?wait` while only the bytes that are left to send change.
/// The stop publishes them once a second, as exactly as a timer of the system is.
const BYTES_LINE_INTERVAL: Duration = Duration::from_millis(900);

/// What the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A confirmation, and a stop that answers every request.
    Graceful,
    /// The same stop, and its progress until its end.
    Followed,
    /// A confirmation, and after its delivery the end of everything else.
    Now,
}

impl Way {
    fn of(query: Option<&str>) -> Option<Self> {
        match query {
            None | Some("") => Some(Self::Graceful),
            Some("wait") => Some(Self::Followed),
            Some("now") => Some(Self::Now),
            Some(_) => None,
        }
    }
}

/// The form of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

impl Form {
    /// JSON, if a field `Accept` names it.
    fn accepted_by(request: &Request) -> Self {
        let mut fields = request.headers().get_all(header::ACCEPT).iter();
        let names_json = |accept: &HeaderValue| {
            accept
                .to_str()
                .is_ok_and(|accept| accept.contains("application/json"))
        };
        match fields.any(names_json) {
            true => Self::Json,
            false => Self::Text,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        })
    }
}

/// Stops the server, if this request may and says how.
pub(super) fn stop_by(request: &Request, routes: &StopRoutes) -> Response {
    let stop = &routes.stop;
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return method_not_allowed("GET, POST").into_response();
    }
    let peer = request.peer_addr();
    if let Err(denial) = routes.access.rule_on(request) {
        log_denial(&routes.denials, denial, peer);
        return denial.into_response();
    }
    let Some(way) = Way::of(request.uri().query()) else {
        return unknown_query(request.uri().path()).into_response();
    };
    let form = Form::accepted_by(request);
    let trigger = Trigger::Request(peer);
    stop.shutdown_by(trigger);
    let others = Others::at_this_moment(stop, request);
    let mut response = Response::new(match way {
        Way::Graceful => Body::from(confirmation(stop, &others, form)),
        Way::Followed => progress(stop, form),
        Way::Now => {
            let text = confirmation_of_abort(stop, &others, form);
            let stop = stop.clone();
            Body::from(text).after_delivery(move || {
                stop.abort_by(trigger);
            })
        }
    });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, form.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn log_denial(denials: &DenialLog, denial: Denial, peer: PeerAddr) {
    let Some(before) = denials.count(Instant::now()) else {
        return;
    };
    let reason = denial.explain();
    match before {
        0 => log::warn!("{peer} is not allowed to stop this server: {reason}"),
        _ => log::warn!(
            "{peer} is not allowed to stop this server: {reason} (nor were {} since the last line)",
            counted(
                usize::try_from(before).unwrap_or(usize::MAX),
                "other request"
            )
        ),
    }
}

fn unknown_query(path: &str) -> Rejection {
    let text = format!("unknown query: use {path}, {path}?wait or {path}?now");
    Rejection::new(StatusCode::BAD_REQUEST, text)
}

/// What there is besides the request that stops the server.
struct Others {
    requests: usize,
    idle: usize,
    response_bytes_left: u64,
}

impl Others {
    fn at_this_moment(stop: &ShutdownHandle, request: &Request) -> Self {
        let counts = stop.counts();
        // Another server of the process may have received the request.
        let own = usize::from(stop.has_received(request));
        Self {
            requests: in_progress(&counts).saturating_sub(own),
            idle: counts.idle,
            response_bytes_left: counts.response_bytes_left,
        }
    }

    fn to_json(&self, stop: &ShutdownHandle, seconds_left: f64) -> String {
        let message = json!({
            "phase": stop.phase().to_string(),
            "in_progress": self.requests,
            "idle": self.idle,
            "response_bytes_left": self.response_bytes_left,
            "seconds_left": seconds_left,
        });
        format!("{message}\n")
    }
}

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = counted(self.requests, "other request");
        let idle = counted(self.idle, "idle connection");
        write!(f, "{requests} in progress, {idle}")
    }
}

/// The other requests in progress, and how long the stop can take.
fn confirmation(stop: &ShutdownHandle, others: &Others, form: Form) -> String {
    let left = |at: Instant| at.saturating_duration_since(Instant::now());
    let left = stop.deadline().map_or(Duration::ZERO, left).as_secs_f64();
    match form {
        Form::Json => others.to_json(stop, left),
        Form::Text => {
            let to_send = to_send(&stop.unsent());
            format!("shutting down: {others}{to_send}; what is left after {left:.1} s is cut\n")
        }
    }
}

/// The other requests in progress, which the abort is going to cut.
fn confirmation_of_abort(stop: &ShutdownHandle, others: &Others, form: Form) -> String {
    match form {
        Form::Json => others.to_json(stop, 0.0),
        Form::Text => format!(
            "shutting down now: {others}; everything else is cut once this response is delivered\n"
        ),
    }
}

/// A response body with a line whenever the counts change. The report is its last line.
fn progress(stop: &ShutdownHandle, form: Form) -> Body {
    let mut last: Option<(String, Counts, Instant)> = None;
    let handle = stop.clone();
    stop.follow(move |progress| {
        let now = Instant::now();
        let counts = match progress {
            Progress::Counts(counts) => *counts,
            Progress::Finished(_) => return line(progress, &handle.unsent(), form),
        };
        // `notify_followers` may ask for more pieces than there are news.
        let is_recent = |at: Instant| now.saturating_duration_since(at) < BYTES_LINE_INTERVAL;
        if let Some((_, before, at)) = &last
            && counts.has_same_numbers(before)
            && is_recent(*at)
        {
            return String::new();
        }
        let new = line(progress, &handle.unsent(), form);
        // The counts that changed may not be in the line.
        if last.as_ref().is_some_and(|(line, ..)| *line == new) {
            return String::new();
        }
        last = Some((new.clone(), counts, now));
        new
    })
}

fn line(progress: &Progress, unsent: &Unsent, form: Form) -> String {
    match (progress, form) {
        (Progress::Counts(counts), Form::Json) => {
            let message = json!({
                "in_progress": in_progress(counts),
                "idle": counts.idle,
                "lingering": counts.lingering,
                "response_bytes_left": counts.response_bytes_left,
                "likely_seconds": unsent.likely_time.map(|time| time.as_secs_f64()),
                "before_deadline": unsent.likely_time.map(|_| !unsent.is_likely_cut()),
            });
            format!("{message}\n")
        }
        (Progress::Counts(counts), Form::Text) => format!(
            "{} in progress, {} idle, {} lingering{}\n",
            in_progress(counts),
            counts.idle,
            counts.lingering,
            to_send(unsent)
        ),
        (Progress::Finished(report), Form::Json) => format!("{}\n", report.to_json()),
        (Progress::Finished(report), Form::Text) => format!("{}\n", report.summary()),
    }
}

/// As in `, 4.9 GiB to send (about 12 s)`, if there is something to send.
fn to_send(unsent: &Unsent) -> String {
    match unsent.bytes {
        0 => String::new(),
        _ => format!(", {unsent}"),
    }
}

/// Requests that are in progress or wait for a worker, without those that follow the
/// stop.
fn in_progress(counts: &Counts) -> usize {
    (counts.in_progress + counts.waiting).saturating_sub(counts.followers)
}

/// As in `1 idle connection` and `2 idle connections`.
fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_chooses_the_way() {
        assert_eq!(Way::of(None), Some(Way::Graceful));
        assert_eq!(Way::of(Some("")), Some(Way::Graceful));
        assert_eq!(Way::of(Some("wait")), Some(Way::Followed));
        assert_eq!(Way::of(Some("now")), Some(Way::Now));
        for unknown in ["nwo", "now=1", "wait&now", "NOW", "now ", "%6eow"] {
            assert_eq!(Way::of(Some(unknown)), None, "{unknown}");
        }
    }
}
