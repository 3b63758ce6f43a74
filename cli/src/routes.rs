//! The routes of the program.

use std::thread;
use std::time::Duration;

use farewell::Handler;
use farewell::IntoResponse;
use farewell::Request;
use farewell::Response;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use super::admin::Operators;
use super::args::Options;

const DELAY_MAX: Duration = Duration::from_secs(60);

/// Returns the handler for all paths of the demonstration.
pub(super) fn handler(operators: Option<&Operators>, options: &Options) -> impl Handler + use<> {
    let work = options.work;
    let operator_routes = operator_routes(operators);
    move |request: Request| {
        operator_routes(request).unwrap_or_else(|request| match request.uri().path() {
            "/echo" => echo(request),
            path => hello(path, request.uri().query(), work),
        })
    }
}

/// Returns what answers the requests to the routes for operators, if they are on this
/// listener, and gives back every other request.
pub(super) fn operator_routes(
    operators: Option<&Operators>,
) -> impl Fn(Request) -> Result<Response, Request> + Send + Sync + use<> {
    let routes = operators.map(|operators| {
        let routes = operators.router().build();
        (
            operators.paths(),
            routes.expect("the paths are valid, and each is there once"),
        )
    });
    move |request: Request| match &routes {
        Some((paths, routes)) if paths.contains(&request.uri().path()) => {
            Ok(routes.handle(request))
        }
        _ => Err(request),
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
