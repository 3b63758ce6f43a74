//! What a thread has in flight: the code of the application that it runs, and
//! the connection that waits for it.
//!
//! Code of the application may block for ever: a handler, a body's next piece,
//! a drop. So before a thread runs any, it says so in its slot, and puts the
//! connection there too, if that needs the outcome. A stop whose time is over
//! takes the connection from the slot, ends it, and leaves the thread behind;
//! the report names what the thread was in.
//!
//! What does not need a connection any more (a value to drop, a call after a
//! delivery) is [`Deferred`]: the connection goes on first.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use super::connection::Connection;
use super::connection::exchange;
use super::connection::exchange::Route;
use crate::drain::report::Unreturned;
use crate::drain::report::UnreturnedRequest;
use crate::drain::report::UserCode;
use crate::isolate::Panicked;
use crate::isolate::isolate;

/// A thread's slot. Its thread and a stop share it.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// The connection that needs the outcome of the call.
    connection: Option<Box<Connection>>,
    call: Option<Call>,
}

/// Code of the application that runs now.
#[derive(Debug)]
struct Call {
    code: UserCode,
    /// Known beforehand where no connection is in the slot; otherwise when a
    /// stop takes the connection.
    subject: Option<Subject>,
}

/// The request that a call is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Known once its head is. Boxed for its size.
    pub(crate) route: Option<Box<Route>>,
    pub(crate) peer: SocketAddr,
    /// When the request, or the call, began.
    pub(crate) since: Instant,
}

impl Subject {
    /// The request, for people.
    pub(crate) fn route(&self) -> String {
        exchange::named(self.route.as_deref())
    }

    fn request(&self) -> UnreturnedRequest {
        UnreturnedRequest {
            route: self.route(),
            peer: self.peer,
            age: self.since.elapsed(),
        }
    }
}

impl InFlight {
    /// Code of the application is about to run for this connection, unless
    /// `refused` says otherwise. It is asked under the lock.
    pub(crate) fn begin_for(
        &self,
        code: UserCode,
        connection: Box<Connection>,
        refused: impl FnOnce() -> bool,
    ) -> Result<(), Box<Connection>> {
        let mut state = self.lock();
        if refused() {
            return Err(connection);
        }
        state.connection = Some(connection);
        state.call = Some(Call {
            code,
            subject: None,
        });
        Ok(())
    }

    /// Code of the application is about to run that no connection waits for.
    pub(crate) fn begin(&self, code: UserCode, subject: Option<Subject>) {
        self.lock().call = Some(Call { code, subject });
    }

    /// The code has returned: what it gave and the connection go on together.
    /// `None` if a stop has taken the connection: then `given` is dropped here,
    /// as a part of the call.
    pub(crate) fn end<T>(&self, given: T) -> Option<(Box<Connection>, T)> {
        {
            let mut state = self.lock();
            if let Some(connection) = state.connection.take() {
                state.call = None;
                return Some((connection, given));
            }
        }
        let _ = isolate(|| drop(given));
        self.lock().call = None;
        None
    }

    /// Takes the connection away from the code that runs, if `wanted`.
    pub(crate) fn take_if(&self, wanted: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        let mut state = self.lock();
        let connection = state.connection.take_if(|connection| wanted(connection))?;
        if let Some(call) = &mut state.call {
            call.subject = Some(connection.subject());
        }
        Some(connection)
    }

    /// The connection, while code of the application runs for it.
    pub(crate) fn with_connection<T>(&self, f: impl FnOnce(Option<&mut Connection>) -> T) -> T {
        f(self.lock().connection.as_deref_mut())
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
        let state = self.lock();
        let call = state.call.as_ref()?;
        Some(Unreturned {
            code: call.code,
            request: call.subject.as_ref().map(Subject::request),
        })
    }

    /// Whatever panicked, a slot is whole: a connection and a call, or not.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Code of the application that is to run when a connection has gone on: the
/// drop of a value, or a call that the application asked for.
pub(crate) struct Deferred {
    code: UserCode,
    subject: Subject,
    run: Box<dyn FnOnce() + Send>,
}

impl Deferred {
    /// The drop of a value that is the application's, or may hold some.
    pub(crate) fn drop_of(value: impl Send + 'static, subject: Subject) -> Self {
        Self {
            code: UserCode::Drop,
            subject,
            run: Box::new(move || drop(value)),
        }
    }

    pub(crate) fn call(
        code: UserCode,
        call: impl FnOnce() + Send + 'static,
        subject: Subject,
    ) -> Self {
        Self {
            code,
            subject,
            run: Box::new(call),
        }
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// It never ran: for the report.
    pub(crate) fn unreturned(&self) -> Unreturned {
        Unreturned {
            code: self.code,
            request: Some(self.subject.request()),
        }
    }

    /// Runs it, named in this slot meanwhile.
    pub(crate) fn run(self, slot: &InFlight) -> Result<(), (UserCode, Panicked)> {
        let Self {
            code,
            mut subject,
            run,
        } = self;
        subject.since = Instant::now();
        slot.begin(code, Some(subject));
        isolate(run).map_err(|panicked| (code, panicked))
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deferred({}, {:?})", self.code, self.subject)
    }
}
