//! One request and its answer: what the access log and the report tell of it.

use std::fmt;
use std::time::Instant;

use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;

use crate::escaped::Escaped;

/// A request and its answer, in the accounting.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Of its answer, once there is one.
    pub(super) status: Option<StatusCode>,
    /// How much of its answer's body has been sent. The head counts less than
    /// nothing.
    pub(super) sent: i64,
    pub(super) began: Instant,
    pub(super) on_last_call: bool,
    /// Known once its head is.
    pub(super) route: Option<Route>,
}

impl Exchange {
    /// Its answer has a head of so many bytes.
    pub(super) fn count_answer(&mut self, status: StatusCode, head_bytes: usize) {
        self.status = Some(status);
        self.sent = -i64::try_from(head_bytes).unwrap_or(0);
    }

    pub(super) fn count_sent(&mut self, bytes: usize) {
        self.sent += i64::try_from(bytes).unwrap_or(0);
    }
}

/// What a request line says.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
}

/// `GET /slow`: escaped, since the client chose it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Escaped(&self.method), Escaped(&self.uri))
    }
}

/// A request, for people.
pub(crate) fn named(route: Option<&Route>) -> String {
    match route {
        Some(route) => route.to_string(),
        None => "a request whose head was not complete".to_owned(),
    }
}
