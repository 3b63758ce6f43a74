//! The numbers as text for Prometheus.
//!
//! Every label has values from a fixed set: outcomes, statuses, methods, reasons, states,
//! phases, and the routes of the program. None is text that a client has sent, so the
//! number of series is bounded.

mod families;

use std::fmt;

use http::header;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use self::families::Families;
use super::Metrics;
use crate::handler::Handler;
use crate::message::request::Request;
use crate::message::response::IntoResponse;

impl Metrics {
    /// A handler that answers every request with [`encode`](Self::encode). Needs the
    /// feature `metrics`. Mount it where Prometheus is to find it; the path is usually
    /// `/metrics`. It tells how busy the server is and which routes it has, so keep it
    /// from the public.
    ///
    /// ```
    /// use farewell::{Config, Request, Router, Server};
    ///
    /// # fn main() -> Result<(), farewell::Error> {
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let routes = Router::new()
    ///     .get("/", |_: Request| "hello\n")
    ///     .get("/metrics", server.metrics().handler())
    ///     .build()?;
    /// # server.shutdown_handle().shutdown();
    /// server.serve(routes)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn handler(&self) -> impl Handler + use<> {
        let metrics = self.clone();
        move |_: Request| {
            let content_type = header::HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
            let mut response = metrics.encode().into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
            response
        }
    }

    /// The numbers in the text format of Prometheus, version 0.0.4. Needs the feature
    /// `metrics`.
    ///
    /// | name | labels | |
    /// |---|---|---|
    /// | `farewell_connections` | `state` | open connections: each is in progress, waiting, idle, lingering or upgraded |
    /// | `farewell_followers` | | those of them that follow the shutdown |
    /// | `farewell_response_left_bytes` | | [`Counts::response_bytes_left`](crate::Counts::response_bytes_left) |
    /// | `farewell_phase` | `phase` | 1 for the phase of the server, 0 for the others |
    /// | `farewell_drain_seconds` | `stage` | time that the stop has spent in each phase until now: `lame_duck`, `draining`, `aborting` |
    /// | `farewell_stop_seconds_left` | | time until the server cuts what is left; there only while it is asked to stop |
    /// | `farewell_workers` | `state` | workers: each runs code of the application (`busy`), or does not (`idle`) |
    /// | `farewell_longest_call_seconds` | | the longest time for which a worker runs such code at this moment |
    /// | `farewell_queue_length` | | [`Activity::queued`](crate::Activity::queued) |
    /// | `farewell_queue_oldest_seconds` | | [`Activity::queued_for`](crate::Activity::queued_for), or 0 |
    /// | `farewell_connections_accepted_total` | | |
    /// | `farewell_connections_ended_total` | `outcome` | |
    /// | `farewell_requests_begun_total` | | |
    /// | `farewell_requests_ended_total` | `outcome` | |
    /// | `farewell_requests_by_method_total` | `method` | [`Totals::methods`](crate::Totals::methods) |
    /// | `farewell_rejections_total` | `reason` | [`Totals::rejections`](crate::Totals::rejections) |
    /// | `farewell_handler_panics_total` | | |
    /// | `farewell_queue_duration_seconds` | | how long requests waited for a worker, a histogram: [`Totals::queued`](crate::Totals::queued) |
    /// | `farewell_requests_total` | `route`, `status` | requests that have ended; the status is a class, such as `2xx`, or `none` without an answer |
    /// | `farewell_responses_total` | `status` | their answers by status, such as `404` |
    /// | `farewell_request_duration_seconds` | `route` | their durations, a histogram: [`Durations`](crate::Durations) |
    /// | `farewell_request_bytes_total` | | [`Totals::received_bytes`](crate::Totals::received_bytes) |
    /// | `farewell_response_bytes_total` | | [`Totals::sent_bytes`](crate::Totals::sent_bytes) |
    /// | `farewell_start_time_seconds` | | [`start_time`](Self::start_time), in seconds since 1970 |
    /// | `farewell_build_info` | `version` | 1; the version of this library |
    ///
    /// A request without a route has the route `none`. A request counts when it ends,
    /// so the request that asks for the numbers is not among those that have ended.
    ///
    /// The names, labels and units are stable. New families and new values of labels may
    /// be added.
    ///
    /// For numbers of the application beside these, register a clone with a
    /// `prometheus_client` registry of version 0.26. It is a `Collector`:
    ///
    /// ```
    /// use prometheus_client::encoding::prometheus_text;
    /// use prometheus_client::metrics::counter::Counter;
    /// use prometheus_client::registry::Registry;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
    /// let mut registry = Registry::default();
    /// registry.register_collector(Box::new(server.metrics()));
    /// let orders = Counter::<u64>::default();
    /// registry.register("orders", "Orders taken", orders.clone());
    /// orders.inc();
    ///
    /// let mut text = String::new();
    /// prometheus_text::encode(&mut text, &registry)?;
    /// assert!(text.contains("\norders_total 1\n"));
    /// assert!(text.contains("\nfarewell_connections{state=\"idle\"} 0\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn encode(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).expect("a `String` takes all text");
        text
    }
}

/// Gives the numbers to a registry of the application, at each scrape. Needs the feature
/// `metrics`; [`encode`](Metrics::encode) has an example.
impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families::new(encoder);
        let (phase, totals) = (self.phase(), self.totals());
        families.counts(&self.counts())?;
        families.phase(phase)?;
        families.stop(totals.stop)?;
        families.activity(&self.activity())?;
        let name = "farewell_connections_accepted";
        families.counter(name, "Connections accepted", None, totals.accepted)?;
        let name = "farewell_connections_ended";
        families.outcomes(name, "Connections by outcome", &totals.connections)?;
        let name = "farewell_requests_begun";
        families.counter(name, "Requests begun", None, totals.begun)?;
        let name = "farewell_requests_ended";
        families.outcomes(name, "Requests by outcome", &totals.requests)?;
        families.routes(&totals.routes)?;

        let statuses = totals.statuses.iter();
        let statuses = statuses.map(|(status, &count)| ([("status", status.to_string())], count));
        let (name, help) = ("farewell_responses", "Ended requests by status");
        families.counters(name, help, statuses)?;
        let methods = totals.methods.iter();
        let methods = methods.map(|(&method, &count)| ([("method", method)], count));
        let (name, help) = ("farewell_requests_by_method", "Ended requests by method");
        families.counters(name, help, methods)?;
        let reasons = totals.rejections.iter();
        let reasons = reasons.map(|(&reason, &count)| ([("reason", reason)], count));
        let (name, help) = (
            "farewell_rejections",
            "Requests that the server itself has rejected, by reason",
        );
        families.counters(name, help, reasons)?;
        let (name, help) = ("farewell_handler_panics", "Handlers that have panicked");
        families.counter(name, help, None, totals.handler_panics)?;
        families.queued(&totals.queued)?;

        let (name, help) = ("farewell_request", "Bytes of requests, with their heads");
        families.counter(name, help, Some(Unit::Bytes), totals.received_bytes)?;
        let (name, help) = ("farewell_response", "Bytes of responses, with their heads");
        families.counter(name, help, Some(Unit::Bytes), totals.sent_bytes)?;
        families.server(self.start_time())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Method;
    use http::StatusCode;

    use super::*;
    use crate::config::Config;
    use crate::lifecycle::accounting::Accounting;
    use crate::lifecycle::method_label;
    use crate::lifecycle::numbers::Ended;
    use crate::lifecycle::outcome::ConnectionOutcome;
    use crate::lifecycle::outcome::RequestOutcome;
    use crate::lifecycle::phase::Lifecycle;
    use crate::lifecycle::phase::Trigger;
    use crate::lifecycle::rejection_reason::RejectionReason;

    fn metrics() -> Metrics {
        let life = Arc::new(Lifecycle::new(&Config::default()));
        of_life(&life)
    }

    fn of_life(life: &Arc<Lifecycle>) -> Metrics {
        Metrics::new(Arc::new(Accounting::new(Arc::clone(life))))
    }

    #[test]
    fn the_text_has_requests_by_route_status_and_duration() {
        let metrics = metrics();
        let routes = ["/users/{id}".to_owned(), "/odd\\\"\n".to_owned()];
        metrics.accounting.count_by(2, routes);
        let mut guard = metrics.accounting.connection_accepted();
        for (route, status) in [(1, 200), (1, 503), (2, 404), (0, 400)] {
            guard.request_begun();
            guard.request_ended(&Ended {
                status: Some(StatusCode::from_u16(status).unwrap()),
                route,
                method: method_label::index(&Method::PUT),
                took: Duration::from_micros(2500),
                received_bytes: 100,
                sent_bytes: 1000,
                ..Ended::without_answer(RequestOutcome::Answered)
            });
        }
        guard.request_rejected(RejectionReason::HeadTimeout);
        guard.handler_panicked();
        guard.request_left_queue(Duration::from_millis(3));
        guard.request_left_queue(Duration::ZERO);
        guard.request_begun();
        let text = metrics.encode();
        guard.request_ended(&Ended::without_answer(RequestOutcome::Cut));
        guard.end(ConnectionOutcome::Cut);
        for line in [
            "# TYPE farewell_connections gauge",
            "farewell_connections{state=\"in_progress\"} 1",
            "farewell_response_left_bytes 0",
            "farewell_phase{phase=\"running\"} 1",
            "farewell_phase{phase=\"lame_duck\"} 0",
            "farewell_connections_accepted_total 1",
            "farewell_connections_ended_total{outcome=\"closed_idle\"} 0",
            "farewell_requests_begun_total 5",
            "# TYPE farewell_requests_ended_total counter",
            "farewell_requests_ended_total{outcome=\"answered\"} 4",
            "farewell_requests_total{route=\"/users/{id}\",status=\"2xx\"} 1",
            "farewell_requests_total{route=\"/users/{id}\",status=\"5xx\"} 1",
            "farewell_requests_total{route=\"/odd\\\\\\\"\\n\",status=\"4xx\"} 1",
            "farewell_requests_total{route=\"none\",status=\"4xx\"} 1",
            "farewell_responses_total{status=\"503\"} 1",
            "# TYPE farewell_request_duration_seconds histogram",
            "farewell_request_duration_seconds_bucket{route=\"/users/{id}\",le=\"0.001\"} 0",
            "farewell_request_duration_seconds_bucket{route=\"/users/{id}\",le=\"0.0025\"} 2",
            "farewell_request_duration_seconds_bucket{route=\"/users/{id}\",le=\"+Inf\"} 2",
            "farewell_request_duration_seconds_sum{route=\"/users/{id}\"} 0.005",
            "farewell_request_duration_seconds_count{route=\"/users/{id}\"} 2",
            "farewell_requests_by_method_total{method=\"PUT\"} 4",
            "farewell_requests_by_method_total{method=\"GET\"} 0",
            "farewell_rejections_total{reason=\"head_timeout\"} 1",
            "farewell_rejections_total{reason=\"malformed\"} 0",
            "farewell_handler_panics_total 1",
            "# TYPE farewell_queue_duration_seconds histogram",
            "farewell_queue_duration_seconds_bucket{le=\"0.0001\"} 1",
            "farewell_queue_duration_seconds_bucket{le=\"0.005\"} 2",
            "farewell_queue_duration_seconds_sum 0.003",
            "farewell_queue_duration_seconds_count 2",
            "farewell_request_bytes_total 400",
            "farewell_response_bytes_total 4000",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is not in:\n{text}"
            );
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_stop_has_its_phases_and_the_time_that_is_left() {
        let life = Arc::new(Lifecycle::new(&Config::default()));
        let metrics = of_life(&life);
        let before = metrics.encode();
        assert!(before.contains("\nfarewell_drain_seconds{stage=\"draining\"} 0.0\n"));
        assert!(!before.contains("farewell_stop_seconds_left"));
        life.shutdown(Trigger::Call);
        let text = metrics.encode();
        assert!(text.contains("\nfarewell_drain_seconds{stage=\"lame_duck\"} 0.0\n"));
        assert!(text.contains("\nfarewell_stop_seconds_left "), "{text}");
    }

    #[test]
    fn a_server_that_has_not_served_has_its_numbers() {
        let text = metrics().encode();
        assert!(text.contains("\nfarewell_requests_total{route=\"none\",status=\"2xx\"} 0\n"));
        assert!(text.contains("\nfarewell_connections_accepted_total 0\n"));
    }
}
