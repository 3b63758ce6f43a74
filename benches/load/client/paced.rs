//! An open loop: a fixed number of requests a second, whether or not the server
//! keeps up.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::BlockingConnection;
use super::microseconds;
use super::percentile;
use crate::harness::Result;

/// Threads, each with its own connection. At 2 000 requests a second each sends
/// one every 8 ms, which is enough for responses that wait 3 ms and take 3 ms.
const THREADS: u32 = 16;

/// The latencies of slow requests. If a late response delays the next request,
/// its latency counts from the time when it was due.
pub(super) fn paced(
    port: u16,
    path: &str,
    a_second: u32,
    time: Duration,
) -> Result<Vec<(&'static str, f64)>> {
    let apart = Duration::from_secs(1) / a_second.max(1);
    let start = Instant::now();
    let of_thread = |index: u32| -> Result<Vec<Duration>> {
        let mut connection = BlockingConnection::open(port)?;
        let mut latencies = Vec::new();
        let mut due = start + apart * index;
        while due < start + time {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            connection.ask(path)?;
            latencies.push(due.elapsed());
            due += apart * THREADS;
        }
        Ok(latencies)
    };
    let mut latencies: Vec<Duration> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            // The error type is not `Send`, so the thread returns its text.
            .map(|index| scope.spawn(move || of_thread(index).map_err(|error| error.to_string())))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|latencies| latencies.expect("sending requests does not panic"))
            .collect::<std::result::Result<Vec<_>, String>>()
    })?
    .concat();
    latencies.sort_unstable();
    Ok(vec![
        ("requests", latencies.len() as f64),
        ("p50", percentile(&latencies, 0.5)),
        ("p99", percentile(&latencies, 0.99)),
        ("worst", latencies.last().copied().map_or(0.0, microseconds)),
    ])
}
