//! The families of metrics, written one after another.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeGaugeValue;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::lifecycle::activity::Activity;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::outcome::Tally;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::stop_timings::StopTimings;
use crate::lifecycle::totals::Durations;
use crate::lifecycle::totals::RouteTotals;

/// The value of the label `route` for requests without a route. The paths of routes
/// begin with a slash.
const NO_ROUTE: &str = "none";

/// See the module.
pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl<'a> Families<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub(super) fn counts(&mut self, counts: &Counts) -> fmt::Result {
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
        self.gauge("farewell_followers", help, counts.followers)?;
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

    pub(super) fn phase(&mut self, current: Phase) -> fmt::Result {
        let phases =
            Phase::ALL.map(|phase| ([("phase", label(phase))], usize::from(phase == current)));
        self.gauges("farewell_phase", "1 for the phase of the server", phases)
    }

    pub(super) fn stop(&mut self, timings: Option<StopTimings>) -> fmt::Result {
        let stages = match timings {
            Some(timings) => timings.by_phase(),
            None => StopTimings::PHASES.map(|phase| (phase, Duration::ZERO)),
        };
        let (name, help) = ("farewell_drain_seconds", "Time in each phase of the stop");
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (phase, time) in stages {
            family
                .encode_family(&[("stage", label(phase))])?
                .encode_gauge(&time.as_secs_f64())?;
        }
        let Some(left) = timings.and_then(|timings| timings.time_left) else {
            return Ok(());
        };
        let help = "Time until the server cuts what is left";
        self.gauge("farewell_stop_seconds_left", help, left.as_secs_f64())
    }

    pub(super) fn activity(&mut self, activity: &Activity) -> fmt::Result {
        let busy = activity.calls.len();
        let states = [
            ("busy", busy),
            ("idle", activity.workers.saturating_sub(busy)),
        ];
        let states = states.map(|(state, count)| ([("state", state)], count));
        let (name, help) = ("farewell_workers", "Workers by state");
        self.gauges(name, help, states)?;
        let longest = activity.calls.iter().map(|call| call.running_for).max();
        let (name, help) = (
            "farewell_longest_call_seconds",
            "The longest time for which a worker runs code of the application",
        );
        self.gauge(name, help, longest.unwrap_or_default().as_secs_f64())?;
        let (name, help) = (
            "farewell_queue_length",
            "Connections that are ready and wait for a worker",
        );
        self.gauge(name, help, activity.queued)?;
        let oldest = activity.queued_for.unwrap_or_default();
        let (name, help) = (
            "farewell_queue_oldest_seconds",
            "The longest wait of a connection that waits for a worker",
        );
        self.gauge(name, help, oldest.as_secs_f64())
    }

    pub(super) fn routes(&mut self, routes: &[RouteTotals]) -> fmt::Result {
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
            let labels = [("route", name(route))];
            let mut series = family.encode_family(&labels)?;
            encode_histogram(&mut series, &route.durations)?;
        }
        Ok(())
    }

    pub(super) fn queued(&mut self, durations: &Durations) -> fmt::Result {
        let help = "From the poll that finds a whole request to the call of its handler";
        let (name, unit) = ("farewell_queue_duration", Unit::Seconds);
        let kind = MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, Some(&unit), kind)?;
        encode_histogram(&mut family, durations)
    }

    pub(super) fn server(&mut self, start: SystemTime) -> fmt::Result {
        // A clock that is set before 1970 gives 0.
        let since_epoch = start.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since_epoch.unwrap_or_default().as_secs_f64();
        let help = "When the server was bound to its address, since 1970";
        self.gauge("farewell_start_time_seconds", help, seconds)?;
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1)];
        self.gauges("farewell_build_info", "The version of farewell", version)
    }

    pub(super) fn outcomes<O: Outcome>(
        &mut self,
        name: &str,
        help: &str,
        tally: &Tally<O>,
    ) -> fmt::Result {
        let outcomes = tally.iter();
        let outcomes =
            outcomes.map(|(outcome, count)| ([("outcome", label(outcome.name()))], count));
        self.counters(name, help, outcomes)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        count: u64,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        encode_counter(&mut family, count)
    }

    pub(super) fn counters<L: EncodeLabelSet>(
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

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut gauge = self.0.encode_descriptor(name, help, None, kind)?;
        gauge.encode_gauge(&value)
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

fn encode_histogram(encoder: &mut MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
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
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

fn name(route: &RouteTotals) -> &str {
    route.route.as_deref().unwrap_or(NO_ROUTE)
}

/// A name as the value of a label: with `_` for blanks.
fn label(name: impl fmt::Display) -> String {
    name.to_string().replace(' ', "_")
}
