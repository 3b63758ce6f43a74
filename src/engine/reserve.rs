//! The reserve: a thread that answers urgent requests while every worker runs code of the
//! application. It is there if a route is [urgent](crate::Router::urgent).
//!
//! ```text
//!  run queue: jobs wait, no worker is free
//!      |  ^
//!      |  +------------- job, with its other connections held ----------+
//!      |                                                                |
//!      +--> monitor polls them; new connections have waited for 20 ms   |
//!             |                                                         |
//!             +--wakes--> reserve: receives the job, gives each new connection a turn
//!                           that serves urgent requests only
//! ```
//!
//! Such a turn reads and writes as any turn does, but it runs code of the application for
//! urgent requests alone. A connection that needs a call for another request is *held* in the
//! job, in front of the connections that are ready later. The reserve looks at it once, and
//! then the job waits for a worker as before. So the reserve has a job for milliseconds, and
//! is needed for no other request: no worker ever waits for it, and what it holds ends with
//! the job, whatever ends the job (a worker, an abort, an eviction).
//!
//! There is no handshake. The monitor looks every 10 ms while jobs wait, and wakes the reserve
//! each time; the token of `park` keeps a wake-up that comes before the sleep.
//!
//! A worker whose own batch takes longer than that does the same for it, between two
//! connections: calls that compute do not send the job to the run queue.

use std::sync::Arc;
use std::sync::OnceLock;
use std::thread;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use super::in_flight::InFlight;
use super::in_flight::OwnedJob;

/// How long new connections wait for a worker before their urgent requests are sorted out.
/// In a server with enough workers, jobs do not wait for so long.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    pub(crate) slot: Arc<InFlight>,
    thread: OnceLock<Thread>,
}

impl Reserve {
    /// The calling thread is the reserve's: it is the thread to wake.
    pub(crate) fn register_thread(&self) {
        self.thread.get_or_init(thread::current);
    }

    /// Wakes the reserve, if its thread has begun. If not, it looks before its first sleep.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Whether connections of this job have waited for so long that urgent requests have to go
/// first.
pub(crate) fn is_due(job: &OwnedJob, now: Instant) -> bool {
    job.ready() > 0 && now.saturating_duration_since(job.new_wait_since()) >= WAIT_MAX
}
