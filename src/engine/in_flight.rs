//! What a thread has in flight: its [`InFlightSlot`], with what the report tells of the
//! call, and what the monitor has to know of the thread.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;

use super::connection::Connection;
use super::deferred::Deferred;
use super::deferred::Subject;
use super::in_flight_slot::InFlightSlot;
use super::shard::Job;
use crate::isolate::isolate;
use crate::journal::Journal;
use crate::journal::note;
use crate::lifecycle::report::Unreturned;
use crate::lifecycle::report::UserCode;
use crate::net::os;

/// The job of a worker.
pub(crate) type OwnedJob = Box<Job<Connection>>;

/// See the module. It is shared by its thread, the monitor and a stop.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) slot: InFlightSlot<Box<Connection>, OwnedJob, Call>,
    /// The system's number of the thread, or 0 if it is not known.
    thread: AtomicU32,
    ended: AtomicBool,
}

/// A call of code of the application.
#[derive(Debug)]
pub(crate) struct Call {
    code: UserCode,
    /// Known beforehand where no connection is in the slot; otherwise when a
    /// stop takes the connection.
    subject: Option<Subject>,
}

impl Call {
    pub(crate) fn new(code: UserCode, subject: Option<Subject>) -> Self {
        Self { code, subject }
    }
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            slot: InFlightSlot::new(),
            thread: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        }
    }
}

impl InFlight {
    /// The calling thread is the slot's.
    pub(crate) fn set_thread(&self) {
        let number = os::thread_number().unwrap_or(0);
        self.thread.store(number, Relaxed);
    }

    /// Whether the thread computes, or would if it had a core. `None` if the
    /// system does not tell.
    pub(crate) fn thread_is_running(&self) -> Option<bool> {
        match self.thread.load(Relaxed) {
            0 => None,
            number => os::is_running(number),
        }
    }

    /// A thread without a connection or a job begins to run code of the
    /// application, until [`finish`](InFlightSlot::finish).
    pub(crate) fn begin_alone(&self, code: UserCode, subject: Option<Subject>) {
        // Never refused, so there is nothing to hand back.
        let _begun = self
            .slot
            .begin(Call::new(code, subject), None, None, || false);
    }

    /// Runs `deferred` on a thread without a connection or a job.
    pub(crate) fn run_alone(&self, deferred: Deferred, journal: &Journal) {
        let (code, subject, run) = deferred.start();
        self.begin_alone(code, Some(subject));
        if isolate(run).is_err() {
            note!(journal, Error, "{code} panicked");
        }
        self.slot.finish();
    }

    /// Takes the connection away from the code that runs, if it is `wanted`.
    pub(crate) fn take_connection_if(
        &self,
        wanted: impl FnOnce(&Connection) -> bool,
    ) -> Option<Box<Connection>> {
        self.slot.take_connection(
            |connection| wanted(connection),
            |connection, call| call.subject = Some(connection.subject()),
        )
    }

    /// The thread is about to end.
    pub(crate) fn set_ended(&self) {
        self.ended.store(true, SeqCst);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// The code that the thread is in, for the report.
    pub(crate) fn unreturned(&self) -> Option<Unreturned> {
        self.slot.with_note(|call| {
            let call = call?;
            Some(Unreturned {
                code: call.code,
                request: call.subject.as_ref().map(Subject::request),
            })
        })
    }
}
