//! Where a worker runs code of the application: a handler, the next piece of a
//! body, a drop, a callback. There is no other place.
//!
//! The worker gives its job away first if the call is expected to wait, and puts
//! into its slot what is left: the connection that needs the outcome, where a
//! stop finds it, and the job, which the monitor takes if the call turns out to
//! be long.

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

/// A worker's slot, and what it has when it runs no code of the application.
pub(crate) struct Runner<'a> {
    engine: &'a Engine,
    slot: &'a Arc<InFlight>,
    /// `None` while it is in the slot, and when another worker has it.
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

    /// Begins a call whose outcome this connection needs. Hands it back if a stop
    /// `refused` that, which is asked under the slot's lock.
    pub(crate) fn begin(
        &mut self,
        code: UserCode,
        key: CallKey,
        connection: Box<Connection>,
        refused: impl FnOnce() -> bool,
    ) -> Result<Begun, Box<Connection>> {
        let call = Call::new(code, None);
        self.enter(call, key, Some(connection), refused)
            .map_err(|connection| connection.expect("it was given one"))
    }

    /// Begins a call whose outcome no connection needs.
    pub(crate) fn begin_alone(&mut self, code: UserCode, key: CallKey, subject: Subject) -> Begun {
        let call = Call::new(code, Some(subject));
        match self.enter(call, key, None, || false) {
            Ok(begun) => begun,
            Err(_) => unreachable!("no stop refuses it"),
        }
    }

    /// Runs the code of a call that has begun for a connection; it catches its
    /// panics. `None` if a stop has taken the connection: then what the code gave
    /// is dropped here, as a part of the call.
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
        let begun = self.begin_alone(code, subject.call_key().for_code(code), subject);
        if isolate(run).is_err() {
            note!(self.engine.services.journal, Error, "{code} panicked");
        }
        self.finish(begun);
    }

    /// Hands on the job, if it is here.
    pub(crate) fn hand_off(&mut self) {
        if let Some(job) = self.job.take() {
            self.engine.hand_off(job);
        }
    }

    /// Puts the job back on the run queue, behind the others: no connection of it is
    /// ready, so no sleep is interrupted for it.
    pub(crate) fn put_back(&mut self) {
        if let Some(job) = self.job.take() {
            self.engine.put_back(job);
        }
    }

    /// Takes back what a panic of ours has left in the slot. The connection is cut
    /// by its drop.
    pub(crate) fn recover(&mut self) {
        drop(self.slot.take_connection_if(|_| true));
        if let Some(job) = self.slot.slot.finish() {
            self.job = Some(job);
        }
    }

    fn enter(
        &mut self,
        call: Call,
        key: CallKey,
        connection: Option<Box<Connection>>,
        refused: impl FnOnce() -> bool,
    ) -> Result<Begun, Option<Box<Connection>>> {
        let expected = self.engine.slow_calls.expected(key);
        // At an abort no thread may be left that looks into this slot.
        let aborting = self.engine.services.life.is_aborting();
        if aborting || matches!(expected, Expected::Waits | Expected::Unknown) {
            self.hand_off();
        }
        self.calls = self.calls.wrapping_add(1);
        let job = self.job.take();
        let has_job = job.is_some();
        if let Err((connection, job)) = self.slot.slot.begin(call, connection, job, refused) {
            self.job = job;
            return Err(connection);
        }
        // After the slot: see `MonitorWaker`.
        if has_job {
            self.engine.monitor_waker.wake_if_asleep();
        }
        Ok(Begun {
            key,
            stopwatch: Stopwatch::start(expected, self.calls),
        })
    }

    fn returned(&mut self, begun: Begun) {
        self.now = Instant::now();
        let (took, waited) = begun.stopwatch.stop(self.now);
        self.engine.slow_calls.took(begun.key, took, waited);
    }
}

impl Drop for Runner<'_> {
    /// A worker that panics, which is a bug of ours, must not take its shard with
    /// it: another worker goes on with the job.
    fn drop(&mut self) {
        if self.job.is_none() {
            self.job = self.slot.slot.take_any_job();
        }
        self.hand_off();
    }
}
