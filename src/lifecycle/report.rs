//! The [`Report`] of a stop. Its counts have to add up.

use std::fmt;
use std::time::Duration;

use super::byte_size::ByteSize;
use super::outcome::ConnectionOutcome;
use super::outcome::RequestOutcome;
use super::outcome::Tally;
use super::phase::Abort;
use super::phase::Trigger;
use crate::address::PeerAddr;

/// A request that the server cut before its answer was complete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutRequest {
    /// Method and target, such as `GET /slow`, as far as they are known. Escaped
    /// as in the access log: a character that is not visible ASCII is shown as
    /// its bytes, `\xc3\xbc`.
    pub route: String,
    /// The client's address.
    pub peer: PeerAddr,
    /// The time since the request's first byte.
    pub age: Duration,
    /// Whether its handler had not returned.
    pub handler_running: bool,
    /// How many bytes of the response's body were sent: the kernel took them, and the
    /// client may not have received all of them. Of a body in chunks, the framing
    /// counts too.
    pub response_bytes_sent: u64,
    /// The length of the response's body. `None` if it is not known: there was no
    /// response yet, or its body has no stated length.
    pub response_bytes_total: Option<u64>,
}

impl CutRequest {
    fn how_far(&self) -> HowFar {
        HowFar {
            sent: self.response_bytes_sent,
            total: self.response_bytes_total,
            took: self.age,
        }
    }
}

/// How far a response came: `3.2 MiB of 5.0 GiB in 1.320 s`. Without a response, only the
/// time.
#[derive(Debug, Default)]
pub(crate) struct HowFar {
    pub(crate) sent: u64,
    /// `None` if the length is not known.
    pub(crate) total: Option<u64>,
    /// The time since the request's first byte.
    pub(crate) took: Duration,
}

impl fmt::Display for HowFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sent, self.total) {
            (0, None) => {}
            (sent, None) => write!(f, "{} in ", ByteSize(sent))?,
            (sent, Some(total)) => write!(f, "{} of {} in ", ByteSize(sent), ByteSize(total))?,
        }
        write!(f, "{:.3} s", self.took.as_secs_f64())
    }
}

impl fmt::Display for CutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { route, peer, .. } = self;
        write!(f, "{route} for {peer}: cut after {}", self.how_far())?;
        if self.handler_running {
            f.write_str(", its handler still running")?;
        }
        Ok(())
    }
}

/// Code of the application that the server calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UserCode {
    /// A [`Handler`](crate::Handler).
    Handler,
    /// [`Handler::route_table`](crate::Handler::route_table). The server has not served
    /// then.
    RouteTable,
    /// The function of
    /// [`Server::render_rejections`](crate::Server::render_rejections), for a response
    /// of the server itself.
    Renderer,
    /// A reader or an iterator that gives the pieces of a body, or the function
    /// that renders them for a follower of the shutdown.
    BodyPiece,
    /// The function of [`Body::from_writer`](crate::Body::from_writer).
    BodyWriter,
    /// The function of [`Body::upgrade`](crate::Body::upgrade).
    Upgrade,
    /// The function of [`Body::after_delivery`](crate::Body::after_delivery).
    AfterDelivery,
    /// The drop of a value that the application gave to the server: a response,
    /// its body, a handler with what it captured.
    Drop,
    /// The logger that is installed with the `log` crate.
    Logger,
    /// The read of a file that is a response's body, from a disk that does not
    /// answer. This is code of the system, not of the application.
    File,
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handler => "the handler",
            Self::RouteTable => "the route table of the handler",
            Self::Renderer => "the function that renders rejections",
            Self::BodyPiece => "the next piece of the body",
            Self::BodyWriter => "the writer of the body",
            Self::Upgrade => "the upgraded connection's function",
            Self::AfterDelivery => "the call after the delivery",
            Self::Drop => "the drop of a value",
            Self::Logger => "the logger",
            Self::File => "the read of a file",
        })
    }
}

/// Code of the application that had not returned when the server stopped. Its
/// thread was left behind, and ends when the code returns. After an abort this may
/// also be code that never ran, because every thread was in code that blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreturned {
    /// The kind of code.
    pub code: UserCode,
    /// The request that it ran for, if there is one.
    pub request: Option<UnreturnedRequest>,
}

/// The request of the code that did not return.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreturnedRequest {
    /// Method and target, such as `GET /slow`, as far as they are known.
    pub route: String,
    /// The client's address.
    pub peer: PeerAddr,
    /// The time since the first byte of the request, or since the code was called
    /// if the request was answered before that.
    pub age: Duration,
}

impl fmt::Display for Unreturned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match &self.request {
            Some(UnreturnedRequest { route, peer, age }) => {
                write!(f, " of {route} from {peer}, {:.3} s old", age.as_secs_f64())
            }
            None => Ok(()),
        }
    }
}

/// How a stop went, and how every connection and every request ended.
///
/// In the report that [`serve`](crate::Server::serve) returns,
/// `accepted == connections.total()` and `begun == requests.total()`. The report
/// that followers receive is made a little earlier: it does not count the ends of
/// their own connections.
///
/// Its [`Display`](fmt::Display) form has several lines and is for people. A program
/// that wants to know more than [`all_answered`](Self::all_answered) counts outcomes:
///
/// ```
/// use farewell::{Report, RequestOutcome};
///
/// fn exit_code(report: &Report) -> u8 {
///     match report.requests.count(RequestOutcome::Cut) {
///         0 if report.all_answered() => 0,
///         0 => 2, // a 503, a connection that was cut, or the backlog
///         _ => 3,
///     }
/// }
/// # let _ = exit_code;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What asked the server to stop.
    pub trigger: Trigger,
    /// Why the drain was cut short. `None` if it ran to its end.
    pub abort: Option<Abort>,
    /// From the trigger to the end.
    pub duration: Duration,
    /// From the trigger to the start of the drain, when the lame duck ended.
    pub draining_after: Option<Duration>,
    /// From the trigger to the moment when the kernel began to refuse new
    /// connections. `None` if it did not before the listener was closed: the
    /// system has no call for it, the listener is shared, or
    /// [`Config::refuse_new_connections`](crate::Config::refuse_new_connections)
    /// is `false`.
    pub refusing_after: Option<Duration>,
    /// From the trigger to the abort.
    pub aborted_after: Option<Duration>,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// The outcomes of the connections.
    pub connections: Tally<ConnectionOutcome>,
    /// The outcomes of the connections that ended after the trigger.
    pub connections_after_trigger: Tally<ConnectionOutcome>,
    /// Requests begun since the start.
    pub begun: u64,
    /// The outcomes of the requests.
    pub requests: Tally<RequestOutcome>,
    /// The outcomes of the requests that ended after the trigger.
    pub requests_after_trigger: Tally<RequestOutcome>,
    /// Requests whose first byte was read after the drain had begun, and that
    /// were answered.
    pub answered_on_last_call: u64,
    /// Connections that still follow the shutdown. 0 in the report that
    /// [`serve`](crate::Server::serve) returns.
    pub followers: usize,
    /// The requests that were cut, the first 100 of them.
    pub cut: Vec<CutRequest>,
    /// Whether the listener was closed when there may have been connections in
    /// its backlog, which the kernel then reset. The log says why:
    ///
    /// - [`Config::max_connections`](crate::Config::max_connections) connections
    ///   were open until the stop was over.
    /// - `accept` failed until the stop was over, as it does without a free file
    ///   descriptor.
    /// - The kernel does not refuse new connections
    ///   ([`Config::refuse_new_connections`](crate::Config::refuse_new_connections)),
    ///   and they arrived for longer than
    ///   [`Config::handshake_grace`](crate::Config::handshake_grace).
    pub backlog_abandoned: bool,
    /// Threads that could not be joined, because code of the application had
    /// not returned. A thread ends when its code returns, or when `main` does. Until
    /// then the handlers, and what they have captured, are not dropped:
    /// [`guide::stopping`](crate::guide::stopping#threads-that-are-left) says what
    /// that means for threads of yours.
    pub threads_left: usize,
    /// The code that these threads run, as far as it is known.
    pub unreturned: Vec<Unreturned>,
}

impl Report {
    /// Whether the server failed no request: it cut none and answered none with
    /// 503, cut no connection, and did not abandon the backlog. This is about the
    /// whole life of the server, not only about its stop.
    ///
    /// It says nothing about clients that disconnected or stalled, about handlers
    /// that panicked (their clients got a 500), or about bodies that failed: these are
    /// in [`requests`](Self::requests).
    pub fn all_answered(&self) -> bool {
        self.requests.count(RequestOutcome::Cut) == 0
            && self.requests.count(RequestOutcome::Unavailable) == 0
            && self.connections.count(ConnectionOutcome::Cut) == 0
            && !self.backlog_abandoned
    }

    /// Whether every connection and every request has exactly one outcome. `true`
    /// for the report that [`serve`](crate::Server::serve) returns.
    pub fn balances(&self) -> bool {
        self.accepted == self.connections.total() && self.begun == self.requests.total()
    }

    /// Whether `cut` has the request of this code, with its handler still running.
    fn is_cut(&self, unreturned: &Unreturned) -> bool {
        let handles = matches!(unreturned.code, UserCode::Handler | UserCode::Upgrade);
        let Some(request) = unreturned.request.as_ref().filter(|_| handles) else {
            return false;
        };
        self.cut.iter().any(|cut| {
            cut.handler_running && cut.route == request.route && cut.peer == request.peer
        })
    }

    /// The report in one line: how long the stop took, what triggered it, and how
    /// requests and connections ended after the trigger.
    pub fn summary(&self) -> String {
        use ConnectionOutcome as C;
        use RequestOutcome as R;

        let after = &self.requests_after_trigger;
        let closed = &self.connections_after_trigger;
        let early = self.ended_early();
        format!(
            "stopped in {:.3} s by {}{early}: after the trigger {} answered, {} of them on the \
             last call; {} closed idle; {} answered 503; {} cut",
            self.duration.as_secs_f64(),
            self.trigger,
            after.count(R::Answered) + after.count(R::HandlerPanicked),
            self.answered_on_last_call,
            closed.count(C::ClosedIdle) + closed.count(C::CrossedClose),
            after.count(R::Unavailable),
            after.count(R::Cut),
        )
    }

    /// The part of the summary that says what ended the drain before its end.
    fn ended_early(&self) -> String {
        let has_failed_none = || self.all_answered() && self.threads_left == 0;
        match self.abort {
            None => String::new(),
            // Only idle clients were left, and clients that did not close their side.
            Some(Abort::Deadline) if has_failed_none() => {
                ", ended by the drain deadline".to_owned()
            }
            // A program may abort, by a signal, without a stop before.
            Some(Abort::Requested(Trigger::Signal))
                if self.trigger == Trigger::Signal
                    && self.aborted_after != Some(Duration::ZERO) =>
            {
                ", cut short by a second signal".to_owned()
            }
            Some(why) => format!(", cut short by {why}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        let total = |count: u64, thing: &str| match count {
            1 => format!("1 {thing} in all"),
            _ => format!("{count} {thing}s in all"),
        };
        let requests = total(self.begun, "request");
        let connections = total(self.accepted, "connection");
        write!(f, "\n  {requests}: {}", self.requests)?;
        write!(f, "\n  {connections}: {}", self.connections)?;
        for cut in &self.cut {
            write!(f, "\n  {cut}")?;
        }
        let unnamed = self
            .requests
            .count(RequestOutcome::Cut)
            .saturating_sub(self.cut.len() as u64);
        if unnamed > 0 {
            write!(f, "\n  {unnamed} more cut")?;
        }
        if self.backlog_abandoned {
            f.write_str("\n  the backlog was not empty: its connections were reset")?;
        }
        if self.threads_left > 0 {
            write!(f, "\n  threads left behind: {}", self.threads_left)?;
        }
        for unreturned in self.unreturned.iter().filter(|code| !self.is_cut(code)) {
            write!(f, "\n  did not return: {unreturned}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stop by a signal, ended early.
    fn report(abort: Abort, cut: u64) -> Report {
        let requests = Tally::new(|outcome| match outcome {
            RequestOutcome::Cut => cut,
            _ => 0,
        });
        Report {
            trigger: Trigger::Signal,
            abort: Some(abort),
            duration: Duration::from_secs(2),
            draining_after: Some(Duration::ZERO),
            refusing_after: None,
            aborted_after: Some(Duration::from_secs(1)),
            accepted: cut,
            connections: Tally::new(|_| 0),
            connections_after_trigger: Tally::new(|_| 0),
            begun: cut,
            requests: requests.clone(),
            requests_after_trigger: requests,
            answered_on_last_call: 0,
            followers: 0,
            cut: Vec::new(),
            backlog_abandoned: false,
            threads_left: 0,
            unreturned: Vec::new(),
        }
    }

    #[test]
    fn a_deadline_that_cuts_nothing_does_not_read_as_a_failure() {
        let without = report(Abort::Deadline, 0).summary();
        assert!(
            without.starts_with("stopped in 2.000 s by a signal, ended by the drain deadline: "),
            "{without}"
        );
        let cut_short = ", cut short by the drain deadline: ";
        assert!(report(Abort::Deadline, 1).summary().contains(cut_short));
        let mut left = report(Abort::Deadline, 0);
        left.threads_left = 1;
        assert!(left.summary().contains(cut_short));
    }

    #[test]
    fn the_second_signal_is_named_as_such() {
        let by_signal = Abort::Requested(Trigger::Signal);
        let second = ", cut short by a second signal: ";
        assert!(report(by_signal, 0).summary().contains(second));
        let mut at_once = report(by_signal, 0);
        at_once.aborted_after = Some(Duration::ZERO);
        assert!(!at_once.summary().contains(second));
        let mut after_a_call = report(by_signal, 0);
        after_a_call.trigger = Trigger::Call;
        let summary = after_a_call.summary();
        assert!(summary.contains(", cut short by a signal: "), "{summary}");
    }
}
