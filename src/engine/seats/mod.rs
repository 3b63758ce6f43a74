//! Who may be awake: a worker at work has a seat, and there is one for each
//! core. The others rest.
//!
//! With a seat goes a row of the lot: who has the seat polls the row, and
//! serves those who are ready, one after another, without waking anybody. That
//! is as fast as an event loop. But a handler may block. So a seat can be taken
//! from a worker that is held up, and given to one that rests:
//!
//! ```text
//!          sit                 serve               call
//!   Free -------> Looking <------------> Serving <------> Calling
//!    ^               ^                      |                |
//!    |               |         held up,     +-------+--------+
//!   stand            |       or likely to be        v
//!    |               +---------------------------- Offered
//!    +---- Looking         sit, by another
//! ```
//!
//! Who made the seat's last step can make the next; who comes back and finds
//! that another one has, has lost it. It finishes what it does, and rests.
//!
//! The [foreman](super::foreman) offers the seats of those who are held up. A
//! worker does so itself, before it calls a handler, when handlers have been
//! slow lately.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use crate::os;

/// A call that takes longer is slow, whatever it does. Of shorter ones only the
/// foreman says so, if they wait for something: who computes needs a core, which
/// another one that is woken for it would not have either.
const SLOW: Duration = Duration::from_millis(1);

/// After a slow call, so many are expected to be slow.
const CALLS_EXPECTED_SLOW: u32 = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct Seats {
    seats: Box<[Seat]>,
    rest: Mutex<Rest>,
    /// How many of the next calls are expected to be slow.
    slow: AtomicU32,
    /// The foreman does not look around, and has to be told when somebody
    /// works.
    foreman_asleep: AtomicBool,
}

/// Those without a seat.
#[derive(Debug, Default)]
struct Rest {
    /// The last one to come is the first to go: it is still warm.
    resting: Vec<Arc<Sitter>>,
    foreman: Option<Thread>,
    closed: bool,
}

/// A worker, as one who may have a seat.
#[derive(Debug)]
pub(crate) struct Sitter {
    thread: Thread,
    /// The system's, or 0 if it does not say.
    number: u32,
    /// To a seat, while it rests.
    called: AtomicBool,
}

impl Sitter {
    /// The worker whose thread this is.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: thread::current(),
            number: os::thread_number().unwrap_or(0),
            called: AtomicBool::new(false),
        })
    }
}

#[derive(Debug)]
struct Seat {
    last_step: AtomicU64,
    /// The number of the thread of whoever sat down last.
    thread: AtomicU32,
}

/// One step of a seat. The upper bits count the steps, so that no two are
/// equal; the lower ones say what has become of the seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step(u64);

/// What a step has made of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum State {
    /// Nobody has it.
    Free,
    /// Its worker looks for work.
    Looking,
    /// Its worker serves a connection.
    Serving,
    /// Its worker is in code of the user's.
    Calling,
    /// Its worker is held up, and another one may have it.
    Offered,
}

const STATES: [State; 5] = [
    State::Free,
    State::Looking,
    State::Serving,
    State::Calling,
    State::Offered,
];

/// One step more, in the bits above the state's.
const ONE_STEP: u64 = 8;

impl Step {
    pub(crate) fn state(self) -> State {
        STATES[usize::try_from(self.0 % ONE_STEP).unwrap_or(0)]
    }

    fn to(self, state: State) -> Self {
        Self((self.0 / ONE_STEP).wrapping_add(1) * ONE_STEP + state as u64)
    }
}

impl Seat {
    fn last_step(&self) -> Step {
        Step(self.last_step.load(SeqCst))
    }

    /// Makes a step, if nobody has made one since `last`.
    fn step(&self, last: Step, state: State) -> Option<Step> {
        let next = last.to(state);
        let stepped = self
            .last_step
            .compare_exchange(last.0, next.0, SeqCst, SeqCst);
        stepped.ok().map(|_| next)
    }
}

impl Seats {
    pub(crate) fn new(count: usize) -> Self {
        let seat = |_| Seat {
            last_step: AtomicU64::new(State::Free as u64),
            thread: AtomicU32::new(0),
        };
        Self {
            seats: (0..count).map(seat).collect(),
            rest: Mutex::default(),
            slow: AtomicU32::new(0),
            foreman_asleep: AtomicBool::new(false),
        }
    }

    /// Waits for a seat; `None` once nobody needs one any more.
    pub(crate) fn sit(&self, sitter: &Arc<Sitter>) -> Option<Seated<'_>> {
        loop {
            {
                let mut rest = self.lock();
                if rest.closed {
                    return None;
                }
                // Under the lock: who offers a seat does that first, and then
                // calls somebody. So this finds the seat, or is called.
                if let Some(seated) = self.find(sitter) {
                    return Some(seated);
                }
                sitter.called.store(false, SeqCst);
                rest.resting.push(Arc::clone(sitter));
            }
            while !sitter.called.load(SeqCst) {
                thread::park();
            }
        }
    }

    fn find(&self, sitter: &Sitter) -> Option<Seated<'_>> {
        self.seats.iter().enumerate().find_map(|(number, seat)| {
            let last = seat.last_step();
            let vacant = matches!(last.state(), State::Free | State::Offered);
            let step = vacant.then(|| seat.step(last, State::Looking))??;
            seat.thread.store(sitter.number, SeqCst);
            Some(Seated {
                seats: self,
                number,
                step,
            })
        })
    }

    /// Calls one who rests to a seat. `false` if nobody does.
    pub(crate) fn call_one(&self) -> bool {
        let called = self.lock().resting.pop();
        if let Some(sitter) = &called {
            sitter.called.store(true, SeqCst);
            sitter.thread.unpark();
        }
        called.is_some()
    }

    /// Nobody needs a seat any more: those who rest can go.
    pub(crate) fn close(&self) {
        let mut rest = self.lock();
        rest.closed = true;
        for sitter in rest.resting.drain(..) {
            sitter.called.store(true, SeqCst);
            sitter.thread.unpark();
        }
        if let Some(foreman) = &rest.foreman {
            foreman.unpark();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether the worker that has a seat waits for something, as far as the
    /// system says.
    pub(crate) fn waits(&self, number: usize) -> Option<bool> {
        match self.seats[number].thread.load(SeqCst) {
            0 => None,
            thread => os::is_running(thread).map(|running| !running),
        }
    }

    pub(crate) fn last_step(&self, number: usize) -> Step {
        self.seats[number].last_step()
    }

    /// The last step of each seat.
    pub(crate) fn last_steps(&self) -> impl Iterator<Item = Step> {
        self.seats.iter().map(Seat::last_step)
    }

    /// Offers a seat to others if its worker has made no step since `last`.
    pub(crate) fn offer(&self, number: usize, last: Step) -> bool {
        let offered = self.seats[number].step(last, State::Offered).is_some();
        if offered && last.state() == State::Calling {
            self.slow.store(CALLS_EXPECTED_SLOW, Relaxed);
        }
        offered
    }

    /// A call that was expected to be slow took so long.
    fn call_took(&self, duration: Duration) {
        if duration >= SLOW {
            self.slow.store(CALLS_EXPECTED_SLOW, Relaxed);
        } else {
            // Off by one now and then: it is an expectation.
            let slow = self.slow.load(Relaxed);
            self.slow.store(slow.saturating_sub(1), Relaxed);
        }
    }

    /// Whether the next call is expected to be slow.
    pub(crate) fn expects_slow(&self) -> bool {
        self.slow.load(Relaxed) > 0
    }

    /// The foreman's thread, which [`close`](Self::close) wakes.
    pub(crate) fn set_foreman(&self) {
        self.lock().foreman = Some(thread::current());
    }

    /// The foreman sleeps until somebody works, or until `due`, or is unparked;
    /// not at all if somebody works already: their last steps are not `seen`.
    pub(crate) fn foreman_sleeps(&self, seen: &[Step], due: Option<Instant>) {
        self.foreman_asleep.store(true, SeqCst);
        // Looked at after it has said so: who begins to serve first makes the
        // step and then looks whether the foreman sleeps.
        if self.last_steps().eq(seen.iter().copied()) && !self.is_closed() {
            match due {
                Some(due) => thread::park_timeout(due.saturating_duration_since(Instant::now())),
                None => thread::park(),
            }
        }
        self.foreman_asleep.store(false, SeqCst);
    }

    fn wake_foreman(&self) {
        if self.foreman_asleep.swap(false, SeqCst)
            && let Some(foreman) = &self.lock().foreman
        {
            foreman.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's seat. It may be lost at any time between `serve` and `served`.
pub(crate) struct Seated<'a> {
    seats: &'a Seats,
    number: usize,
    step: Step,
}

impl Seated<'_> {
    /// Which one, and which row of the lot.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Begins to serve a connection.
    pub(crate) fn serve(&mut self) {
        self.step(State::Serving);
        if self.seats.foreman_asleep.load(SeqCst) {
            self.seats.wake_foreman();
        }
    }

    /// Calls code of the user's, and lets another one have the seat meanwhile if
    /// that is likely to take long.
    pub(crate) fn call<T>(&mut self, f: impl FnOnce() -> T) -> T {
        if !self.seats.expects_slow() {
            self.step(State::Calling);
            let returned = f();
            self.step(State::Serving);
            return returned;
        }
        if self.step(State::Offered) {
            self.seats.call_one();
        }
        let began = Instant::now();
        let returned = f();
        self.seats.call_took(began.elapsed());
        self.step(State::Serving);
        returned
    }

    /// Has served. `false` if the seat is lost.
    pub(crate) fn served(&mut self) -> bool {
        self.step(State::Looking)
    }

    /// Also from where the foreman has left it, as long as nobody else has the
    /// seat. Once it is lost, no step can be made any more.
    fn step(&mut self, state: State) -> bool {
        let seat = &self.seats.seats[self.number];
        let offered = self.step.to(State::Offered);
        let stepped = seat.step(self.step, state);
        match stepped.or_else(|| seat.step(offered, state)) {
            Some(step) => {
                self.step = step;
                true
            }
            None => false,
        }
    }
}

impl Drop for Seated<'_> {
    /// Stands up, if the seat is not lost.
    fn drop(&mut self) {
        if self.step(State::Free) {
            self.seats.call_one();
        }
    }
}

impl fmt::Debug for Seated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seated({}, {:?})", self.number, self.step.state())
    }
}
