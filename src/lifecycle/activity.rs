//! What the workers of a server do at this moment.

use std::fmt;
use std::time::Duration;

use http::Method;

use super::report::UserCode;
use crate::address::PeerAddr;

/// What the workers of a server do at this moment, as
/// [`Metrics::activity`](crate::Metrics::activity) gives it.
///
/// The workers are read one after another while they work, so a call that ends and one
/// that begins meanwhile may both be there, or neither.
///
/// ```
/// # fn main() -> Result<(), farewell::Error> {
/// # let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
/// let activity = server.metrics().activity();
/// println!("{} of {} workers are busy", activity.calls.len(), activity.workers);
/// for call in &activity.calls {
///     println!("{}: {} for {:?}", call.worker, call.code, call.running_for);
/// }
/// # assert_eq!(activity, farewell::Activity::default(), "it does not serve yet");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// How many workers there are: [`Config::workers`](crate::Config::workers) while
    /// the server serves, and 0 before and after that.
    pub workers: usize,
    /// The workers that run code of the application, in the order of their numbers.
    /// Every other worker is idle, or it reads requests and writes responses.
    pub calls: Vec<RunningCall>,
    /// Connections that are ready (a request, a piece of a body or room for a response has
    /// arrived) and wait for a worker.
    ///
    /// The server knows that a connection is ready when it next asks the kernel. While
    /// all workers are busy it asks every 10 ms.
    pub queued: usize,
    /// The longest wait among them, since the server knows that the connection is ready.
    /// `None` if none waits.
    pub queued_for: Option<Duration>,
}

/// A worker that runs code of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningCall {
    /// The number of the worker, from 1. Its thread has the name `farewell-` and this
    /// number.
    pub worker: usize,
    /// The kind of code.
    pub code: UserCode,
    /// The request that it runs for, if there is one.
    pub request: Option<RunningRequest>,
    /// The time since the code was called.
    pub running_for: Duration,
}

/// The request that a [`RunningCall`] runs for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningRequest {
    /// Its method. `None` if its head is not complete or not valid.
    pub method: Option<Method>,
    /// Its target, such as `/users/7?all`. `None` if its head is not complete or not valid.
    /// Escaped as in the access log: a character that is not visible ASCII is shown as its
    /// bytes, `\xc3\xbc`.
    pub target: Option<String>,
    /// The route that matches, as it was given to the [`Router`](crate::Router), such
    /// as `/users/{id}`. `None` if there is none.
    pub route: Option<String>,
    /// The client's address.
    pub peer: PeerAddr,
    /// The time since the first byte of the request; for code that runs after its
    /// answer, such as a drop, the time since that code was called.
    pub age: Duration,
}

/// `GET /slow from 127.0.0.1:40010`.
impl fmt::Display for RunningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.method, &self.target) {
            (Some(method), Some(target)) => write!(f, "{method} {target}")?,
            _ => f.write_str("a request whose head was not complete")?,
        }
        write!(f, " from {}", self.peer)
    }
}

/// What can tell the [`Activity`] of a server. The accounting holds it weakly, because
/// it shares the sockets of a server that may have stopped.
pub(crate) trait ActivitySource: fmt::Debug + Send + Sync {
    fn activity(&self) -> Activity;
}
