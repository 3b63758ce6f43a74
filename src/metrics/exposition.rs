//! The numbers as text for Prometheus.
//!
//! Every label has values from a fixed set: outcomes, statuses, states, phases, and the
//! routes of the program. None is text that a client has sent, so the number of series
//! is bounded.

use std::fmt;

use http::header;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use super::Metrics;
use crate::handler::Handler;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::outcome::Tally;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::totals::RouteTotals;
use crate::message::request::Request;
use crate::message::response::IntoResponse;

/// The value of the label `route` for requests without a route. The paths of routes
/// begin with a slash.
const NO_ROUTE: &str = "none";

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
    /// | `farewell_connections_accepted_total` | | |
    /// | `farewell_connections_ended_total` | `outcome` | |
    /// | `farewell_requests_begun_total` | | |
    /// | `farewell_requests_ended_total` | `outcome` | |
    /// | `farewell_requests_total` | `route`, `status` | requests that have ended; the status is a class, such as `2xx`, or `none` without an answer |
    /// | `farewell_responses_total` | `status` | their answers by status, such as `404` |
    /// | `farewell_request_duration_seconds` | `route` | their durations, a histogram: [`Durations`](crate::Durations) |
    /// | `farewell_request_bytes_total` | | [`Totals::received_bytes`](crate::Totals::received_bytes) |
    /// | `farewell_response_bytes_total` | | [`Totals::sent_bytes`](crate::Totals::sent_bytes) |
    ///
    /// A request without a route has the route `none`. A request counts when it ends,
    /// so the request that asks for the numbers is not among those that have ended.
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
        let mut families = Families(encoder);
        let (phase, totals) = (self.phase(), self.totals());
        families.counts(&self.counts())?;
        families.phase(phase)?;
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

        let (name, help) = ("farewell_request", "Bytes of requests, with their heads");
        families.counter(name, help, Some(Unit::Bytes), totals.received_bytes)?;
        let (name, help) = ("farewell_response", "Bytes of responses, with their heads");
        families.counter(name, help, Some(Unit::Bytes), totals.sent_bytes)
    }
}

/// Writes the families of metrics, one after another.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counts(&mut self, counts: &Counts) -> fmt::Result {
        let states = [
            ("in_progress", counts.in_progress),
            ("waiting", counts.waiting),
            ("idle", counts.idle),
            ("lingering", counts.lingering),
            ("upgraded", counts.upgraded),
        ];
        let states = states.map(|(state, count)| ([("state", state)], count));
        let (name, help) = ("farewell_connections", "Open connections by state");
        self.gauges(name, help, states)?;
        let help = "Open connections that follow the shutdown";
        let mut gauge =
            self.0
                .encode_descriptor("farewell_followers", help, None, MetricType::Gauge)?;
        gauge.encode_gauge(&counts.followers)?;
        let (name, help) = (
            "farewell_response_left",
            "Bytes that responses in progress have to send",
        );
        let left = i64::try_from(counts.response_bytes_left).unwrap_or(i64::MAX);
        let mut gauge =
            self.0
                .encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?;
        gauge.encode_gauge(&left)
    }

    fn phase(&mut self, current: Phase) -> fmt::Result {
        let phases =
            Phase::ALL.map(|phase| ([("phase", label(phase))], usize::from(phase == current)));
        self.gauges("farewell_phase", "1 for the phase of the server", phases)
    }

    fn routes(&mut self, routes: &[RouteTotals]) -> fmt::Result {
        let by_class = routes.iter().flat_map(|route| {
            let classes = route.classes();
            classes.map(|(class, count)| ([("route", name(route)), ("status", class)], count))
        });
        let help = "Ended requests by route and class of status";
        self.counters("farewell_requests", help, by_class)?;

        let help = "From the first byte of a request to the last byte of its response";
        let (name_of_family, unit) = ("farewell_request_duration", Unit::Seconds);
        let kind = MetricType::Histogram;
        let mut family = self
            .0
            .encode_descriptor(name_of_family, help, Some(&unit), kind)?;
        for route in routes {
            let durations = &route.durations;
            let mut before = 0;
            let buckets: Vec<(f64, u64)> = durations
                .buckets()
                .map(|(bound, within)| {
                    let count = within - before;
                    before = within;
                    (bound.as_secs_f64(), count)
                })
                .collect();
            let (sum, count) = (durations.sum().as_secs_f64(), durations.count());
            family
                .encode_family(&[("route", name(route))])?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn outcomes<O: Outcome>(&mut self, name: &str, help: &str, tally: &Tally<O>) -> fmt::Result {
        let outcomes = tally.iter();
        let outcomes =
            outcomes.map(|(outcome, count)| ([("outcome", label(outcome.name()))], count));
        self.counters(name, help, outcomes)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, count: u64) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        encode_counter(&mut family, count)
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, count) in series {
            encode_counter(&mut family.encode_family(&labels)?, count)?;
        }
        Ok(())
    }

    fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, usize)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, count) in series {
            family.encode_family(&labels)?.encode_gauge(&count)?;
        }
        Ok(())
    }
}

fn encode_counter(encoder: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn name(route: &RouteTotals) -> &str {
    route.route.as_deref().unwrap_or(NO_ROUTE)
}

/// A name as the value of a label: with `_` for blanks.
fn label(name: impl fmt::Display) -> String {
    name.to_string().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::config::Config;
    use crate::lifecycle::accounting::Accounting;
    use crate::lifecycle::numbers::Ended;
    use crate::lifecycle::outcome::ConnectionOutcome;
    use crate::lifecycle::outcome::RequestOutcome;
    use crate::lifecycle::phase::Lifecycle;

    fn metrics() -> Metrics {
        let life = Arc::new(Lifecycle::new(&Config::default()));
        Metrics::new(Arc::new(Accounting::new(life)))
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
                took: Duration::from_micros(2500),
                received_bytes: 100,
                sent_bytes: 1000,
                ..Ended::without_answer(RequestOutcome::Answered)
            });
        }
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
    fn a_server_that_has_not_served_has_its_numbers() {
        let text = metrics().encode();
        assert!(text.contains("\nfarewell_requests_total{route=\"none\",status=\"2xx\"} 0\n"));
        assert!(text.contains("\nfarewell_connections_accepted_total 0\n"));
    }
}
