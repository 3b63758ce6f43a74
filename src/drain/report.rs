//! The books: every connection and every request is entered once when it
//! begins and once, with its outcome, when it ends. The [`Report`] is what
//! they say at the end, and it has to add up.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use super::phase::Abort;
use super::phase::Lifecycle;
use super::phase::Phase;
use super::phase::Trigger;

/// How many of the requests that were cut are named one by one.
const NAMED_MAX: usize = 100;

/// A way to end, with a place in a [`Tally`].
pub trait Outcome: Copy + fmt::Debug + Sized + 'static {
    /// Every outcome, in the order of the report.
    const ALL: &'static [Self];
    /// The place in [`ALL`](Self::ALL).
    fn index(self) -> usize;
    /// The outcome in words that fit a report, such as `"hung up"`.
    fn name(self) -> &'static str;
}

/// How a connection ended. Each accepted connection ends in exactly one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionOutcome {
    /// The client closed its side with nothing outstanding: everything it
    /// asked was answered, and the answers are delivered.
    Completed,
    /// Idle, and closed by us: its idle timeout or the last call was over.
    HungUp,
    /// As [`HungUp`](Self::HungUp), but something that the client sent crossed
    /// our goodbye on the wire. RFC 9112 section 9.3.1 has clients retry it.
    Crossed,
    /// Its last answer was written, but the client did not close its side
    /// within [`Config::linger`](crate::Config::linger).
    Unconfirmed,
    /// The client closed or reset it in the middle of a request or an answer.
    Vanished,
    /// The client stopped reading in the middle of an answer.
    Stalled,
    /// Ended by us before an answer was complete.
    Cut,
}

impl Outcome for ConnectionOutcome {
    const ALL: &'static [Self] = &[
        Self::Completed,
        Self::HungUp,
        Self::Crossed,
        Self::Unconfirmed,
        Self::Vanished,
        Self::Stalled,
        Self::Cut,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::HungUp => "hung up",
            Self::Crossed => "crossed",
            Self::Unconfirmed => "unconfirmed",
            Self::Vanished => "vanished",
            Self::Stalled => "stalled",
            Self::Cut => "cut",
        }
    }
}

/// How a request ended. Each request, from its first byte on, ends in exactly
/// one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The handler's response was written whole.
    Answered,
    /// The handler panicked; a 500 was written whole.
    Failed,
    /// The server itself refused it (400, 408, 413, …), and wrote that whole.
    Refused,
    /// No handler had started it at the deadline: 503.
    TurnedAway,
    /// The client went away before its answer was written.
    Abandoned,
    /// The client stopped reading its answer.
    Stalled,
    /// Ended by us before its answer was complete.
    Cut,
}

impl Outcome for RequestOutcome {
    const ALL: &'static [Self] = &[
        Self::Answered,
        Self::Failed,
        Self::Refused,
        Self::TurnedAway,
        Self::Abandoned,
        Self::Stalled,
        Self::Cut,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::TurnedAway => "turned away",
            Self::Abandoned => "abandoned",
            Self::Stalled => "stalled",
            Self::Cut => "cut",
        }
    }
}

/// How many ended in which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<O> {
    counts: Vec<u64>,
    outcome: std::marker::PhantomData<O>,
}

impl<O: Outcome> Tally<O> {
    /// How many ended in this way.
    pub fn count(&self, outcome: O) -> u64 {
        self.counts[outcome.index()]
    }

    /// How many ended at all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every outcome with its count, those that did not occur included.
    pub fn iter(&self) -> impl Iterator<Item = (O, u64)> {
        O::ALL.iter().copied().zip(self.counts.iter().copied())
    }
}

/// Shows what occurred: `12 answered, 1 cut`, or `none`.
impl<O: Outcome> fmt::Display for Tally<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (outcome, count) in self.iter().filter(|&(_, count)| count > 0) {
            write!(f, "{separator}{count} {}", outcome.name())?;
            separator = ", ";
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

/// What is going on at this moment.
///
/// The numbers are read one after another while the server works, so under
/// load they may be off by what happened in between. A connection in none of
/// the last three states is with a worker, between two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that were accepted and have not ended.
    pub open: usize,
    /// Requests of which a byte has arrived and whose answer is not complete.
    pub in_progress: usize,
    /// Connections with no request in progress that wait for one.
    pub idle: usize,
    /// Connections whose last answer is written, waiting for the client to
    /// close its side.
    pub lingering: usize,
    /// Of the connections, those that only follow the shutdown
    /// ([`ShutdownHandle::follow`](crate::ShutdownHandle::follow)).
    pub followers: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            in_progress,
            idle,
            lingering,
            ..
        } = self;
        write!(
            f,
            "{in_progress} in progress, {idle} idle, {lingering} about to leave"
        )
    }
}

/// A request that was cut: which, whose, and how long it had been going on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutRequest {
    /// Method and target, `GET /slow`; or what is known of them.
    pub route: String,
    /// Who asked.
    pub peer: SocketAddr,
    /// The time since its first byte.
    pub age: Duration,
    /// `true` if its handler had not returned.
    pub handler_running: bool,
}

impl fmt::Display for CutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            route, peer, age, ..
        } = self;
        write!(f, "{route} from {peer}, {:.3} s old", age.as_secs_f64())?;
        if self.handler_running {
            f.write_str(", its handler still running")?;
        }
        Ok(())
    }
}

/// One outcome's count, before the trigger and since.
#[derive(Debug, Default)]
struct BeforeAndAfter([AtomicU64; 2]);

#[derive(Debug)]
struct Ledger<O> {
    counts: Vec<BeforeAndAfter>,
    outcome: std::marker::PhantomData<O>,
}

impl<O: Outcome> Ledger<O> {
    fn new() -> Self {
        Self {
            counts: O::ALL.iter().map(|_| BeforeAndAfter::default()).collect(),
            outcome: std::marker::PhantomData,
        }
    }

    fn enter(&self, outcome: O, after_trigger: bool) {
        self.counts[outcome.index()].0[usize::from(after_trigger)].fetch_add(1, Relaxed);
    }

    fn tally(&self, which: impl Fn(&BeforeAndAfter) -> u64) -> Tally<O> {
        Tally {
            counts: self.counts.iter().map(which).collect(),
            outcome: std::marker::PhantomData,
        }
    }

    fn all(&self) -> Tally<O> {
        self.tally(|count| count.0[0].load(Relaxed) + count.0[1].load(Relaxed))
    }

    fn after(&self) -> Tally<O> {
        self.tally(|count| count.0[1].load(Relaxed))
    }
}

/// The books of one server.
#[derive(Debug)]
pub(crate) struct Books {
    life: Arc<Lifecycle>,
    accepted: AtomicU64,
    begun: AtomicU64,
    connections: Ledger<ConnectionOutcome>,
    requests: Ledger<RequestOutcome>,
    answered_on_last_call: AtomicU64,
    open: AtomicUsize,
    in_progress: AtomicUsize,
    lingering: AtomicUsize,
    followers: AtomicUsize,
    /// The acceptor has ended: `open` will not grow again.
    no_more: AtomicBool,
    cut: Mutex<Vec<CutRequest>>,
}

impl Books {
    pub(crate) fn new(life: Arc<Lifecycle>) -> Self {
        Self {
            life,
            accepted: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            connections: Ledger::new(),
            requests: Ledger::new(),
            answered_on_last_call: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            in_progress: AtomicUsize::new(0),
            lingering: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
            no_more: AtomicBool::new(false),
            cut: Mutex::new(Vec::new()),
        }
    }

    /// A connection was accepted. Its [`Ticket`] has to end in an outcome.
    pub(crate) fn connection_accepted(self: &Arc<Self>) -> Ticket {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, SeqCst);
        self.life.counts_changed();
        Ticket {
            books: Arc::clone(self),
            ended: false,
        }
    }

    pub(crate) fn request_begun(&self) {
        self.begun.fetch_add(1, Relaxed);
        self.in_progress.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn request_ended(&self, outcome: RequestOutcome, on_last_call: bool) {
        self.requests.enter(outcome, self.after_trigger());
        if on_last_call && outcome == RequestOutcome::Answered {
            self.answered_on_last_call.fetch_add(1, Relaxed);
        }
        self.in_progress.fetch_sub(1, SeqCst);
        self.life.counts_changed();
    }

    /// Names a request that was cut; its outcome is entered beside this.
    pub(crate) fn name_cut(&self, cut: CutRequest) {
        log::warn!("cut: {cut}");
        let mut named = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < NAMED_MAX {
            named.push(cut);
        }
    }

    pub(crate) fn lingering_begun(&self) {
        self.lingering.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn lingering_ended(&self) {
        self.lingering.fetch_sub(1, SeqCst);
    }

    pub(crate) fn follower_came(&self) {
        self.followers.fetch_add(1, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn follower_left(&self) {
        self.followers.fetch_sub(1, SeqCst);
        self.life.counts_changed();
    }

    /// The acceptor has ended.
    pub(crate) fn no_more_connections(&self) {
        self.no_more.store(true, SeqCst);
        self.life.counts_changed();
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// Nobody is left, and nobody can come.
    pub(crate) fn everyone_left(&self) -> bool {
        self.no_more.load(SeqCst) && self.open() == 0
    }

    /// Nobody is left but those who only wait to hear just that.
    pub(crate) fn only_followers_left(&self) -> bool {
        self.no_more.load(SeqCst) && self.open() <= self.followers.load(SeqCst)
    }

    pub(crate) fn counts(&self) -> Counts {
        let open = self.open();
        let in_progress = self.in_progress.load(SeqCst);
        let lingering = self.lingering.load(SeqCst);
        Counts {
            open,
            in_progress,
            idle: open.saturating_sub(in_progress + lingering),
            lingering,
            followers: self.followers.load(SeqCst),
        }
    }

    pub(crate) fn report(&self) -> Report {
        let log = self.life.log();
        let (trigger, triggered) = log
            .trigger
            .unwrap_or_else(|| (Trigger::Call, Instant::now()));
        let since = |at: Instant| at.saturating_duration_since(triggered);
        Report {
            trigger,
            abort: log.abort.map(|(why, _)| why),
            duration: triggered.elapsed(),
            draining_after: log.draining.map(since),
            door_closed_after: log.door_closed.map(since),
            aborted_after: log.abort.map(|(_, at)| since(at)),
            accepted: self.accepted.load(Relaxed),
            connections: self.connections.all(),
            connections_after_trigger: self.connections.after(),
            begun: self.begun.load(Relaxed),
            requests: self.requests.all(),
            requests_after_trigger: self.requests.after(),
            answered_on_last_call: self.answered_on_last_call.load(Relaxed),
            followers: self.followers.load(SeqCst),
            cut: self
                .cut
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            threads_left: 0,
        }
    }

    fn after_trigger(&self) -> bool {
        self.life.phase() > Phase::Running
    }
}

/// A connection's entry in the books. Dropping it without an outcome is a bug.
#[derive(Debug)]
pub(crate) struct Ticket {
    books: Arc<Books>,
    ended: bool,
}

impl Ticket {
    pub(crate) fn end(mut self, outcome: ConnectionOutcome) {
        self.ended = true;
        self.books
            .connections
            .enter(outcome, self.books.after_trigger());
        self.books.open.fetch_sub(1, SeqCst);
        self.books.life.counts_changed();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        debug_assert!(
            self.ended || std::thread::panicking(),
            "a connection was dropped without an outcome"
        );
    }
}

/// What happened, from the trigger to the end, and in all.
///
/// Once [`serve`](crate::Server::serve) has returned it,
/// `accepted == connections.total()` and `begun == requests.total()`.
/// A report that a follower receives as its last line is made just before
/// that: the followers' own connections have not ended in it.
///
/// Its [`Display`](fmt::Display) form has several lines and is for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Who asked the server to stop.
    pub trigger: Trigger,
    /// Why what was left was cut; `None` if the drain ran to its end.
    pub abort: Option<Abort>,
    /// From the trigger to the end.
    pub duration: Duration,
    /// From the trigger to the end of the lame duck.
    pub draining_after: Option<Duration>,
    /// From the trigger to the moment from which on the kernel refuses new
    /// connections. `None` if there was no such moment: the kernel has no
    /// call for it, or the listener is not ours alone.
    pub door_closed_after: Option<Duration>,
    /// From the trigger to the abort.
    pub aborted_after: Option<Duration>,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// How they ended.
    pub connections: Tally<ConnectionOutcome>,
    /// Of these, the ones that ended after the trigger.
    pub connections_after_trigger: Tally<ConnectionOutcome>,
    /// Requests begun since the start.
    pub begun: u64,
    /// How they ended.
    pub requests: Tally<RequestOutcome>,
    /// Of these, the ones that ended after the trigger.
    pub requests_after_trigger: Tally<RequestOutcome>,
    /// Requests that began after the drain had, and were answered.
    pub answered_on_last_call: u64,
    /// Those who still follow the shutdown; 0 at the end.
    pub followers: usize,
    /// The requests that were cut, by name: the first hundred.
    pub cut: Vec<CutRequest>,
    /// Worker threads that could not be joined, because a handler does not
    /// return. They end when their handlers do.
    pub threads_left: usize,
}

impl Report {
    /// Whether everyone got an answer of their own: nothing was cut, and
    /// nobody was turned away with a 503.
    pub fn everyone_answered(&self) -> bool {
        self.requests.count(RequestOutcome::Cut) == 0
            && self.requests.count(RequestOutcome::TurnedAway) == 0
            && self.connections.count(ConnectionOutcome::Cut) == 0
    }

    /// Whether every connection and every request has exactly one outcome.
    /// True of what [`serve`](crate::Server::serve) returns.
    pub fn balances(&self) -> bool {
        self.accepted == self.connections.total() && self.begun == self.requests.total()
    }
}

impl Report {
    /// The whole in one line: how long it took, who asked, and what became of
    /// those who were there.
    pub fn summary(&self) -> String {
        use ConnectionOutcome as C;
        use RequestOutcome as R;

        let after = &self.requests_after_trigger;
        let gone = &self.connections_after_trigger;
        let early = match self.abort {
            Some(why) => format!(", cut short by {why}"),
            None => String::new(),
        };
        format!(
            "stopped in {:.3} s by {}{early}: {} answered after that, {} of them on the last \
             call; {} hung up idle; {} turned away with 503; {} cut",
            self.duration.as_secs_f64(),
            self.trigger,
            after.count(R::Answered) + after.count(R::Failed) + after.count(R::Refused),
            self.answered_on_last_call,
            gone.count(C::HungUp) + gone.count(C::Crossed),
            after.count(R::TurnedAway),
            after.count(R::Cut),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        write!(f, "\n  requests in all: {}: {}", self.begun, self.requests)?;
        write!(
            f,
            "\n  connections in all: {}: {}",
            self.accepted, self.connections
        )?;
        for cut in &self.cut {
            write!(f, "\n  cut: {cut}")?;
        }
        let unnamed = self
            .requests
            .count(RequestOutcome::Cut)
            .saturating_sub(self.cut.len() as u64);
        if unnamed > 0 {
            write!(f, "\n  cut: {unnamed} more")?;
        }
        if self.threads_left > 0 {
            write!(
                f,
                "\n  threads left with handlers that have not returned: {}",
                self.threads_left
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books() -> Arc<Books> {
        let life = Arc::new(Lifecycle::new(Duration::ZERO, Duration::from_secs(1)));
        Arc::new(Books::new(life))
    }

    #[test]
    fn every_outcome_has_its_own_place() {
        for (place, outcome) in ConnectionOutcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), place);
        }
        for (place, outcome) in RequestOutcome::ALL.iter().enumerate() {
            assert_eq!(outcome.index(), place);
        }
    }

    #[test]
    fn what_ends_after_the_trigger_is_told_apart() {
        let books = books();
        let (early, late) = (books.connection_accepted(), books.connection_accepted());
        early.end(ConnectionOutcome::Completed);
        books.life.shutdown(Trigger::Call);
        late.end(ConnectionOutcome::HungUp);
        let report = books.report();
        assert!(report.balances());
        assert_eq!(report.connections.total(), 2);
        assert_eq!(report.connections_after_trigger.total(), 1);
        assert_eq!(report.connections.to_string(), "1 completed, 1 hung up");
    }

    #[test]
    #[should_panic(expected = "without an outcome")]
    #[cfg(debug_assertions)]
    fn a_connection_dropped_without_an_outcome_is_a_bug() {
        drop(books().connection_accepted());
    }
}
