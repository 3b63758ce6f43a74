//! The call of [`Handler::route_table`], before the server serves.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::engine::in_flight::InFlight;
use crate::engine::threads::Thread;
use crate::engine::threads::join_ended;
use crate::handler::Handler;
use crate::isolate::Panicked;
use crate::isolate::isolate;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::Unreturned;
use crate::lifecycle::report::UserCode;
use crate::route_table::RouteTable;
use crate::router::routes::table_of;

/// How long the call may still take when the stop is over.
const RETURN_GRACE: Duration = Duration::from_millis(500);

/// How long its thread may take to end after the call. An overloaded machine runs a thread
/// late; only a thread-local of the application takes longer.
const END_GRACE: Duration = Duration::from_secs(1);

/// How the call has ended.
pub(super) enum RoutesCall<H> {
    Returned {
        handler: H,
        routes: Result<Option<RouteTable>, Panicked>,
        /// How many threads could not be joined: 1 if a thread-local of the application
        /// does not let the thread end.
        threads_left: usize,
    },
    /// A stop was over before the call. Its thread is left behind, with the handler.
    LeftBehind(Option<Unreturned>),
}

/// Calls [`Handler::route_table`] on a thread of its own: it is code of the application,
/// which may block, and a stop has to end then too.
///
/// # Errors
///
/// The thread cannot be started.
pub(super) fn call<H: Handler>(handler: H, life: &Arc<Lifecycle>) -> io::Result<RoutesCall<H>> {
    let slot = Arc::<InFlight>::default();
    slot.begin_alone(UserCode::RouteTable, None);
    let (sender, returned) = crossbeam_channel::bounded(1);
    let thread_slot = Arc::clone(&slot);
    let run = move || {
        let routes = isolate(|| table_of(&handler));
        thread_slot.slot.finish();
        // If the thread was left behind, this drops the handler.
        let _ = isolate(|| drop(sender.send((handler, routes))));
    };
    let thread = Thread::spawn("farewell-routes", life, slot, run).map_err(|(error, _)| error)?;
    life.wait(None, || thread.has_ended() || life.phase() > Phase::Running);
    life.wait(life.deadline(), || thread.has_ended() || life.is_aborting());
    // The deadline may have passed before the thread has run at all, as it does if it is 0.
    Ok(match returned.recv_timeout(RETURN_GRACE) {
        Ok((handler, routes)) => RoutesCall::Returned {
            handler,
            routes,
            threads_left: join_ended(vec![thread], Instant::now() + END_GRACE),
        },
        Err(_) => RoutesCall::LeftBehind(thread.slot().unreturned()),
    })
}
