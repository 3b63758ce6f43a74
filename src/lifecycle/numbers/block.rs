//! The counters of one shard.

use std::array;
use std::iter;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::BeforeAndAfter;
use super::Ended;
use super::NO_ROUTE;
use super::OUTCOMES;
use super::STATUS_MIN;
use super::STATUSES;
use super::add;
use crate::lifecycle::bytes_left::BytesLeft;
use crate::lifecycle::method_label::METHODS;
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::rejection_reason::RejectionReason;
use crate::lifecycle::totals::BUCKETS;
use crate::lifecycle::totals::Durations;
use crate::lifecycle::totals::RouteTotals;
use crate::lifecycle::totals::STATUS_CLASSES;

const REASONS: usize = RejectionReason::ALL.len();

/// The counters of one shard. The alignment keeps the counters of different shards in
/// different cache lines. It is that of two lines, because processors fetch them in
/// pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Block {
    pub(super) begun: AtomicU64,
    pub(super) answered_on_last_call: AtomicU64,
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    pub(in crate::lifecycle) bytes_left: BytesLeft,
    pub(super) outcomes: [BeforeAndAfter; OUTCOMES],
    pub(super) routes: Box<[RouteBlock]>,
    /// By the index of the method in [`METHODS`].
    pub(super) methods: [AtomicU64; METHODS.len()],
    /// By the index of the [`RejectionReason`].
    pub(super) rejections: [AtomicU64; REASONS],
    pub(super) handler_panics: AtomicU64,
    pub(super) queued: DurationsBlock,
    pub(super) statuses: [AtomicU64; STATUSES],
}

impl Block {
    pub(super) fn new(routes: usize) -> Self {
        Self {
            begun: AtomicU64::new(0),
            answered_on_last_call: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            bytes_left: BytesLeft::default(),
            outcomes: array::from_fn(|_| BeforeAndAfter::default()),
            routes: iter::repeat_with(RouteBlock::new).take(routes).collect(),
            methods: array::from_fn(|_| AtomicU64::new(0)),
            rejections: array::from_fn(|_| AtomicU64::new(0)),
            handler_panics: AtomicU64::new(0),
            queued: DurationsBlock::new(),
            statuses: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(crate) fn request_begun(&self) {
        add(&self.begun, 1);
    }

    /// A request has come to a worker that calls its handler, after this time in the
    /// queue.
    pub(crate) fn request_left_queue(&self, after: Duration) {
        self.queued.count(after);
    }

    /// As [`request_left_queue`](Self::request_left_queue), after no time.
    #[inline]
    pub(crate) fn request_did_not_wait(&self) {
        add(&self.queued.buckets[0], 1);
    }

    pub(crate) fn request_rejected(&self, reason: RejectionReason) {
        add(&self.rejections[reason as usize], 1);
    }

    pub(crate) fn handler_panicked(&self) {
        add(&self.handler_panics, 1);
    }

    pub(crate) fn request_ended(&self, ended: &Ended, after_trigger: bool) {
        self.outcomes[ended.outcome.index()].count(after_trigger);
        if ended.on_last_call && ended.outcome == RequestOutcome::Answered {
            add(&self.answered_on_last_call, 1);
        }
        add(&self.received_bytes, ended.received_bytes);
        add(&self.sent_bytes, ended.sent_bytes);
        if let Some(count) = self.methods.get(ended.method) {
            add(count, 1);
        }
        let status = ended.status.map_or(0, |status| status.as_u16());
        if let Some(count) = self
            .statuses
            .get(usize::from(status.wrapping_sub(STATUS_MIN)))
        {
            add(count, 1);
        }
        // Every index is that of a route. If it were not, the request would count as one
        // without a route, because the numbers have to add up.
        let route = self
            .routes
            .get(ended.route)
            .unwrap_or(&self.routes[NO_ROUTE]);
        route.count(status, ended.took);
    }
}

/// The counters of one route in one shard.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct RouteBlock {
    /// See [`RouteTotals::status_classes`].
    status_classes: [AtomicU64; STATUS_CLASSES],
    durations: DurationsBlock,
}

impl RouteBlock {
    fn new() -> Self {
        Self {
            status_classes: array::from_fn(|_| AtomicU64::new(0)),
            durations: DurationsBlock::new(),
        }
    }

    fn count(&self, status: u16, took: Duration) {
        add(
            &self.status_classes[usize::from(status / 100).min(STATUS_CLASSES - 1)],
            1,
        );
        self.durations.count(took);
    }

    pub(super) fn add_to(&self, totals: &mut RouteTotals) {
        for (sum, count) in totals.status_classes.iter_mut().zip(&self.status_classes) {
            *sum += count.load(Relaxed);
        }
        totals.durations.add(&self.durations.get());
    }
}

/// The counters of [`Durations`].
#[derive(Debug)]
pub(super) struct DurationsBlock {
    buckets: [AtomicU64; BUCKETS],
    /// The sum of the durations, in nanoseconds. It suffices for 584 years.
    nanoseconds: AtomicU64,
}

impl DurationsBlock {
    fn new() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            nanoseconds: AtomicU64::new(0),
        }
    }

    fn count(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        add(&self.buckets[Durations::bucket(nanoseconds)], 1);
        // Usually a request waits for no worker.
        if nanoseconds > 0 {
            add(&self.nanoseconds, nanoseconds);
        }
    }

    pub(super) fn get(&self) -> Durations {
        let buckets = self.buckets.each_ref().map(|count| count.load(Relaxed));
        let sum = Duration::from_nanos(self.nanoseconds.load(Relaxed));
        Durations::new(buckets, sum)
    }
}
