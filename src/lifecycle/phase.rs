//! Where the server is in its life.
//!
//! ```text
//! Running --trigger--> LameDuck --lame_duck over--> Draining --everyone left--> Stopped
//!    |                                                 |                           ^
//!    +---- trigger, when lame_duck is zero ----------->+                           |
//!                                    deadline, or abort() --> Aborting ------------+
//! ```
//!
//! The phase only moves forwards. It lives in one atomic, so that every
//! connection may read it at any step; moving it takes the lock, so that what
//! belongs to a move (who pulled the trigger, when) is there before anyone
//! can see the new phase.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use super::counts_watch::CountsWatch;
use crate::config::Config;
use crate::waiting::wait_until;

/// Where a server is in its life. Phases only move forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Serving; nobody has asked it to stop. Also the phase before `serve`.
    Running,
    /// Asked to stop, still serving everyone for
    /// [`Config::lame_duck`](crate::Config::lame_duck), so that load balancers
    /// can turn away first.
    LameDuck,
    /// No new connections; what is open gets its answers and its last call.
    Draining,
    /// The deadline has passed or a second trigger came: what is left is cut.
    Aborting,
    /// Every connection has its outcome.
    Stopped,
}

impl Phase {
    const ALL: [Self; 5] = [
        Self::Running,
        Self::LameDuck,
        Self::Draining,
        Self::Aborting,
        Self::Stopped,
    ];
}

impl Phase {
    /// Whether the server cuts what is left, or has done so.
    pub(crate) fn is_aborting(self) -> bool {
        self >= Self::Aborting
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::LameDuck => "lame duck",
            Self::Draining => "draining",
            Self::Aborting => "aborting",
            Self::Stopped => "stopped",
        })
    }
}

/// Who asked the server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// The program itself, by [`ShutdownHandle::shutdown`](crate::ShutdownHandle::shutdown)
    /// or [`abort`](crate::ShutdownHandle::abort).
    Call,
    /// A signal of the operating system: Ctrl+C, SIGTERM.
    Signal,
    /// A request from this peer.
    Request(SocketAddr),
    /// A thread of the server itself panicked, which is a bug of this library.
    /// [`serve`](crate::Server::serve) returns an error then, once every
    /// connection has ended.
    Failure,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("the program itself"),
            Self::Signal => f.write_str("a signal"),
            Self::Request(peer) => write!(f, "a request from {peer}"),
            Self::Failure => f.write_str("a failure of the server"),
        }
    }
}

/// Why a drain did not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Abort {
    /// [`Config::drain_timeout`](crate::Config::drain_timeout) was over.
    Deadline,
    /// It was asked for: [`ShutdownHandle::abort`](crate::ShutdownHandle::abort).
    Requested(Trigger),
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the drain deadline"),
            Self::Requested(trigger) => trigger.fmt(f),
        }
    }
}

/// When the server reached what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct History {
    pub(crate) trigger: Option<(Trigger, Instant)>,
    pub(crate) draining: Option<Instant>,
    pub(crate) refusing: Option<Instant>,
    pub(crate) abort: Option<(Abort, Instant)>,
}

/// The phase, its history, and a way to wait for either to change.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: AtomicU8,
    history: Mutex<History>,
    /// The phase, or one of the few other things that a stop waits for.
    changed: Condvar,
    counts: CountsWatch,
    /// The first thread that panicked.
    failed: OnceLock<String>,
    lame_duck: Duration,
    last_call: Duration,
    drain_timeout: Duration,
}

impl Lifecycle {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Running as u8),
            history: Mutex::new(History::default()),
            changed: Condvar::new(),
            counts: CountsWatch::default(),
            failed: OnceLock::new(),
            lame_duck: config.lame_duck,
            last_call: config.last_call,
            drain_timeout: config.drain_timeout,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(SeqCst))]
    }

    /// Whether the server cuts what is left, or has done so.
    pub(crate) fn is_aborting(&self) -> bool {
        self.phase().is_aborting()
    }

    pub(crate) fn history(&self) -> History {
        *self.lock()
    }

    /// Pulls the trigger. `false` if somebody has done so before.
    pub(crate) fn shutdown(&self, by: Trigger) -> bool {
        let mut history = self.lock();
        if history.trigger.is_some() {
            return false;
        }
        let now = Instant::now();
        history.trigger = Some((by, now));
        if self.lame_duck.is_zero() {
            history.draining = Some(now);
            self.move_to(Phase::Draining);
        } else {
            self.move_to(Phase::LameDuck);
        }
        true
    }

    /// A thread of the server has panicked: the server stops.
    pub(crate) fn fail(&self, thread: &str) {
        let _first = self.failed.set(thread.to_owned());
        self.shutdown(Trigger::Failure);
    }

    /// The first thread that panicked.
    pub(crate) fn failed_thread(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Ends the lame duck, unless an abort has ended it already.
    pub(crate) fn drain(&self) {
        let mut history = self.lock();
        history.draining.get_or_insert_with(Instant::now);
        self.move_to(Phase::Draining);
    }

    /// Cuts what is left. `false` if that was decided before, or is too late.
    pub(crate) fn abort(&self, why: Abort) -> bool {
        let mut history = self.lock();
        if self.is_aborting() {
            return false;
        }
        let now = Instant::now();
        if let Abort::Requested(by) = why {
            history.trigger.get_or_insert((by, now));
        }
        history.draining.get_or_insert(now);
        history.abort = Some((why, now));
        self.move_to(Phase::Aborting);
        true
    }

    /// The kernel has begun to refuse new connections.
    pub(crate) fn set_refusing(&self) {
        self.lock().refusing = Some(Instant::now());
        self.announce();
    }

    pub(crate) fn stopped(&self) {
        let _history = self.lock();
        self.move_to(Phase::Stopped);
    }

    /// When what is left will be cut; `None` before the trigger.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.phase() == Phase::Running {
            return None;
        }
        let history = self.lock();
        if let Some((_, at)) = history.abort {
            return Some(at);
        }
        match history.draining {
            Some(at) => Some(at + self.drain_timeout),
            None => history
                .trigger
                .map(|(_, at)| at + self.lame_duck + self.drain_timeout),
        }
    }

    /// When the server began to cut what is left, if it has.
    pub(crate) fn aborting_since(&self) -> Option<Instant> {
        match self.is_aborting() {
            true => self.lock().abort.map(|(_, at)| at),
            false => None,
        }
    }

    /// When the drain began; `None` before that.
    fn draining_since(&self) -> Option<Instant> {
        match self.phase() {
            Phase::Running | Phase::LameDuck => None,
            _ => self.lock().draining,
        }
    }

    /// When the last call ends: until then a connection without a request in
    /// progress may begin one. `None` before the drain.
    pub(crate) fn last_call_ends(&self) -> Option<Instant> {
        self.draining_since().map(|began| began + self.last_call)
    }

    /// As [`last_call_ends`](Self::last_call_ends), for a connection that has been
    /// idle since `idle_since`. That may be later than the start of the drain, as for
    /// a connection accepted from the backlog, and the last call begins then.
    pub(crate) fn last_call_ends_for(&self, idle_since: Instant) -> Option<Instant> {
        let ends = self.last_call_ends()?;
        Some(ends.max(idle_since + self.last_call))
    }

    /// Whether the abort was asked for: then the server waits for no client.
    pub(crate) fn abort_was_requested(&self) -> bool {
        self.is_aborting() && matches!(self.lock().abort, Some((Abort::Requested(_), _)))
    }

    /// When the lame duck is over; `None` before the trigger.
    pub(crate) fn lame_duck_ends(&self) -> Option<Instant> {
        self.lock().trigger.map(|(_, at)| at + self.lame_duck)
    }

    /// Says that a count has changed, to the threads that watch the counts.
    pub(crate) fn counts_changed(&self) {
        self.counts.changed();
    }

    /// Says that something has happened that a stop may wait for: the backlog
    /// is empty, the last connection has ended, a thread has. It is rare, and
    /// wakes every thread in [`wait`](Self::wait).
    pub(crate) fn notify(&self) {
        // Under the lock, so that no waiter is between looking and waiting.
        drop(self.lock());
        self.announce();
    }

    /// Waits until the server is in `phase` or beyond it, or until `deadline`.
    /// Says whether it is.
    pub(crate) fn wait_for_phase(&self, phase: Phase, deadline: Option<Instant>) -> bool {
        self.wait(deadline, || self.phase() >= phase)
    }

    /// Waits until `condition` holds, or until `deadline`. Says whether it
    /// holds. It is asked at every change of the phase and at every
    /// [`notify`](Self::notify), under the lock: it reads atomics, and calls
    /// nothing else of this type but [`phase`](Self::phase).
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        mut condition: impl FnMut() -> bool,
    ) -> bool {
        wait_until(&self.changed, self.lock(), deadline, |_| condition())
    }

    /// As [`wait`](Self::wait), and asked at every change of a count too,
    /// without a lock. Each change wakes the caller, so this is for threads
    /// that follow the counts, and for no other.
    pub(crate) fn wait_for_counts(
        &self,
        deadline: Option<Instant>,
        condition: impl FnMut() -> bool,
    ) -> bool {
        self.counts.wait(deadline, condition)
    }

    /// Moves to a later phase; the lock is held by the caller.
    fn move_to(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, SeqCst);
        self.announce();
    }

    fn announce(&self) {
        self.changed.notify_all();
        self.counts.changed();
    }

    /// The history holds plain values, so it is whole even if a holder panicked.
    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn life(lame_duck: Duration) -> Lifecycle {
        Lifecycle::new(&Config {
            lame_duck,
            last_call: SECOND,
            drain_timeout: SECOND,
            ..Config::default()
        })
    }

    #[test]
    fn the_first_trigger_wins_and_the_second_changes_nothing() {
        let life = life(Duration::ZERO);
        assert!(life.shutdown(Trigger::Signal));
        assert!(!life.shutdown(Trigger::Call));
        assert_eq!(life.phase(), Phase::Draining);
        assert_eq!(life.history().trigger.unwrap().0, Trigger::Signal);
    }

    #[test]
    fn a_lame_duck_stands_between_trigger_and_drain() {
        let life = life(SECOND);
        assert_eq!(life.deadline(), None);
        life.shutdown(Trigger::Call);
        assert_eq!(life.phase(), Phase::LameDuck);
        let (_, at) = life.history().trigger.unwrap();
        assert_eq!(life.deadline(), Some(at + 2 * SECOND));
        life.drain();
        assert_eq!(life.phase(), Phase::Draining);
    }

    #[test]
    fn phases_never_move_backwards() {
        let life = life(SECOND);
        assert!(life.abort(Abort::Requested(Trigger::Call)));
        life.drain();
        assert!(!life.shutdown(Trigger::Signal));
        assert!(!life.abort(Abort::Deadline));
        assert_eq!(life.phase(), Phase::Aborting);
        life.stopped();
        assert!(!life.abort(Abort::Deadline));
        assert_eq!(life.phase(), Phase::Stopped);
    }

    #[test]
    fn the_last_call_begins_with_the_drain_or_when_a_connection_becomes_idle() {
        let life = life(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(life.last_call_ends(), None);
        assert_eq!(life.last_call_ends_for(now), None);
        life.shutdown(Trigger::Call);
        let began = life.draining_since().unwrap();
        assert_eq!(life.last_call_ends(), Some(began + SECOND));
        assert_eq!(life.last_call_ends_for(now), Some(began + SECOND));
        let later = began + 5 * SECOND;
        assert_eq!(life.last_call_ends_for(later), Some(later + SECOND));
    }

    #[test]
    fn a_waiter_wakes_for_a_notice_and_for_its_deadline() {
        let life = life(Duration::ZERO);
        let happened = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| life.wait(None, || happened.load(SeqCst)));
            happened.store(true, SeqCst);
            life.notify();
            assert!(waiter.join().unwrap());
        });
        assert!(!life.wait(Some(Instant::now()), || false));
        assert!(!life.wait_for_phase(Phase::LameDuck, Some(Instant::now())));
    }
}
