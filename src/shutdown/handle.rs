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
use crate::message::body::Body;

/// Stops a server, and tells how that goes. Clones are the same handle.
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

    /// Asks the server to stop: everyone gets their answer, within
    /// [`Config::drain_timeout`](crate::Config::drain_timeout). Returns at
    /// once; later calls change nothing. If the server does not serve yet, it will stop as soon as it
    /// does.
    ///
    /// It may be called from any thread, a handler and a signal handler of the
    /// [`ctrlc`](https://docs.rs/ctrlc) crate included. For signals there is
    /// `Server::stop_on_signals`, with the feature `signals`.
    pub fn shutdown(&self) {
        self.shutdown_by(Trigger::Call);
    }

    /// As [`shutdown`](Self::shutdown), with a word on who asks. Says whether
    /// this was the first to ask.
    pub fn shutdown_by(&self, trigger: Trigger) -> bool {
        self.life.shutdown(trigger)
    }

    /// Cuts what is left, and stops. Requests that no handler has started get a
    /// 503.
    pub fn abort(&self) {
        self.abort_by(Trigger::Call);
    }

    /// As [`abort`](Self::abort), with a word on who asks. Says whether this
    /// made a difference: `false` if that was decided before, or is too late.
    pub fn abort_by(&self, trigger: Trigger) -> bool {
        self.life.abort(Abort::Requested(trigger))
    }

    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// Waits until the server is in `phase`, or beyond it.
    ///
    /// [`Phase::Stopped`] comes once [`serve`](crate::Server::serve) is about
    /// to return; never, if `serve` is not called.
    pub fn wait_for(&self, phase: Phase) {
        self.life.wait_for_phase(phase, None);
    }

    /// As [`wait_for`](Self::wait_for), for so long at most. Says whether the
    /// server is there.
    pub fn wait_for_timeout(&self, phase: Phase, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life.wait_for_phase(phase, until)
    }

    /// Waits until `condition` holds of the counts, or for `timeout` at most.
    /// Says whether it holds.
    ///
    /// `condition` is asked on this thread, at once and after every change of a
    /// count; it holds no lock meanwhile. While a thread waits here, each change
    /// wakes it, which costs the server's threads a system call.
    pub fn wait_for_counts(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(Counts) -> bool,
    ) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.life
            .wait_for_counts(until, || condition(self.accounting.counts()))
    }

    /// What is going on at this moment.
    pub fn counts(&self) -> Counts {
        self.accounting.counts()
    }

    /// When what is left will be cut; `None` until somebody asks to stop.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.deadline()
    }

    /// A response body that follows the shutdown: a piece at once, from the
    /// trigger on one whenever the counts change (twenty a second at most), and
    /// at the end one for the final
    /// report, which is sent when everyone but the followers is done. `render`
    /// makes the pieces; an empty one is skipped.
    ///
    /// It starts no shutdown, and the drain does not wait for its readers
    /// before it tells them the end; then they have
    /// [`Config::linger`](crate::Config::linger) to read it. A slow one misses
    /// pieces, never the last.
    pub fn follow(&self, render: impl FnMut(&Progress) -> String + Send + 'static) -> Body {
        let (progress, accounting) = (Arc::clone(&self.progress), Arc::clone(&self.accounting));
        Body::stream(Follower::new(progress, accounting, Box::new(render)))
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShutdownHandle({}, {:?})", self.phase(), self.counts())
    }
}
