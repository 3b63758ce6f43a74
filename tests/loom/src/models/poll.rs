//! A poll, as mio's on Linux: it reports each event once, and each wake-up once.

use std::mem;
use std::time::Duration;

use loom::thread::yield_now;

use crate::slots::Changes;
use crate::sync::Condvar;
use crate::sync::Mutex;

#[derive(Debug)]
pub(super) struct Poll {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    woken: bool,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) index: usize,
    pub(super) changes: Changes,
}

impl Poll {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    /// The kernel reports an event.
    pub(super) fn report(&self, event: Event) {
        self.state.lock().unwrap().events.push(event);
        self.changed.notify_one();
    }

    /// As `mio::Waker::wake`.
    pub(super) fn wake(&self) {
        self.state.lock().unwrap().woken = true;
        self.changed.notify_one();
    }

    /// As `mio::Poll::poll`. A timeout may pass at any moment.
    pub(super) fn poll(&self, timeout: Option<Duration>) -> Vec<Event> {
        if timeout.is_some_and(|timeout| !timeout.is_zero()) {
            yield_now();
        }
        let mut state = self.state.lock().unwrap();
        while timeout.is_none() && state.events.is_empty() && !state.woken {
            state = self.changed.wait(state).unwrap();
        }
        mem::take(&mut *state).events
    }
}
