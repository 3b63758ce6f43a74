//! How many connections of a shard are ready, for readers on other threads.
//!
//! The owner of the shard is the only thread that writes. The two values are written
//! one after another, so a reader may see one of them a little earlier.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;
use std::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct ReadyGauge {
    created: Instant,
    connections: AtomicUsize,
    /// Since when the first of them is ready, in nanoseconds after `created`. It
    /// suffices for 584 years.
    since: AtomicU64,
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// Connections that are ready and wait for a worker.
    pub(crate) connections: usize,
    /// Since when the first of them waits. `None` if there is none.
    pub(crate) since: Option<Instant>,
}

impl ReadyGauge {
    pub(super) fn new() -> Self {
        Self {
            created: Instant::now(),
            connections: AtomicUsize::new(0),
            since: AtomicU64::new(0),
        }
    }

    pub(super) fn set_connections(&self, connections: usize) {
        self.connections.store(connections, Release);
    }

    pub(super) fn set_since(&self, since: Instant) {
        let since = since.saturating_duration_since(self.created);
        let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.since.store(nanoseconds, Relaxed);
    }

    pub(super) fn get(&self) -> Ready {
        let connections = self.connections.load(Acquire);
        let since = Duration::from_nanos(self.since.load(Relaxed));
        Ready {
            connections,
            since: (connections > 0).then(|| self.created + since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_its_begin_only_while_a_connection_waits() {
        let gauge = ReadyGauge::new();
        let since = Instant::now() + Duration::from_millis(3);
        gauge.set_since(since);
        assert_eq!(gauge.get().since, None);
        gauge.set_connections(2);
        let ready = gauge.get();
        assert_eq!((ready.connections, ready.since), (2, Some(since)));
        gauge.set_connections(0);
        assert_eq!(gauge.get().since, None);
    }
}
