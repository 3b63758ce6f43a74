//! The thread that takes a snapshot twice a second while there are viewers.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use farewell::ShutdownHandle;

use super::VIEWERS_MAX;
use super::snapshot::Subject;
use super::window::Reading;
use super::window::Window;

/// The time between two snapshots.
const TICK: Duration = Duration::from_millis(500);

/// Takes snapshots. Its drop ends the thread.
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

struct Shared {
    subject: Subject,
    /// The readings while there are viewers.
    window: Mutex<Window>,
    state: Mutex<State>,
    /// Notified when the last viewer has left.
    none_left: Condvar,
}

#[derive(Default)]
struct State {
    viewers: usize,
    /// The thread that ticks, or has ticked; it ticks while there are viewers.
    thread: Option<JoinHandle<()>>,
    is_ticking: bool,
    is_closed: bool,
    latest: Arc<str>,
    /// How many snapshots there have been for viewers.
    number: u64,
}

/// A client that gets the snapshots, until its drop.
pub(super) struct Viewer {
    shared: Arc<Shared>,
    /// The number of the last snapshot that it has.
    seen: u64,
}

impl Ticker {
    pub(super) fn new(subject: Subject) -> Self {
        let shared = Shared {
            subject,
            window: Mutex::default(),
            state: Mutex::default(),
            none_left: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The handle of the server that the snapshots are of.
    pub(super) fn handle(&self) -> &ShutdownHandle {
        &self.shared.subject.handle
    }

    /// A snapshot of this moment. It has rates while there are viewers.
    pub(super) fn snapshot(&self) -> String {
        self.shared.snapshot()
    }

    /// A further viewer.
    ///
    /// # Errors
    ///
    /// A text for the client that cannot be one.
    pub(super) fn join(&self) -> Result<Viewer, String> {
        let mut state = lock(&self.shared.state);
        if state.viewers >= VIEWERS_MAX {
            return Err(format!(
                "too many clients follow the status: at most {VIEWERS_MAX} may"
            ));
        }
        if !state.is_ticking {
            self.start(&mut state)?;
        }
        state.viewers += 1;
        Ok(Viewer {
            shared: Arc::clone(&self.shared),
            seen: 0,
        })
    }

    fn start(&self, state: &mut State) -> Result<(), String> {
        lock(&self.shared.window).clear();
        state.take(self.shared.tick());
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name("farewell-status".to_owned())
            .spawn(move || shared.run());
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        state.is_ticking = true;
        // The last thread has seen that no viewer was left, and takes the lock no more.
        if let Some(ended) = state.thread.replace(thread) {
            join(ended);
        }
        Ok(())
    }
}

impl Drop for Ticker {
    /// Viewers that are left are connections of a server that could not close them.
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.is_closed = true;
        let thread = state.thread.take();
        drop(state);
        self.shared.none_left.notify_all();
        if let Some(thread) = thread {
            join(thread);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        log::error!("the thread for the status page panicked");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Ticks until no viewer is left.
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let is_needed = |state: &mut State| state.viewers > 0 && !state.is_closed;
            let waited = self.none_left.wait_timeout_while(state, TICK, is_needed);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !is_needed(&mut state) {
                state.is_ticking = false;
                return;
            }
            drop(state);
            let latest = self.tick();
            state = lock(&self.state);
            state.take(latest);
            drop(state);
            self.subject.handle.notify_followers();
            state = lock(&self.state);
        }
    }

    /// Takes a reading, and a snapshot with it.
    fn tick(&self) -> String {
        let totals = self.subject.metrics.totals();
        let mut window = lock(&self.window);
        window.add(Reading::of(&totals, Instant::now()));
        self.subject.snapshot(&totals, &window)
    }

    fn snapshot(&self) -> String {
        let totals = self.subject.metrics.totals();
        let is_ticking = lock(&self.state).is_ticking;
        match is_ticking {
            true => self.subject.snapshot(&totals, &lock(&self.window)),
            // The readings are old.
            false => self.subject.snapshot(&totals, &Window::default()),
        }
    }
}

impl State {
    fn take(&mut self, latest: String) {
        self.latest = latest.into();
        self.number += 1;
    }
}

impl Viewer {
    /// The latest snapshot, unless the viewer has it already.
    pub(super) fn unseen(&mut self) -> Option<Arc<str>> {
        let state = lock(&self.shared.state);
        if self.seen == state.number {
            return None;
        }
        self.seen = state.number;
        Some(Arc::clone(&state.latest))
    }

    /// A snapshot of this moment.
    pub(super) fn snapshot(&self) -> String {
        self.shared.snapshot()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.viewers -= 1;
        if state.viewers == 0 {
            self.shared.none_left.notify_all();
        }
    }
}
