//! The handle that stops a server, from any thread.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::follow::Follower;
use super::follow::Progress;
use super::follow::ProgressChannel;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::phase::Trigger;
use crate::lifecycle::unsent::Unsent;
use crate::message::body::Body;
#[cfg(feature = "stop-routes")]
use crate::message::request::Request;
use crate::metrics::Metrics;

/// Stops a server, and tells how the stop goes. Clones stop the same server.
///
/// ```
/// # fn main() -> Result<(), farewell::Error> {
/// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
/// let stop = server.shutdown_handle();
/// std::thread::spawn(move || stop.shutdown());
/// let report = server.serve(|_: farewell::Request| "hello\n")?;
/// assert!(report.all_answered());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ShutdownHandle {
    life: Arc<Lifecycle>,
    accounting: Arc<Accounting>,
    progress: Arc<ProgressChannel>,
}

impl ShutdownHandle {
    pub(crate) fn new(
        life: Arc<Lifecycle>,
        accounting: Arc<Accounting>,
        progress: Arc<ProgressChannel>,
    ) -> Self {
        Self {
            life,
            accounting,
            progress,
        }
    }

    /// Asks the server to stop: every request gets its answer, within
    /// [`Config::drain_timeout`](crate::Config::drain_timeout). Returns at once.
    /// Later calls change nothing. If the server does not serve yet, it stops as
    /// soon as it does.
    ///
    /// It may be called on any thread, also in a handler, and in a signal handler
    /// of the [`ctrlc`](https://docs.rs/ctrlc) crate. For signals there is
    /// `Server::stop_on_signals`, with the feature `signals`.
    pub fn shutdown(&self) {
        self.shutdown_by(Trigger::Call);
    }

    /// As [`shutdown`](Self::shutdown), with the trigger for the report. Returns
    /// whether this call began the stop.
    pub fn shutdown_by(&self, trigger: Trigger) -> bool {
        self.life.shutdown(trigger)
    }

    /// Stops the server at once: requests that no handler has started get a 503,
    /// and the rest is cut. Returns at once.
    ///
    /// The server waits for no client to close its side, except for those that
    /// [`follow`](Self::follow) the stop. From this call on the stop takes at most
    /// twice [`Config::linger`](crate::Config::linger), and up to 3 s more in the cases
    /// that [the bound of a stop](crate::Config#the-bound-of-a-stop) names.
    pub fn abort(&self) {
        self.abort_by(Trigger::Call);
    }

    /// As [`abort`](Self::abort), with the trigger for the report. Returns `false`
    /// if the server aborts already, or has stopped.
    pub fn abort_by(&self, trigger: Trigger) -> bool {
        self.life.abort(Abort::Requested(trigger))
    }

    /// The phase of the server.
    pub fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// Waits until the server accepts connections, for `timeout` at most. Returns `false` if
    /// it does not: [`serve`](crate::Server::serve) was not called or has failed, or the
    /// stop has been so early that it served no connection.
    ///
    /// A connection that a client makes before that waits in the accept queue. So this is
    /// for the moment at which a program tells a supervisor that it is ready.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
    /// let stop = server.shutdown_handle();
    /// assert!(!stop.wait_until_serving(Duration::ZERO));
    /// let server = server.spawn(|_: farewell::Request| "hello\n")?;
    /// assert!(stop.wait_until_serving(Duration::MAX));
    /// # drop(server);
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn wait_until_serving(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life.wait_until_started(until)
    }

    /// Waits until the server is in `phase`, or in a later one.
    ///
    /// The server reaches [`Phase::Stopped`] when [`serve`](crate::Server::serve)
    /// is about to return. If `serve` is not called, it never does.
    pub fn wait_for(&self, phase: Phase) {
        self.life.wait_for_phase(phase, None);
    }

    /// As [`wait_for`](Self::wait_for), for `timeout` at most. Returns whether the
    /// server is in `phase`, or in a later one.
    pub fn wait_for_timeout(&self, phase: Phase, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life.wait_for_phase(phase, until)
    }

    /// Waits until `condition` holds for the counts, or for `timeout` at most.
    /// Returns whether it holds.
    ///
    /// `condition` is called on this thread, at once and after every change of a
    /// count, with no lock held. While a thread waits here, each change wakes it,
    /// which costs the server's threads a system call.
    pub fn wait_for_counts(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(Counts) -> bool,
    ) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life
            .wait_for_counts(until, || condition(self.accounting.counts()))
    }

    /// How many connections and requests there are at this moment.
    pub fn counts(&self) -> Counts {
        self.accounting.counts()
    }

    /// What the responses in progress still have to send, the time that is likely to
    /// take, and the time until the deadline.
    ///
    /// It takes no lock of the connections, and costs the same whatever their number.
    ///
    /// ```
    /// # let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
    /// let stop = server.shutdown_handle();
    /// let unsent = stop.unsent();
    /// if unsent.is_likely_cut() {
    ///     // 4.9 GiB to send (about 2 min, probably not before the deadline)
    ///     println!("{unsent}");
    /// }
    /// # assert_eq!(unsent.bytes, 0);
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn unsent(&self) -> Unsent {
        self.accounting.unsent()
    }

    /// What counts the connections and requests of the server.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(Arc::clone(&self.accounting))
    }

    /// When the server cuts what is left. `None` until it is asked to stop.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.deadline()
    }

    /// A response body that follows the shutdown. It sends a piece at once. After
    /// the trigger it sends one whenever the counts change, at most 20 a second, and
    /// one a second while only [`Counts::response_bytes_left`] changes. The
    /// last piece is for the final report, when only connections that follow the
    /// shutdown are left. `render` makes the pieces; an empty one is skipped.
    ///
    /// The body does not start a shutdown, and the drain does not wait for the
    /// clients that read it. After the final report they have
    /// [`Config::linger`](crate::Config::linger) to read it. A slow client misses
    /// pieces, but never the last. [`notify_followers`](Self::notify_followers) has
    /// further pieces sent.
    ///
    /// Another server of the process may send the body, such as one for operators alone.
    /// Then it is not among the [`Counts::followers`] of this one, and the other server has
    /// to go on until its clients have the report. If it stops earlier, the body ends at the
    /// end of its last call.
    ///
    /// ```
    /// use farewell::{Config, Progress, Request, Server};
    /// use std::io::{Read, Write};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = server.shutdown_handle();
    /// let server = server.spawn(move |_: Request| {
    ///     stop.shutdown();
    ///     stop.follow(|progress| match progress {
    ///         Progress::Counts(counts) => format!("{counts}\n"),
    ///         Progress::Finished(report) => format!("{}\n", report.summary()),
    ///         _ => String::new(),
    ///     })
    /// })?;
    ///
    /// let mut client = std::net::TcpStream::connect(server.local_addr())?;
    /// client.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer)?;
    /// assert!(answer.contains("stopped in "));
    /// drop(client);
    /// assert!(server.join()?.all_answered());
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, render: impl FnMut(&Progress) -> String + Send + 'static) -> Body {
        let (progress, accounting) = (Arc::clone(&self.progress), Arc::clone(&self.accounting));
        Body::stream(Follower::new(progress, accounting, Box::new(render)))
    }

    /// Has each body of [`follow`](Self::follow) send a piece now, also before a stop
    /// begins. It is for pages that show more than the counts: a thread that calls it twice
    /// a second keeps them up to date. A body whose client reads slowly skips pieces. After
    /// the final report it does nothing. Returns at once.
    ///
    /// ```
    /// use farewell::{Config, Request, Server};
    /// use std::io::{BufRead, BufReader, Write};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::bind("127.0.0.1:0", Config::default())?;
    /// let stop = server.shutdown_handle();
    /// let server = server.spawn(move |_: Request| stop.follow(|_| "a piece\n".to_owned()))?;
    ///
    /// let mut client = std::net::TcpStream::connect(server.local_addr())?;
    /// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    /// let mut lines = BufReader::new(client).lines();
    /// let mut pieces = lines.by_ref().filter(|line| line.as_ref().is_ok_and(|line| line == "a piece"));
    /// assert!(pieces.next().is_some()); // at once
    /// server.shutdown_handle().notify_followers();
    /// assert!(pieces.next().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn notify_followers(&self) {
        self.progress.publish_now(&self.accounting);
    }

    /// Whether this server has received the request.
    #[cfg(feature = "stop-routes")]
    pub(crate) fn has_received(&self, request: &Request) -> bool {
        request.is_of(&self.life)
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShutdownHandle({}, {:?})", self.phase(), self.counts())
    }
}
