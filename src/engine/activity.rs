//! Reads what the workers do, for [`Metrics::activity`](crate::Metrics::activity).
//!
//! A read takes the lock of each worker's slot for the time of some copies, and reads
//! atomics of the shards. It waits for no worker and no shard.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::deferred::Subject;
use super::in_flight::InFlight;
use super::services::Services;
use super::shard::Shard;
use crate::lifecycle::activity::Activity;
use crate::lifecycle::activity::ActivitySource;
use crate::lifecycle::activity::RunningCall;
use crate::lifecycle::activity::RunningRequest;

/// The parts of an engine that a reader may share. The engine itself is not among them:
/// a reader that held it would keep a stop from dropping the handler.
pub(crate) struct Watched {
    services: Arc<Services>,
    slots: Box<[Arc<InFlight>]>,
    shards: Box<[Arc<Shard<Connection>>]>,
}

impl Watched {
    pub(crate) fn new(
        services: &Arc<Services>,
        slots: &[Arc<InFlight>],
        shards: &[Arc<Shard<Connection>>],
    ) -> Self {
        Self {
            services: Arc::clone(services),
            slots: slots.into(),
            shards: shards.into(),
        }
    }

    fn request(&self, subject: &Subject, now: Instant) -> RunningRequest {
        let line = subject.request_line.as_deref();
        let (method, target) = line.map(|line| line.method_and_target()).unzip();
        let routes = self.services.routes.as_ref();
        let route = routes.zip(subject.route).and_then(|(routes, endpoint)| {
            let path = routes.paths().nth(endpoint)?;
            Some(path.to_string())
        });
        RunningRequest {
            method: method.flatten(),
            target,
            route,
            peer: subject.peer,
            age: now.saturating_duration_since(subject.since),
        }
    }
}

impl ActivitySource for Watched {
    fn activity(&self) -> Activity {
        let slots = self.slots.iter().enumerate();
        let running: Vec<_> = slots
            .filter_map(|(index, slot)| Some((index + 1, slot.running()?)))
            .collect();
        let ready = self.shards.iter().map(|shard| shard.ready());
        let ready: Vec<_> = ready.collect();
        // After the reads, so that no call and no wait begins later.
        let now = Instant::now();
        let calls = running.into_iter().map(|(worker, running)| RunningCall {
            worker,
            code: running.code,
            request: running.subject.map(|subject| self.request(&subject, now)),
            running_for: now.saturating_duration_since(running.since),
        });
        let since = ready.iter().filter_map(|ready| ready.since).min();
        Activity {
            workers: self.slots.len(),
            calls: calls.collect(),
            queued: ready.iter().map(|ready| ready.connections).sum(),
            queued_for: since.map(|since| now.saturating_duration_since(since)),
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slots, shards) = (self.slots.len(), self.shards.len());
        write!(f, "Watched({slots} workers, {shards} shards)")
    }
}
