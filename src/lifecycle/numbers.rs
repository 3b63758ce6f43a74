//! The numbers of requests since the start: outcomes, statuses, durations, bytes.
//!
//! They are counted in blocks, one for each shard. A connection stays in its shard for
//! life, and counts in the block of its shard. As a rule the worker that owns the shard
//! is the only thread that writes to the block, so no cache line of it moves between
//! cores. Other threads write to it too: a worker that has handed off the shard, or the
//! thread that cuts connections at an abort. So every counter is an atomic. A read sums
//! the blocks.
//!
//! Within a block, durations and classes of statuses are counted by route. Index 0 is
//! for requests without a route: those that no route matches, and those that end before
//! their head is whole. No index and no name depends on what a client sends.

mod block;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::StatusCode;

pub(crate) use self::block::Block;
use super::method_label;
use super::method_label::METHODS;
use super::outcome::Outcome;
use super::outcome::RequestOutcome;
use super::outcome::Tally;
use super::rejection_reason::RejectionReason;
use super::totals::Durations;
use super::totals::RouteTotals;

/// The index of requests without a route.
pub(crate) const NO_ROUTE: usize = 0;

/// The number of values that a [`StatusCode`] can have, from [`STATUS_MIN`].
const STATUSES: usize = 900;

/// The least [`StatusCode`].
const STATUS_MIN: u16 = 100;

const OUTCOMES: usize = RequestOutcome::ALL.len();

/// The count of one outcome, before the trigger and after it.
#[derive(Debug, Default)]
pub(crate) struct BeforeAndAfter([AtomicU64; 2]);

impl BeforeAndAfter {
    pub(crate) fn count(&self, after_trigger: bool) {
        add(&self.0[usize::from(after_trigger)], 1);
    }

    pub(crate) fn all(&self) -> u64 {
        self.0.iter().map(|count| count.load(Relaxed)).sum()
    }

    pub(crate) fn after(&self) -> u64 {
        self.0[1].load(Relaxed)
    }
}

/// What is counted of a request when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: RequestOutcome,
    pub(crate) on_last_call: bool,
    /// `None` if the request got no answer.
    pub(crate) status: Option<StatusCode>,
    /// [`NO_ROUTE`], or the place of its route among all routes, from 1.
    pub(crate) route: usize,
    /// The index of its method in [`METHODS`].
    pub(crate) method: usize,
    pub(crate) took: Duration,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

impl Ended {
    /// A request of which only the outcome is known.
    pub(crate) fn without_answer(outcome: RequestOutcome) -> Self {
        Self {
            outcome,
            on_last_call: false,
            status: None,
            route: NO_ROUTE,
            method: method_label::OTHER,
            took: Duration::ZERO,
            received_bytes: 0,
            sent_bytes: 0,
        }
    }
}

/// The numbers of one server.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// One for each shard, at least one.
    blocks: Box<[Arc<Block>]>,
    /// Each name of a route once, in the order of the routes; `None` for [`NO_ROUTE`].
    names: Box<[Option<String>]>,
    /// The index in `names` for each route.
    name_of_route: Box<[usize]>,
}

impl Numbers {
    /// `routes` has the name of each route. Routes with the same name count together.
    pub(crate) fn new(shards: usize, routes: impl IntoIterator<Item = String>) -> Self {
        let mut names = vec![None];
        let mut known = HashMap::new();
        let index_of_name = |name: String| {
            *known.entry(name).or_insert_with_key(|name| {
                names.push(Some(name.clone()));
                names.len() - 1
            })
        };
        let name_of_route = iter::once(NO_ROUTE).chain(routes.into_iter().map(index_of_name));
        let name_of_route: Box<[usize]> = name_of_route.collect();
        let block = || Arc::new(Block::new(name_of_route.len()));
        Self {
            blocks: iter::repeat_with(block).take(shards.max(1)).collect(),
            names: names.into(),
            name_of_route,
        }
    }

    /// The block of the connection with this number. `Engine::shard_of` gives its shard
    /// in the same way.
    pub(crate) fn block_of(&self, connection_number: u64) -> &Arc<Block> {
        let blocks = self.blocks.len() as u64;
        &self.blocks[usize::try_from(connection_number % blocks).unwrap_or(0)]
    }

    pub(crate) fn begun(&self) -> u64 {
        self.sum(|block| block.begun.load(Relaxed))
    }

    pub(crate) fn answered_on_last_call(&self) -> u64 {
        self.sum(|block| block.answered_on_last_call.load(Relaxed))
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.sum(|block| block.received_bytes.load(Relaxed))
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sum(|block| block.sent_bytes.load(Relaxed))
    }

    /// How many bytes the responses in progress still have to send.
    pub(super) fn bytes_left(&self) -> u64 {
        self.sum(|block| block.bytes_left.left())
    }

    /// How many bytes were sent of responses that are or were among those in progress.
    pub(super) fn bytes_sent_of_left(&self) -> u64 {
        self.sum(|block| block.bytes_left.sent())
    }

    pub(crate) fn outcomes(&self) -> Tally<RequestOutcome> {
        Tally::new(|outcome: &RequestOutcome| {
            self.sum(|block| block.outcomes[outcome.index()].all())
        })
    }

    pub(crate) fn outcomes_after_trigger(&self) -> Tally<RequestOutcome> {
        Tally::new(|outcome: &RequestOutcome| {
            self.sum(|block| block.outcomes[outcome.index()].after())
        })
    }

    /// The statuses that have occurred.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
        let count = |index: usize| self.sum(|block| block.statuses[index].load(Relaxed));
        let statuses = (STATUS_MIN..).zip((0..STATUSES).map(count));
        statuses.filter(|&(_, count)| count > 0).collect()
    }

    /// The requests of each method.
    pub(crate) fn methods(&self) -> BTreeMap<&'static str, u64> {
        let count = |index: usize| self.sum(|block| block.methods[index].load(Relaxed));
        METHODS
            .into_iter()
            .zip((0..METHODS.len()).map(count))
            .collect()
    }

    /// The rejections for each reason.
    pub(crate) fn rejections(&self) -> BTreeMap<&'static str, u64> {
        let count = |reason: RejectionReason| {
            self.sum(|block| block.rejections[reason as usize].load(Relaxed))
        };
        let reasons = RejectionReason::ALL.into_iter();
        reasons
            .map(|reason| (reason.name(), count(reason)))
            .collect()
    }

    pub(crate) fn handler_panics(&self) -> u64 {
        self.sum(|block| block.handler_panics.load(Relaxed))
    }

    /// How long requests waited for a worker.
    pub(crate) fn queued(&self) -> Durations {
        let mut durations = Durations::default();
        for block in &self.blocks {
            durations.add(&block.queued.get());
        }
        durations
    }

    /// Requests without a route first, and then each route in the given order.
    pub(crate) fn routes(&self) -> Vec<RouteTotals> {
        let totals = self.names.iter().cloned().map(RouteTotals::new);
        let mut totals: Vec<RouteTotals> = totals.collect();
        for (index, &name) in self.name_of_route.iter().enumerate() {
            for block in &self.blocks {
                block.routes[index].add_to(&mut totals[name]);
            }
        }
        totals
    }

    fn sum(&self, count: impl Fn(&Block) -> u64) -> u64 {
        self.blocks.iter().map(|block| count(block)).sum()
    }
}

/// No other memory depends on the value, and a read may see some counters earlier than
/// others.
fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn ended(route: usize, status: Option<u16>, took: Duration) -> Ended {
        Ended {
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            route,
            took,
            received_bytes: 10,
            sent_bytes: 200,
            ..Ended::without_answer(RequestOutcome::Answered)
        }
    }

    #[test]
    fn requests_count_by_route_in_the_block_of_their_connection() {
        let numbers = Numbers::new(3, ["/a".to_owned(), "/b".to_owned()]);
        let end = |connection, ended: Ended| {
            let block = numbers.block_of(connection);
            block.request_begun();
            block.request_ended(&ended, connection > 3);
        };
        end(1, ended(1, Some(200), Duration::from_micros(100)));
        end(2, ended(1, Some(404), Duration::from_micros(101)));
        end(3, ended(2, Some(200), Duration::from_secs(40)));
        end(4, ended(NO_ROUTE, Some(799), Duration::ZERO));
        end(5, ended(NO_ROUTE, None, Duration::ZERO));
        assert_eq!(numbers.begun(), 5);
        assert_eq!(numbers.outcomes().total(), 5);
        assert_eq!(numbers.outcomes_after_trigger().total(), 2);
        assert_eq!(numbers.received_bytes(), 50);
        assert_eq!(numbers.sent_bytes(), 1000);
        let statuses = [(200, 2), (404, 1), (799, 1)];
        assert_eq!(numbers.statuses(), BTreeMap::from(statuses));

        let [none, a, b] = &numbers.routes()[..] else {
            panic!("one for each route, and one for none");
        };
        assert_eq!(none.route, None);
        assert_eq!(none.status_classes, [1, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(a.route.as_deref(), Some("/a"));
        assert_eq!(a.status_classes, [0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(a.durations.count(), 2);
        assert_eq!(a.durations.sum(), Duration::from_micros(201));
        let within: Vec<u64> = a.durations.buckets().map(|(_, count)| count).collect();
        assert_eq!(within[..3], [1, 2, 2]);
        assert_eq!(b.durations.count(), 1);
        assert!(b.durations.buckets().all(|(_, count)| count == 0));
    }

    #[test]
    fn routes_with_one_name_count_together() {
        let numbers = Numbers::new(1, ["/a", "/b", "/a"].map(str::to_owned));
        for route in [1, 2, 3] {
            numbers
                .block_of(1)
                .request_ended(&ended(route, Some(200), Duration::ZERO), false);
        }
        let routes = numbers.routes();
        let counts = routes.iter().map(|route| route.durations.count());
        assert_eq!(counts.collect::<Vec<_>>(), [0, 2, 1]);
        let names = routes.iter().map(|route| route.route.as_deref());
        assert_eq!(names.collect::<Vec<_>>(), [None, Some("/a"), Some("/b")]);
    }

    #[test]
    fn a_read_of_many_routes_compares_no_names() {
        // With comparisons of each name with all others, this takes a minute.
        const ROUTES: usize = 20_000;
        let prefix = "/a/long/prefix/that/is/the/same/in/all/routes/of/this/server".repeat(8);
        let names = (0..ROUTES).map(|number| format!("{prefix}/{number:06}"));
        let numbers = Numbers::new(1, names);
        numbers
            .block_of(1)
            .request_ended(&ended(ROUTES, Some(200), Duration::ZERO), false);
        let begin = Instant::now();
        let routes = numbers.routes();
        assert!(begin.elapsed() < Duration::from_secs(10));
        assert_eq!(routes.len(), ROUTES + 1);
        assert_eq!(routes[ROUTES].durations.count(), 1);
    }

    #[test]
    fn an_index_without_a_route_counts_as_no_route() {
        let numbers = Numbers::new(1, []);
        let block = numbers.block_of(1);
        block.request_ended(&ended(7, Some(200), Duration::ZERO), false);
        assert_eq!(numbers.routes()[NO_ROUTE].durations.count(), 1);
    }
}
