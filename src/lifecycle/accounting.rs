//! The accounting: every connection and every request is counted when it begins,
//! and again, with its outcome, when it ends.

mod guard;

use std::ptr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;
use std::time::SystemTime;

pub(crate) use self::guard::ConnectionGuard;
use super::activity::Activity;
use super::activity::ActivitySource;
use super::counts::Counts;
use super::numbers::Numbers;
use super::outcome::ConnectionOutcome;
use super::outcome_counts::OutcomeCounts;
use super::phase::Lifecycle;
use super::phase::Phase;
use super::phase::Trigger;
use super::report::CutRequest;
use super::report::Report;
use super::stop_timings::StopTimings;
use super::totals::Totals;
use super::unsent::Unsent;

/// How many of the requests that were cut the report names.
const NAMED_MAX: usize = 100;

/// The accounting of one server.
#[derive(Debug)]
pub(crate) struct Accounting {
    life: Arc<Lifecycle>,
    start_time: SystemTime,
    accepted: AtomicU64,
    connections: OutcomeCounts<ConnectionOutcome>,
    /// Set when the server begins to serve, because only then its routes are known.
    numbers: OnceLock<Numbers>,
    open: AtomicUsize,
    in_progress: AtomicUsize,
    /// One gauge for each shard.
    waiting: Mutex<Vec<Gauge>>,
    lingering: AtomicUsize,
    upgraded: AtomicUsize,
    followers: AtomicUsize,
    /// The acceptor has ended, so `open` does not grow again.
    acceptor_has_ended: AtomicBool,
    /// The listener was closed with connections in its backlog.
    backlog_abandoned: AtomicBool,
    cut: Mutex<Vec<CutRequest>>,
    /// Set when the server begins to serve. Weak, because it shares the sockets of the
    /// server, and the accounting may outlive them.
    activity: OnceLock<Weak<dyn ActivitySource>>,
    /// When the drain began, and `Numbers::bytes_sent_of_left` then.
    drain_began: OnceLock<(Instant, u64)>,
}

impl Accounting {
    pub(crate) fn new(life: Arc<Lifecycle>) -> Self {
        Self {
            life,
            start_time: SystemTime::now(),
            accepted: AtomicU64::new(0),
            connections: OutcomeCounts::new(),
            numbers: OnceLock::new(),
            open: AtomicUsize::new(0),
            in_progress: AtomicUsize::new(0),
            waiting: Mutex::default(),
            lingering: AtomicUsize::new(0),
            upgraded: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
            acceptor_has_ended: AtomicBool::new(false),
            backlog_abandoned: AtomicBool::new(false),
            cut: Mutex::new(Vec::new()),
            activity: OnceLock::new(),
            drain_began: OnceLock::new(),
        }
    }

    /// Counts requests by these routes, and in one block for each shard. Called before
    /// the first connection is accepted.
    pub(crate) fn count_by(&self, shards: usize, routes: impl IntoIterator<Item = String>) {
        self.numbers.get_or_init(|| Numbers::new(shards, routes));
    }

    /// Counts an accepted connection. Its [`ConnectionGuard`] has to end with an
    /// outcome.
    pub(crate) fn connection_accepted(self: &Arc<Self>) -> ConnectionGuard {
        let number = self.accepted.fetch_add(1, Relaxed) + 1;
        self.open.fetch_add(1, SeqCst);
        self.life.counts_changed();
        let numbers = self.numbers.get_or_init(|| Numbers::new(1, []));
        let block = Arc::clone(numbers.block_of(number));
        ConnectionGuard::new(Arc::clone(self), block, number)
    }

    fn request_begun(&self) {
        self.in_progress.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    fn request_ended(&self) {
        self.in_progress.fetch_sub(1, SeqCst);
        self.life.counts_changed();
    }

    /// Names a request that was cut, for the report. Its outcome is counted apart
    /// from this.
    pub(crate) fn name_cut(&self, cut: CutRequest) {
        let mut named = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED_MAX {
            named.push(cut);
        }
    }

    /// A new gauge of connections without a request in progress that wait for a
    /// worker. Each shard has one.
    pub(crate) fn waiting_gauge(&self) -> Gauge {
        let gauge = Gauge {
            count: Arc::default(),
            life: Arc::clone(&self.life),
        };
        self.gauges().push(gauge.clone());
        gauge
    }

    fn gauges(&self) -> MutexGuard<'_, Vec<Gauge>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lingering_begun(&self) {
        self.lingering.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn lingering_ended(&self) {
        self.lingering.fetch_sub(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn upgrade_begun(&self) {
        self.upgraded.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn upgrade_ended(&self) {
        self.upgraded.fetch_sub(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn follower_added(&self) {
        self.followers.fetch_add(1, SeqCst);
        self.life.notify();
    }

    pub(crate) fn follower_removed(&self) {
        self.followers.fetch_sub(1, SeqCst);
        self.life.notify();
    }

    /// Wakes the stop, which waits for the first follower, or for a change while there is
    /// one.
    pub(crate) fn wake_stop(&self) {
        self.life.notify();
    }

    /// Whether this is the accounting of this server.
    pub(crate) fn is_of(&self, server: &Lifecycle) -> bool {
        ptr::eq(Arc::as_ptr(&self.life), server)
    }

    pub(crate) fn followers(&self) -> usize {
        self.followers.load(SeqCst)
    }

    /// Takes note that the listener is closed with connections in its backlog,
    /// because no place became free for them.
    pub(crate) fn backlog_abandoned(&self) {
        self.backlog_abandoned.store(true, SeqCst);
    }

    /// Takes note that the acceptor has ended.
    pub(crate) fn no_more_connections(&self) {
        self.acceptor_has_ended.store(true, SeqCst);
        self.life.notify();
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Whether every connection has ended, and the acceptor too.
    pub(crate) fn all_ended(&self) -> bool {
        self.acceptor_has_ended.load(SeqCst) && self.open() == 0
    }

    /// Whether only followers are open, and the acceptor has ended.
    pub(crate) fn only_followers_left(&self) -> bool {
        self.acceptor_has_ended.load(SeqCst) && self.only_followers_open()
    }

    /// Whether only followers are open. The acceptor may still accept others.
    pub(crate) fn only_followers_open(&self) -> bool {
        self.open() <= self.followers()
    }

    pub(crate) fn counts(&self) -> Counts {
        let open = self.open();
        let in_progress = self.in_progress.load(SeqCst);
        let waiting = self.gauges().iter().map(Gauge::get).sum();
        let lingering = self.lingering.load(SeqCst);
        let upgraded = self.upgraded.load(SeqCst);
        Counts {
            open,
            in_progress,
            waiting,
            idle: open.saturating_sub(in_progress + waiting + lingering + upgraded),
            lingering,
            upgraded,
            followers: self.followers(),
            response_bytes_left: self.numbers.get().map_or(0, Numbers::bytes_left),
        }
    }

    /// Takes note that the drain begins, for the rate since then.
    pub(crate) fn drain_begun(&self) {
        let sent = self.numbers.get().map_or(0, Numbers::bytes_sent_of_left);
        self.drain_began.get_or_init(|| (Instant::now(), sent));
    }

    /// What is left to send, and how long that is likely to take.
    pub(crate) fn unsent(&self) -> Unsent {
        let (now, is_aborting) = (Instant::now(), self.life.is_aborting());
        let deadline = self.life.deadline().filter(|_| !is_aborting);
        let Some(numbers) = self.numbers.get() else {
            return Unsent::default();
        };
        let unsent = Unsent {
            bytes: numbers.bytes_left(),
            likely_time: None,
            time_to_deadline: deadline.map(|at| at.saturating_duration_since(now)),
        };
        match self.drain_began.get() {
            Some((began, sent_before)) if !is_aborting => {
                let sent = numbers.bytes_sent_of_left().saturating_sub(*sent_before);
                unsent.with_rate(sent, now.saturating_duration_since(*began))
            }
            _ => unsent,
        }
    }

    /// Reads the activity from `source` from now on. Called once, before the server
    /// accepts connections.
    pub(crate) fn read_activity_from(&self, source: Weak<dyn ActivitySource>) {
        let _first = self.activity.set(source);
    }

    /// What the workers do. There are none before the server serves, and after its stop.
    pub(crate) fn activity(&self) -> Activity {
        let source = self.activity.get().and_then(Weak::upgrade);
        // Threads that are left behind hold the source for longer.
        let source = source.filter(|_| self.phase() != Phase::Stopped);
        source.map_or_else(Activity::default, |source| source.activity())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// What has happened since the start.
    pub(crate) fn totals(&self) -> Totals {
        let none = Numbers::new(1, []);
        let numbers = self.numbers.get().unwrap_or(&none);
        Totals {
            accepted: self.accepted.load(Relaxed),
            connections: self.connections.all(),
            begun: numbers.begun(),
            requests: numbers.outcomes(),
            statuses: numbers.statuses(),
            routes: numbers.routes(),
            methods: numbers.methods(),
            rejections: numbers.rejections(),
            handler_panics: numbers.handler_panics(),
            queued: numbers.queued(),
            received_bytes: numbers.received_bytes(),
            sent_bytes: numbers.sent_bytes(),
            stop: self.stop_timings(),
        }
    }

    fn stop_timings(&self) -> Option<StopTimings> {
        let life = &self.life;
        // The history is read after the phase: a later phase has more of it.
        let (phase, deadline) = (life.phase(), life.deadline());
        StopTimings::new(&life.history(), phase, deadline, Instant::now())
    }

    /// When the server was bound to its address.
    pub(crate) fn start_time(&self) -> SystemTime {
        self.start_time
    }

    pub(crate) fn report(&self) -> Report {
        let none = Numbers::new(1, []);
        let numbers = self.numbers.get().unwrap_or(&none);
        let history = self.life.history();
        let (trigger, triggered) = history
            .trigger
            .unwrap_or_else(|| (Trigger::Call, Instant::now()));
        let since = |at: Instant| at.saturating_duration_since(triggered);
        Report {
            trigger,
            abort: history.abort.map(|(why, _)| why),
            duration: triggered.elapsed(),
            draining_after: history.draining.map(since),
            refusing_after: history.refusing.map(since),
            aborted_after: history.abort.map(|(_, at)| since(at)),
            accepted: self.accepted.load(Relaxed),
            connections: self.connections.all(),
            connections_after_trigger: self.connections.after(),
            begun: numbers.begun(),
            requests: numbers.outcomes(),
            requests_after_trigger: numbers.outcomes_after_trigger(),
            answered_on_last_call: numbers.answered_on_last_call(),
            followers: self.followers.load(SeqCst),
            cut: self
                .cut
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            backlog_abandoned: self.backlog_abandoned.load(SeqCst),
            threads_left: 0,
            unreturned: Vec::new(),
        }
    }

    fn after_trigger(&self) -> bool {
        self.life.phase() > Phase::Running
    }
}

/// A count that a shard keeps, and that the accounting reads.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    count: Arc<AtomicUsize>,
    life: Arc<Lifecycle>,
}

impl Gauge {
    pub(crate) fn add_one(&self) {
        self.count.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn subtract_one(&self) {
        self.count.fetch_sub(1, SeqCst);
        self.life.counts_changed();
    }

    fn get(&self) -> usize {
        self.count.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn accounting() -> Arc<Accounting> {
        let life = Arc::new(Lifecycle::new(&Config::default()));
        Arc::new(Accounting::new(life))
    }

    #[test]
    fn outcomes_after_the_trigger_are_counted_apart() {
        let accounting = accounting();
        let (early, late) = (
            accounting.connection_accepted(),
            accounting.connection_accepted(),
        );
        early.end(ConnectionOutcome::Completed);
        accounting.life.shutdown(Trigger::Call);
        late.end(ConnectionOutcome::ClosedIdle);
        let report = accounting.report();
        assert!(report.balances());
        assert_eq!(report.connections.total(), 2);
        assert_eq!(report.connections_after_trigger.total(), 1);
        assert_eq!(report.connections.to_string(), "1 completed, 1 closed idle");
    }

    #[test]
    #[should_panic(expected = "without an outcome")]
    #[cfg(debug_assertions)]
    fn a_connection_dropped_without_an_outcome_is_a_bug() {
        drop(accounting().connection_accepted());
    }
}
