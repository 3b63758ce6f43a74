//! The routes of the program.

use std::thread;
use std::time::Duration;

use farewell::Counts;
use farewell::IntoResponse;
use farewell::Phase;
use farewell::Progress;
use farewell::Request;
use farewell::Response;
use farewell::ShutdownHandle;
use farewell::Trigger;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use serde_json::json;

use super::args::Options;
use super::counted;
use super::report;
use super::seconds_left;
use super::stop_access::StopAccess;

const DELAY_MAX: Duration = Duration::from_secs(60);

/// Returns the handler for all paths.
pub(super) fn handler(
    stop: ShutdownHandle,
    access: StopAccess,
    options: &Options,
) -> impl Fn(Request) -> Response + Send + Sync + 'static {
    let work = options.work;
    let shutdown_route = !options.no_shutdown_route;
    move |request| match request.uri().path() {
        "/healthz" => get_or_head(&request, || "ok\n".into_response()),
        "/readyz" => get_or_head(&request, || readiness(stop.phase())),
        "/echo" => echo(request),
        "/shutdown" if shutdown_route => shutdown(&request, &stop, &access),
        path => hello(path, request.uri().query(), work),
    }
}

/// Answers `GET` and `HEAD`, and rejects other methods.
fn get_or_head(request: &Request, answer: impl FnOnce() -> Response) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => answer(),
        _ => method_not_allowed("GET, HEAD"),
    }
}

fn readiness(phase: Phase) -> Response {
    match phase {
        Phase::Running => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}

fn hello(path: &str, query: Option<&str>, work: Duration) -> Response {
    let delay = match delay(query) {
        Ok(delay) => delay,
        Err(problem) => return (StatusCode::BAD_REQUEST, problem).into_response(),
    };
    // Simulates work. Like a real handler that blocks, it does not notice a
    // stop.
    thread::sleep(work.saturating_add(delay));
    format!("Hello, you requested {path}\n").into_response()
}

fn delay(query: Option<&str>) -> Result<Duration, String> {
    let mut parts = query.unwrap_or_default().split('&');
    let Some(text) = parts.find_map(|part| part.strip_prefix("delay=")) else {
        return Ok(Duration::ZERO);
    };
    match humantime::parse_duration(text) {
        Ok(delay) if delay <= DELAY_MAX => Ok(delay),
        _ => Err("delay must be a duration such as 500ms or 3s, at most 60s\n".to_owned()),
    }
}

fn echo(mut request: Request) -> Response {
    if request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    let mut response = request.bytes().into_response();
    if !response.status().is_success() {
        return response;
    }
    if let Some(content_type) = request.headers().get(header::CONTENT_TYPE) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type.clone());
    }
    response
}

fn method_not_allowed(allow: &'static str) -> Response {
    let text = format!("method not allowed (allowed: {allow})\n");
    let mut response = (StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

fn shutdown(request: &Request, stop: &ShutdownHandle, access: &StopAccess) -> Response {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return method_not_allowed("GET, POST");
    }
    let peer = request.peer_addr();
    if let Err(denial) = access.check(request) {
        let reason = denial.explain();
        log::warn!("{peer} is not allowed to stop this server: {reason}");
        return forbidden(reason, denial.wants_credentials());
    }
    let json = wants_json(request);
    let mut response = match request.uri().query() {
        None | Some("") => {
            stop.shutdown_by(Trigger::Request(peer));
            confirmation(stop, Cut::AtDeadline, json).into_response()
        }
        Some("wait") => {
            stop.shutdown_by(Trigger::Request(peer));
            let mut last = String::new();
            Response::new(stop.follow(move |progress| {
                let new = line(progress, json);
                if new == last {
                    // The counts that changed are not in the line.
                    return String::new();
                }
                last.clone_from(&new);
                new
            }))
        }
        Some("now") => {
            stop.shutdown_by(Trigger::Request(peer));
            let abort = stop.clone();
            let cut = move || {
                abort.abort_by(Trigger::Request(peer));
            };
            let mut response = confirmation(stop, Cut::Now, json).into_response();
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = body.after_delivery(cut);
            response
        }
        Some(_) => {
            let text = "unknown query: use /shutdown, /shutdown?wait or /shutdown?now\n";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    let content_type = if json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn forbidden(reason: &str, wants_credentials: bool) -> Response {
    let text = format!("not allowed to stop this server: {reason}\n");
    if !wants_credentials {
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = (StatusCode::UNAUTHORIZED, text).into_response();
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn wants_json(request: &Request) -> bool {
    request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| {
            accept
                .to_str()
                .is_ok_and(|accept| accept.contains("application/json"))
        })
}

/// When a stop cuts requests in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    AtDeadline,
    Now,
}

/// The response to a stop: the other requests in progress, and how long the
/// stop can take.
fn confirmation(stop: &ShutdownHandle, cut: Cut, json: bool) -> String {
    let counts = stop.counts();
    let others = in_progress(&counts).saturating_sub(1);
    let left = match cut {
        Cut::Now => 0.0,
        Cut::AtDeadline => seconds_left(stop),
    };
    if json {
        let message = json!({
            "phase": stop.phase().to_string(),
            "in_progress": others,
            "idle": counts.idle,
            "seconds_left": left,
        });
        return format!("{message}\n");
    }
    let others = counted(others, "other request");
    let idle = counted(counts.idle, "idle connection");
    match cut {
        Cut::AtDeadline => {
            format!("shutting down: {others} in progress, {idle}; this takes {left:.1} s at most\n")
        }
        Cut::Now => format!(
            "shutting down now: {others} in progress, {idle}; \
             everything else is cut once this response is delivered\n"
        ),
    }
}

/// Requests that are in progress or wait for a worker, without those that
/// follow the stop.
fn in_progress(counts: &Counts) -> usize {
    (counts.in_progress + counts.waiting).saturating_sub(counts.followers)
}

/// One line of the response to `/shutdown?wait`.
fn line(progress: &Progress, json: bool) -> String {
    match progress {
        Progress::Counts(counts) if json => {
            let message = json!({
                "in_progress": in_progress(counts),
                "idle": counts.idle,
                "lingering": counts.lingering,
            });
            format!("{message}\n")
        }
        Progress::Counts(counts) => format!(
            "{} in progress, {} idle, {} lingering\n",
            in_progress(counts),
            counts.idle,
            counts.lingering
        ),
        Progress::Finished(finished) if json => format!("{}\n", report::to_json(finished)),
        Progress::Finished(finished) => format!("{}\n", finished.summary()),
        _ => String::new(),
    }
}
