//! The list of the routes, at `/` of the listener for operators.

use std::fmt::Write;

use farewell::Html;
use farewell::IntoResponse;
use farewell::Request;
use farewell::Response;
use http::HeaderValue;
use http::header;

use super::status;

/// A path, and what it is for.
pub(super) type Entry = (&'static str, &'static str);

/// A path that a click on a link must not ask for.
pub(super) const SHUTDOWN: Entry = (
    "/shutdown",
    "stops the program; ?wait reports the stop until its end, ?now cuts requests in progress",
);

pub(super) const OTHERS: [Entry; 4] = [
    ("/status", "what the program does, live, and as JSON"),
    ("/metrics", "numbers for Prometheus"),
    ("/healthz", "200 while the program runs"),
    ("/readyz", "200, or 503 once a stop is requested"),
];

/// The list as text, or as a page for a browser.
pub(super) fn handler(entries: &[Entry]) -> impl Fn(Request) -> Response + Send + Sync + use<> {
    let (text, html) = (text(entries), html(entries));
    move |request: Request| {
        if !status::is_browser(request.headers()) {
            return text.clone().into_response();
        }
        let mut response = Html(html.clone()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, status::policy());
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        response
    }
}

fn text(entries: &[Entry]) -> String {
    entries
        .iter()
        .fold(String::new(), |mut text, (path, purpose)| {
            writeln!(text, "{path:<10} {purpose}").expect("a write to a String does not fail");
            text
        })
}

fn html(entries: &[Entry]) -> String {
    let row = |(path, purpose): &Entry| match *path == SHUTDOWN.0 {
        true => format!("<tr><td><code>{path}</code><td>{purpose}\n"),
        false => format!("<tr><td><a href=\".{path}\"><code>{path}</code></a><td>{purpose}\n"),
    };
    let rows: String = entries.iter().map(row).collect();
    status::document(&format!(
        "<body>\n<h1>farewell</h1>\n<main><table><tbody>\n{rows}</tbody></table></main>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_stops_the_program() {
        let entries: Vec<_> = OTHERS.into_iter().chain([SHUTDOWN]).collect();
        let html = html(&entries);
        assert!(html.contains("<a href=\"./status\">"));
        assert!(html.contains(SHUTDOWN.1) && !html.contains("href=\"./shutdown"));
        assert!(text(&entries).contains("\n/metrics   numbers for Prometheus\n"));
    }
}
