//! The routes of the program.

use std::thread;
use std::time::Duration;

use farewell::IntoResponse;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use super::admin::Operators;
use super::args::Options;

const DELAY_MAX: Duration = Duration::from_secs(60);

/// Returns the routes for operators, if they are on this listener, and `others`. The former
/// are urgent.
pub(super) fn router(operators: Option<&Operators>, others: Router) -> Router {
    match operators {
        Some(operators) => operators.router().urgent().merge(others),
        None => others,
    }
}

/// Returns the routes of the demonstration.
pub(super) fn demonstration(options: &Options) -> Router {
    let work = options.work;
    let hello = move |request: Request| {
        let uri = request.uri();
        hello(uri.path(), uri.query(), work)
    };
    Router::new().any("/echo", echo).fallback(hello)
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
        return not_a_post();
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

fn not_a_post() -> Response {
    let text = "method not allowed (allowed: POST)\n";
    let mut response = (StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}
