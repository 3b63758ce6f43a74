//! Whether the server lives, and whether it is ready for requests.

use http::Method;
use http::StatusCode;

use super::refusal::method_not_allowed;
use crate::lifecycle::phase::Phase;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// The response of a server that lives.
pub(super) fn health(request: &Request) -> Response {
    get_or_head(request, || "ok\n".into_response())
}

/// The response of a server in `phase`. `is_ready` is called only if no stop has begun.
pub(super) fn readiness(
    request: &Request,
    phase: Phase,
    is_ready: impl FnOnce() -> bool,
) -> Response {
    get_or_head(request, || {
        let not_now = match phase {
            Phase::Running if is_ready() => return "ready\n".into_response(),
            Phase::Running => "not ready\n",
            _ => "stopping\n",
        };
        (StatusCode::SERVICE_UNAVAILABLE, not_now).into_response()
    })
}

fn get_or_head(request: &Request, answer: impl FnOnce() -> Response) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD => answer(),
        _ => method_not_allowed("GET, HEAD").into_response(),
    }
}
