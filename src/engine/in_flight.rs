//! What a thread has in flight: its [`InFlightSlot`], with a note on the call for the report,
//! and what the monitor needs to know about the thread.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

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

/// See the module. The thread, the monitor and a stop share it.
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
    /// Set from the start if no connection is in the slot. Otherwise it is set when a
    /// stop takes the connection.
    subject: Option<Subject>,
    /// When it began.
    since: Instant,
}

impl Call {
    pub(crate) fn new(code: UserCode, subject: Option<Subject>, since: Instant) -> Self {
        Self {
            code,
            subject,
            since,
        }
    }
}

/// A copy of what is known about a call in progress.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) code: UserCode,
    pub(crate) subject: Option<Subject>,
    pub(crate) since: Instant,
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
    /// The calling thread is the one that the slot belongs to.
    pub(crate) fn set_thread(&self) {
        let number = os::thread_number().unwrap_or(0);
        self.thread.store(number, Relaxed);
    }

    /// Whether the thread is running or runnable. `None` if the system does not say.
    pub(crate) fn thread_is_running(&self) -> Option<bool> {
        match self.thread.load(Relaxed) {
            0 => None,
            number => os::is_running(number),
        }
    }

    /// A thread that has no connection and no job begins to run code of the
    /// application. The call ends with [`finish`](InFlightSlot::finish).
    pub(crate) fn begin_alone(&self, code: UserCode, subject: Option<Subject>) {
        let call = Call::new(code, subject, Instant::now());
        self.slot.begin_alone(call, None);
    }

    /// Runs `deferred` on a thread that has no connection and no job.
    pub(crate) fn run_alone(&self, deferred: Deferred, journal: &Journal) {
        let (code, subject, run) = deferred.start();
        self.begin_alone(code, Some(subject));
        if isolate(run).is_err() {
            note!(journal, Error, "{code} panicked");
        }
        self.slot.finish();
    }

    /// Takes the connection out of the slot while the code runs, if it is `wanted`.
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

    /// The code that the thread runs, and the request that it runs for.
    pub(crate) fn running(&self) -> Option<Running> {
        self.slot.with_call(|call, connection| Running {
            code: call.code,
            subject: match connection {
                Some(connection) => Some(connection.subject()),
                None => call.subject.clone(),
            },
            since: call.since,
        })
    }

    /// The code that the thread runs, for the report.
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
