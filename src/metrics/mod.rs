//! The numbers of a server while it runs, for the application.

#[cfg(feature = "metrics")]
mod exposition;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::activity::Activity;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::totals::Totals;

/// The numbers of one server: what has happened since its start, and what there is at
/// this moment. Clones read the same server.
///
/// [`Server::metrics`](crate::Server::metrics) gives it, before the server serves, so
/// that a handler can have it. The server counts in any case. A read sums the counters,
/// and holds up no request.
///
/// ```
/// # fn main() -> Result<(), farewell::Error> {
/// let server = farewell::Server::bind("127.0.0.1:0", farewell::Config::default())?;
/// let metrics = server.metrics();
/// # let stop = server.shutdown_handle();
/// let spawned = server.spawn(move |_: farewell::Request| {
///     format!("{} requests until now\n", metrics.totals().requests.total())
/// })?;
/// # stop.shutdown();
/// # spawned.join()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics {
    accounting: Arc<Accounting>,
}

impl Metrics {
    pub(crate) fn new(accounting: Arc<Accounting>) -> Self {
        Self { accounting }
    }

    /// What has happened since the start.
    pub fn totals(&self) -> Totals {
        self.accounting.totals()
    }

    /// How many connections and requests there are at this moment.
    pub fn counts(&self) -> Counts {
        self.accounting.counts()
    }

    /// What the workers do at this moment: which code of the application each of them
    /// runs, for which request and for how long; and how many connections wait for a
    /// worker.
    ///
    /// It takes a lock of each worker for the time of some copies, and holds up no
    /// request. Targets of requests are among its values, and may be secret.
    pub fn activity(&self) -> Activity {
        self.accounting.activity()
    }

    /// When the server was bound to its address, by the clock of the system.
    pub fn start_time(&self) -> SystemTime {
        self.accounting.start_time()
    }

    /// The phase of the server.
    pub fn phase(&self) -> Phase {
        self.accounting.phase()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({}, {:?})", self.phase(), self.counts())
    }
}
