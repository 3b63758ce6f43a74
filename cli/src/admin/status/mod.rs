//! `/status`: what the program does at this moment, as a page that keeps itself up to date,
//! as a stream of events, and as JSON.
//!
//! ```text
//!  ticker thread, twice a second --> snapshot --> each follower --> data: {..}
//!  the stop of the server ------------------------^  at the end --> event: report
//! ```
//!
//! The streams follow the stop (`ShutdownHandle::follow`): they hold it up for no moment,
//! and their last event is the report.

mod page;
mod snapshot;
mod ticker;
mod window;

use std::sync::Arc;

use farewell::Event;
use farewell::Handler;
use farewell::IntoResponse;
use farewell::Progress;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde_json::json;

pub(super) use self::page::document;
pub(super) use self::page::policy;
pub(super) use self::snapshot::ShutdownRoute;
pub(super) use self::snapshot::Subject;
use self::ticker::Ticker;
use self::ticker::Viewer;
use super::Readers;

/// The most clients that follow the events at a time. Each further one gets a 503.
const VIEWERS_MAX: usize = 32;

/// The page and its events.
pub(super) struct Status {
    ticker: Arc<Ticker>,
    readers: Readers,
}

impl Status {
    /// For the clients that `readers` lets read.
    pub(super) fn new(subject: Subject, readers: Readers) -> Self {
        Self {
            ticker: Arc::new(Ticker::new(subject)),
            readers,
        }
    }

    pub(super) fn router(&self) -> Router {
        Router::new()
            .get("/status", self.page_handler())
            .get("/status/events", self.events_handler())
    }

    /// The page, or the numbers for a client that asks for JSON.
    ///
    /// A browser cannot send a token when it opens a page. So where there is one, every
    /// client gets the page, which has no number in it and asks for the token.
    fn page_handler(&self) -> impl Handler + use<> {
        let (ticker, readers) = (Arc::clone(&self.ticker), self.readers.clone());
        move |request: Request| -> Result<Response, Rejection> {
            let mut response = match asks_for_json(request.headers()) {
                true => {
                    readers.check(&request)?;
                    let json = HeaderValue::from_static("application/json");
                    let mut response = format!("{}\n", ticker.snapshot()).into_response();
                    response.headers_mut().insert(header::CONTENT_TYPE, json);
                    response
                }
                false => {
                    if !readers.include_token() {
                        readers.check(&request)?;
                    }
                    page::response()
                }
            };
            let headers = response.headers_mut();
            headers.insert(header::VARY, HeaderValue::from_static("accept"));
            Ok(not_stored(response))
        }
    }

    fn events_handler(&self) -> impl Handler + use<> {
        let (ticker, readers) = (Arc::clone(&self.ticker), self.readers.clone());
        move |request: Request| -> Result<Response, Rejection> {
            readers.check(&request)?;
            let mut viewer = ticker.join().map_err(|problem| {
                Rejection::new(StatusCode::SERVICE_UNAVAILABLE, problem)
                    .with_header(header::RETRY_AFTER, "5")
            })?;
            let body = ticker
                .handle()
                .follow(move |progress| piece(&mut viewer, progress));
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            let event_stream = HeaderValue::from_static("text/event-stream");
            headers.insert(header::CONTENT_TYPE, event_stream);
            // nginx would wait until it has a whole buffer.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            Ok(not_stored(response))
        }
    }
}

/// The text for a piece of progress: the latest snapshot, unless the viewer has it; at the
/// end the last snapshot, and the report.
fn piece(viewer: &mut Viewer, progress: &Progress) -> String {
    let Progress::Finished(report) = progress else {
        let latest = viewer.unseen();
        return latest.map_or_else(String::new, |latest| Event::data(latest).to_string());
    };
    let event = json!({
        "summary": report.summary(),
        "all_answered": report.all_answered(),
        "report": serde_json::to_value(report).unwrap_or_default(),
    });
    let last = Event::data(viewer.snapshot());
    format!("{last}{}", Event::data(event.to_string()).name("report"))
}

/// Whether the client names JSON, and no page.
fn asks_for_json(headers: &HeaderMap) -> bool {
    names(headers, "application/json") && !is_browser(headers)
}

/// Whether the client names pages.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    names(headers, "text/html")
}

/// Whether the client names this type among those that it accepts.
fn names(headers: &HeaderMap, kind: &str) -> bool {
    let fields = headers.get_all(header::ACCEPT).iter();
    let mut texts = fields.filter_map(|field| field.to_str().ok());
    texts.any(|text| text.contains(kind))
}

fn not_stored(mut response: Response) -> Response {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
