//! Code of the application that no connection waits for: the drop of a value, or a
//! call after a delivery. It runs after the connection's turn.

use std::fmt;
use std::time::Instant;

use super::slow_calls::CallKey;
use crate::address::PeerAddr;
use crate::http1::request_line::RequestLine;
use crate::lifecycle::report::Unreturned;
use crate::lifecycle::report::UnreturnedRequest;
use crate::lifecycle::report::UserCode;

/// The request that a call is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// `None` until the head of the request is complete. Boxed for its size.
    pub(crate) request_line: Option<Box<RequestLine>>,
    pub(crate) peer: PeerAddr,
    /// The key of the request's calls in [`SlowCalls`](super::slow_calls::SlowCalls).
    pub(crate) call_key: CallKey,
    /// The index of the request's route in the [`RouteTable`](crate::RouteTable), if
    /// a route matches.
    pub(crate) route: Option<usize>,
    /// When the request, or the call, began.
    pub(crate) since: Instant,
}

impl Subject {
    /// The request, as text for the log and the report.
    pub(crate) fn route(&self) -> String {
        named(self.request_line.as_deref())
    }

    pub(crate) fn request(&self) -> UnreturnedRequest {
        UnreturnedRequest {
            route: self.route(),
            peer: self.peer,
            age: self.since.elapsed(),
        }
    }
}

/// A request, as text for the log and the report.
pub(crate) fn named(request_line: Option<&RequestLine>) -> String {
    match request_line {
        Some(request_line) => request_line.to_string(),
        None => "a request whose head was not complete".to_owned(),
    }
}

/// See the module.
pub(crate) struct Deferred {
    code: UserCode,
    pub(crate) subject: Subject,
    run: Box<dyn FnOnce() + Send>,
}

impl Deferred {
    /// The drop of a value that is, or holds, the application's.
    pub(crate) fn drop_of(value: impl Send + 'static, subject: Subject) -> Self {
        Self::call(UserCode::Drop, move || drop(value), subject)
    }

    /// The code is about to run. Returns its kind, its request with the time at which
    /// the code began, and the code.
    pub(crate) fn start(self) -> (UserCode, Subject, Box<dyn FnOnce() + Send>) {
        let subject = Subject {
            since: Instant::now(),
            ..self.subject
        };
        (self.code, subject, self.run)
    }

    /// The entry for the report, if the code never ran.
    pub(crate) fn unreturned(&self) -> Unreturned {
        Unreturned {
            code: self.code,
            request: Some(self.subject.request()),
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
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deferred({}, {:?})", self.code, self.subject)
    }
}
