//! The only place where a worker runs code of the application: a handler, the next
//! piece of a body, a drop, a callback.
//!
//! If the call is expected to wait, the worker first hands off its job. Then it puts
//! into its slot the connection that needs the outcome, where an abort finds it, and
//! the job if it still has one, which the monitor takes if the call is long.

use std::sync::Arc;
use std::time::Instant;

use super::Engine;
use super::connection::Connection;
use super::deferred::Deferred;
use super::deferred::Subject;
use super::in_flight::Call;
use super::in_flight::InFlight;
use super::in_flight::OwnedJob;
use super::slow_calls::CallKey;
use super::slow_calls::Expected;
use super::slow_calls::Stopwatch;
use crate::isolate::isolate;
use crate::journal::note;
use crate::lifecycle::report::UserCode;

/// A worker's slot, and the worker's job.
pub(crate) struct Runner<'a> {
    engine: &'a Engine,
    slot: &'a Arc<InFlight>,
    /// `None` while the job is in the slot, and after it was handed off or taken.
    pub(crate) job: Option<OwnedJob>,
    /// When the last poll or call ended.
    pub(crate) now: Instant,
    /// How many calls it has begun.
    calls: u32,
}

/// A call that has begun.
pub(crate) struct Begun {
    key: CallKey,
    stopwatch: Stopwatch,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(engine: &'a Engine, slot: &'a Arc<InFlight>) -> Self {
        Self {
            engine,
            slot,
            job: None,
            now: Instant::now(),
            calls: 0,
        }
    }

    pub(crate) fn slot(&self) -> &'a Arc<InFlight> {
        self.slot
    }

    /// Begins a call whose outcome `connection` needs. Hands the connection back if
    /// `refused`, which is called under the slot's lock, returns true.
    pub(crate) fn begin(
        &mut self,
        code: UserCode,
        key: CallKey,
        connection: Box<Connection>,
        refused: impl FnOnce() -> bool,
    ) -> Result<Begun, Box<Connection>> {
        let expected = self.expect(key);
        let call = Call::new(code, None, self.now);
        let job = self.job.take();
        let has_job = job.is_some();
        match self.slot.slot.begin(call, connection, job, refused) {
            Ok(()) => Ok(self.begun(key, expected, has_job)),
            Err((connection, job)) => {
                self.job = job;
                Err(connection)
            }
        }
    }

    /// Begins a call whose outcome no connection needs.
    pub(crate) fn begin_alone(&mut self, code: UserCode, key: CallKey, subject: Subject) -> Begun {
        let expected = self.expect(key);
        let call = Call::new(code, Some(subject), self.now);
        let job = self.job.take();
        let has_job = job.is_some();
        self.slot.slot.begin_alone(call, job);
        self.begun(key, expected, has_job)
    }

    /// Runs the code of a call that has begun for a connection. `code` must catch its
    /// panics. If an abort has taken the connection, drops what `code` returned, as a
    /// part of the call, and returns `None`.
    pub(crate) fn run<T>(
        &mut self,
        begun: Begun,
        code: impl FnOnce() -> T,
    ) -> Option<(Box<Connection>, T)> {
        let given = code();
        self.returned(begun);
        let Some((connection, job)) = self.slot.slot.end() else {
            let _ = isolate(|| drop(given));
            self.job = self.slot.slot.finish();
            return None;
        };
        self.job = job;
        Some((connection, given))
    }

    /// Ends a call that no connection waits for.
    pub(crate) fn finish(&mut self, begun: Begun) {
        self.returned(begun);
        self.job = self.slot.slot.finish();
    }

    pub(crate) fn run_deferred(&mut self, deferred: Deferred) {
        let (code, subject, run) = deferred.start();
        let begun = self.begin_alone(code, subject.call_key.for_code(code), subject);
        if isolate(run).is_err() {
            note!(self.engine.services.journal, Error, "{code} panicked");
        }
        self.finish(begun);
    }

    /// Hands off the job, if the worker still has it.
    pub(crate) fn hand_off(&mut self) {
        if let Some(job) = self.job.take() {
            self.engine.hand_off(job);
        }
    }

    /// Puts the job back on the run queue. None of its connections is ready, so no
    /// owner is woken for it.
    pub(crate) fn put_back(&mut self) {
        if let Some(job) = self.job.take() {
            self.engine.put_back(job);
        }
    }

    /// Takes back what the slot still holds after a panic of the server's own code. The
    /// drop of the connection cuts it.
    pub(crate) fn recover(&mut self) {
        drop(self.slot.take_connection_if(|_| true));
        if let Some(job) = self.slot.slot.finish() {
            self.job = Some(job);
        }
    }

    /// What is expected of a call that is about to begin. If it may wait, the job is
    /// handed off first.
    fn expect(&mut self, key: CallKey) -> Expected {
        let expected = self.engine.slow_calls.expected(key);
        // During an abort there may be no thread left that takes the job from the slot.
        let aborting = self.engine.services.life.is_aborting();
        if aborting || matches!(expected, Expected::Waits | Expected::Unknown) {
            self.hand_off();
        }
        expected
    }

    /// The call is in the slot, and so is the job if this worker had it.
    fn begun(&mut self, key: CallKey, expected: Expected, has_job: bool) -> Begun {
        // After the slot: see `MonitorWaker`.
        if has_job {
            self.engine.monitor_waker.wake_if_asleep();
        }
        self.calls = self.calls.wrapping_add(1);
        Begun {
            key,
            stopwatch: Stopwatch::start(expected, self.calls),
        }
    }

    fn returned(&mut self, begun: Begun) {
        self.now = Instant::now();
        let (took, waited) = begun.stopwatch.stop(self.now);
        self.engine.slow_calls.took(begun.key, took, waited);
    }
}

impl Drop for Runner<'_> {
    /// After a panic of the server's own code, another worker goes on with the job. A
    /// lost job would stall its shard.
    fn drop(&mut self) {
        if self.job.is_none() {
            self.job = self.slot.slot.take_any_job();
        }
        self.hand_off();
    }
}
