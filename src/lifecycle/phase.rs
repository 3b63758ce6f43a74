//! The phases of a server's life.
//!
//! ```text
//! Running --trigger--> LameDuck --lame_duck over--> Draining --all have ended-> Stopped
//!    |                                                 |                           ^
//!    +---- trigger, when lame_duck is zero ----------->+                           |
//!                                    deadline, or abort() --> Aborting ------------+
//! ```
//!
//! The phase only moves forwards. It is one atomic, which every thread may read at
//! any time. A move takes the lock, so the trigger and its time are stored before
//! any thread can see the new phase.

use std::fmt;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use std::time::Instant;

use super::counts_watch::CountsWatch;
use crate::address::PeerAddr;
use crate::config::Config;
use crate::waiting::wait_until;

/// The phase of a server's life. Phases only move forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// The server serves, and was not asked to stop. Also the phase before
    /// `serve`.
    Running,
    /// The server was asked to stop. It goes on as before for
    /// [`Config::lame_duck`](crate::Config::lame_duck), so that load balancers
    /// have time to send their requests elsewhere.
    LameDuck,
    /// The server refuses new connections. Open ones get their answers and the
    /// last call.
    Draining,
    /// The server cuts what is left: the deadline has passed, or
    /// [`abort`](crate::ShutdownHandle::abort) was called, by a second signal for
    /// example.
    Aborting,
    /// Every connection has its outcome, and `serve` returns.
    Stopped,
}

impl Phase {
    pub(crate) const ALL: [Self; 5] = [
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

/// What asked the server to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// A call of [`ShutdownHandle::shutdown`](crate::ShutdownHandle::shutdown)
    /// or [`abort`](crate::ShutdownHandle::abort).
    Call,
    /// A signal of the operating system: Ctrl+C, SIGTERM or SIGHUP.
    Signal,
    /// A request from this peer.
    Request(PeerAddr),
    /// Another process goes on with the listening socket: see
    /// [`ListenerHandle`](crate::ListenerHandle). The stop has no lame duck, because
    /// clients need no other server.
    Restart,
    /// A thread of the server panicked, which is a bug of this library. Once every
    /// connection has ended, [`serve`](crate::Server::serve) returns an error.
    Failure,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("the program itself"),
            Self::Signal => f.write_str("a signal"),
            Self::Request(peer) => write!(f, "a request from {peer}"),
            Self::Restart => f.write_str("a restart"),
            Self::Failure => f.write_str("a failure of the server"),
        }
    }
}

/// Why a drain was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Abort {
    /// [`Config::drain_timeout`](crate::Config::drain_timeout) was over.
    Deadline,
    /// [`ShutdownHandle::abort`](crate::ShutdownHandle::abort) was called, because
    /// of this trigger.
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

/// When the server reached each phase, and why.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct History {
    pub(crate) trigger: Option<(Trigger, Instant)>,
    pub(crate) draining: Option<Instant>,
    pub(crate) refusing: Option<Instant>,
    pub(crate) abort: Option<(Abort, Instant)>,
    pub(crate) stopped: Option<Instant>,
}

/// The phase and its history. Threads can wait for both to change.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: AtomicU8,
    history: Mutex<History>,
    /// Notified when the phase changes, or another condition that a stop waits
    /// for.
    changed: Condvar,
    counts: CountsWatch,
    /// The name of the first thread that panicked.
    failed: OnceLock<String>,
    /// Every thread of the server runs.
    has_started: AtomicBool,
    lame_duck: Duration,
    last_call: Duration,
    /// The round trip that this stop allows for.
    round_trip: OnceLock<Duration>,
    drain_timeout: Duration,
}

/// How many round trips a stop allows for: a request that is on its way, whose first
/// packet is lost. The client's kernel sends it again after two or three.
const ROUND_TRIPS: u32 = 4;

/// The longest round trip that a stop allows for, so that no client lengthens a stop by
/// more than four times this.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

/// From which round trip on packets of a handshake are expected to be lost.
const FAR: Duration = Duration::from_millis(10);

/// After this time the kernel sends a SYN-ACK again. If the listener is closed while that
/// is on its way, the client takes itself for connected, and its request is reset.
const SYN_ACK_TIMEOUT: Duration = Duration::from_secs(1);

impl Lifecycle {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Running as u8),
            history: Mutex::new(History::default()),
            changed: Condvar::new(),
            counts: CountsWatch::default(),
            failed: OnceLock::new(),
            has_started: AtomicBool::new(false),
            lame_duck: config.lame_duck,
            last_call: config.last_call,
            round_trip: OnceLock::new(),
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

    /// Takes note that every thread of the server runs.
    pub(crate) fn started(&self) {
        self.has_started.store(true, SeqCst);
        self.notify();
    }

    /// Waits until the server accepts connections, has stopped without, or until
    /// `deadline`. Returns whether it accepts, or has accepted, connections.
    pub(crate) fn wait_until_started(&self, deadline: Option<Instant>) -> bool {
        let has_started = || self.has_started.load(SeqCst);
        self.wait(deadline, || has_started() || self.phase() == Phase::Stopped);
        has_started()
    }

    /// Begins the stop. Returns `false` if it has begun before.
    pub(crate) fn shutdown(&self, by: Trigger) -> bool {
        let mut history = self.lock();
        if history.trigger.is_some() {
            return false;
        }
        let now = Instant::now();
        history.trigger = Some((by, now));
        if self.lame_duck.is_zero() || by == Trigger::Restart {
            history.draining = Some(now);
            self.move_to(Phase::Draining);
        } else {
            self.move_to(Phase::LameDuck);
        }
        true
    }

    /// Stops the server because this thread of it has panicked.
    pub(crate) fn fail(&self, thread: &str) {
        let _first = self.failed.set(thread.to_owned());
        self.shutdown(Trigger::Failure);
    }

    /// The name of the first thread that panicked.
    pub(crate) fn failed_thread(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Ends the lame duck, unless an abort has ended it already.
    pub(crate) fn drain(&self) {
        let mut history = self.lock();
        history.draining.get_or_insert_with(Instant::now);
        self.move_to(Phase::Draining);
    }

    /// Has the server cut what is left. Returns `false` if it does so already, or
    /// has stopped.
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

    /// Takes note that the kernel has begun to refuse new connections.
    pub(crate) fn set_refusing(&self) {
        self.lock().refusing = Some(Instant::now());
        self.announce();
    }

    pub(crate) fn stopped(&self) {
        let mut history = self.lock();
        history.stopped.get_or_insert_with(Instant::now);
        self.move_to(Phase::Stopped);
    }

    /// When the server cuts what is left. `None` before the trigger.
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

    /// When the abort began. `None` before that.
    pub(crate) fn aborting_since(&self) -> Option<Instant> {
        match self.is_aborting() {
            true => self.lock().abort.map(|(_, at)| at),
            false => None,
        }
    }

    /// When the drain began. `None` before that.
    fn draining_since(&self) -> Option<Instant> {
        match self.phase() {
            Phase::Running | Phase::LameDuck => None,
            _ => self.lock().draining,
        }
    }

    /// Allows for clients that are as far away as `round_trip` says, which is called once in
    /// a stop. Returns what it has said.
    pub(crate) fn allow_for(&self, round_trip: impl FnOnce() -> Duration) -> Duration {
        *self.round_trip.get_or_init(round_trip)
    }

    /// What the last call is longer by in this stop.
    pub(crate) fn allowance(&self) -> Duration {
        let round_trip = self.round_trip.get().copied().unwrap_or_default();
        ROUND_TRIPS * round_trip.min(ROUND_TRIP_MAX)
    }

    /// What the handshake grace is longer by in this stop.
    pub(crate) fn handshake_allowance(&self) -> Duration {
        match self.round_trip.get() {
            Some(&round_trip) if round_trip >= FAR => SYN_ACK_TIMEOUT + self.allowance(),
            _ => self.allowance(),
        }
    }

    /// How long the last call is. Zero means that there is none, however far away the
    /// clients are.
    fn last_call(&self) -> Duration {
        match self.last_call.is_zero() {
            true => Duration::ZERO,
            false => self.last_call + self.allowance(),
        }
    }

    /// When the last call ends: until then a connection without a request in
    /// progress may begin one. `None` before the drain.
    pub(crate) fn last_call_ends(&self) -> Option<Instant> {
        self.draining_since().map(|began| began + self.last_call())
    }

    /// As [`last_call_ends`](Self::last_call_ends), for a connection that has
    /// been idle since `idle_since`. That may be later than the start of the
    /// drain, as for a connection accepted from the backlog, and the last call
    /// begins then.
    pub(crate) fn last_call_ends_for(&self, idle_since: Instant) -> Option<Instant> {
        let ends = self.last_call_ends()?;
        Some(ends.max(idle_since + self.last_call()))
    }

    /// Whether the abort was requested, not caused by the deadline. Then the
    /// server waits for no client.
    pub(crate) fn abort_was_requested(&self) -> bool {
        self.is_aborting() && matches!(self.lock().abort, Some((Abort::Requested(_), _)))
    }

    /// When the lame duck ends. `None` before the trigger.
    pub(crate) fn lame_duck_ends(&self) -> Option<Instant> {
        self.lock().trigger.map(|(_, at)| at + self.lame_duck)
    }

    /// Wakes the threads that watch the counts, after a count has changed.
    pub(crate) fn counts_changed(&self) {
        self.counts.changed();
    }

    /// Wakes every thread in [`wait`](Self::wait), after a change that a stop may
    /// wait for: the backlog is empty, the last connection has ended, a thread has
    /// ended. Such changes are rare.
    pub(crate) fn notify(&self) {
        // Takes the lock once, so that no thread is between its check and its
        // wait.
        drop(self.lock());
        self.announce();
    }

    /// Waits until the server is in `phase` or a later one, or until `deadline`.
    /// Returns whether it is.
    pub(crate) fn wait_for_phase(&self, phase: Phase, deadline: Option<Instant>) -> bool {
        self.wait(deadline, || self.phase() >= phase)
    }

    /// Waits until `condition` holds, or until `deadline`. Returns whether it
    /// holds. It is checked at every change of the phase and at every
    /// [`notify`](Self::notify), under the lock: it may read atomics, and of this
    /// type call only [`phase`](Self::phase).
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        mut condition: impl FnMut() -> bool,
    ) -> bool {
        wait_until(&self.changed, self.lock(), deadline, |_| condition())
    }

    /// As [`wait`](Self::wait), but `condition` is checked without a lock, and at
    /// every change of a count too. Each change wakes the calling thread, so this
    /// is only for threads that follow the counts.
    pub(crate) fn wait_for_counts(
        &self,
        deadline: Option<Instant>,
        condition: impl FnMut() -> bool,
    ) -> bool {
        self.counts.wait(deadline, condition)
    }

    /// Moves to a later phase. The caller holds the lock.
    fn move_to(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, SeqCst);
        self.announce();
    }

    fn announce(&self) {
        self.changed.notify_all();
        self.counts.changed();
    }

    /// The lock guards plain values, which are consistent even if a holder
    /// panicked.
    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
