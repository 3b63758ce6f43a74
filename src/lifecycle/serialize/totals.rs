//! `Serialize` for [`Totals`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct;

use crate::lifecycle::stop_timings::StopTimings;
use crate::lifecycle::totals::Durations;
use crate::lifecycle::totals::RouteTotals;
use crate::lifecycle::totals::Totals;

/// An object with groups for connections and requests, as that of [`Report`](crate::Report).
impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Totals", 5)?;
        fields.serialize_field("connections", &TotalConnections(self))?;
        fields.serialize_field("requests", &TotalRequests(self))?;
        fields.serialize_field("received_bytes", &self.received_bytes)?;
        fields.serialize_field("sent_bytes", &self.sent_bytes)?;
        fields.serialize_field("stop", &self.stop)?;
        fields.end()
    }
}

struct TotalConnections<'a>(&'a Totals);

impl Serialize for TotalConnections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Connections", 2)?;
        fields.serialize_field("accepted", &self.0.accepted)?;
        fields.serialize_field("ended", &self.0.connections)?;
        fields.end()
    }
}

struct TotalRequests<'a>(&'a Totals);

impl Serialize for TotalRequests<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Requests", 8)?;
        fields.serialize_field("begun", &self.0.begun)?;
        fields.serialize_field("ended", &self.0.requests)?;
        fields.serialize_field("statuses", &self.0.statuses)?;
        fields.serialize_field("routes", &self.0.routes)?;
        fields.serialize_field("methods", &self.0.methods)?;
        fields.serialize_field("rejections", &self.0.rejections)?;
        fields.serialize_field("handler_panics", &self.0.handler_panics)?;
        fields.serialize_field("queued", &self.0.queued)?;
        fields.end()
    }
}

/// `statuses` has the count of each class, such as `2xx`.
impl Serialize for RouteTotals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let classes: BTreeMap<&str, u64> = self.classes().collect();
        let mut fields = serializer.serialize_struct("RouteTotals", 3)?;
        fields.serialize_field("route", &self.route)?;
        fields.serialize_field("statuses", &classes)?;
        fields.serialize_field("durations", &self.durations)?;
        fields.end()
    }
}

/// The sum is in `seconds`. Each of the `buckets` is a pair: its upper bound in seconds,
/// and how many took at most so long.
impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let buckets = self.buckets();
        let buckets: Vec<(f64, u64)> = buckets
            .map(|(bound, count)| (bound.as_secs_f64(), count))
            .collect();
        let mut fields = serializer.serialize_struct("Durations", 3)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("seconds", &self.sum().as_secs_f64())?;
        fields.serialize_field("buckets", &buckets)?;
        fields.end()
    }
}

/// The keys of the times are those of the report, and the time until the server cuts what
/// is left is `seconds_left`.
impl Serialize for StopTimings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = |duration: Option<Duration>| duration.map(|it| it.as_secs_f64());
        let mut fields = serializer.serialize_struct("StopTimings", 5)?;
        fields.serialize_field("seconds", &self.duration.as_secs_f64())?;
        fields.serialize_field("draining_after_seconds", &seconds(self.draining_after))?;
        fields.serialize_field("refusing_after_seconds", &seconds(self.refusing_after))?;
        fields.serialize_field("aborted_after_seconds", &seconds(self.aborted_after))?;
        fields.serialize_field("seconds_left", &seconds(self.time_left))?;
        fields.end()
    }
}
