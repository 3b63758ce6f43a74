//! How long quick requests wait while the server handles a slow one.
//!
//! Windows with a slow request alternate with windows without one. The figure
//! of a window is the longest latency of a quick request in it. Windows without
//! a slow request show the noise of the machine.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::BlockingConnection;
use super::closed::Answer;
use super::closed::Closed;
use super::microseconds;
use super::percentile;
use crate::harness::Result;

const QUICK_CONNECTIONS: usize = 16;

/// Duration of the slow request.
const SLOW: Duration = Duration::from_millis(50);

/// How long a window continues after the slow response. A quick request that
/// had to wait for it is answered in this time.
const AFTER: Duration = Duration::from_millis(20);

/// How many quick requests are sent for the known path before its first slow
/// request, and before each further one.
const QUICK_AT_FIRST: usize = 3_000;
const QUICK_BETWEEN: usize = 200;

/// Start and end.
type Window = (Instant, Instant);

/// The longest waits of quick requests, while slow requests are sent for a path
/// that is new to the server, or for one that was quick in thousands of
/// requests.
pub(super) fn first_slow(port: u16, known: bool, calls: usize) -> Result<Vec<(&'static str, f64)>> {
    let quick = Closed::open(port, "/", QUICK_CONNECTIONS)?;
    let over = AtomicBool::new(false);
    let mut answers: Vec<Answer> = Vec::new();
    let windows = thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let windows = windows(port, known, calls).map_err(|error| error.to_string());
            over.store(true, SeqCst);
            windows
        });
        quick.run(|| over.load(SeqCst), |answer| answers.push(answer))?;
        Ok::<_, Box<dyn std::error::Error>>(slow.join().expect("sending requests does not panic")?)
    })?;
    let longest = |windows: &[Window]| -> Vec<Duration> {
        let mut longest: Vec<Duration> = windows
            .iter()
            .map(|window| longest_wait(&answers, window))
            .collect();
        longest.sort_unstable();
        longest
    };
    let (with, without) = (longest(&windows.with), longest(&windows.without));
    let largest = |waits: &[Duration]| waits.last().copied().map_or(0.0, microseconds);
    let elapsed = windows.with.first().zip(windows.without.last());
    let (first, last) = elapsed
        .map(|(first, last)| (first.0, last.1))
        .ok_or("no slow request was sent")?;
    let within = |answer: &&Answer| answer.answered > first && answer.answered < last;
    Ok(vec![
        ("requests", answers.iter().filter(within).count() as f64),
        ("seconds", (last - first).as_secs_f64()),
        ("with", percentile(&with, 0.5)),
        ("with_largest", largest(&with)),
        ("without", percentile(&without, 0.5)),
        ("without_largest", largest(&without)),
    ])
}

#[derive(Default)]
struct Windows {
    with: Vec<Window>,
    without: Vec<Window>,
}

fn windows(port: u16, known: bool, calls: usize) -> Result<Windows> {
    let mut connection = BlockingConnection::open(port)?;
    let mut windows = Windows::default();
    for call in 0..calls {
        let mut path = format!("/first/new-{}-{call}", std::process::id());
        if known {
            path = "/first/known".to_owned();
            let count = match call {
                0 => QUICK_AT_FIRST,
                _ => QUICK_BETWEEN,
            };
            for _ in 0..count {
                connection.ask(&format!("{path}?us=0"))?;
            }
        }
        let start = Instant::now();
        connection.ask(&format!("{path}?us={}", SLOW.as_micros()))?;
        thread::sleep(AFTER);
        windows.with.push((start, Instant::now()));

        let start = Instant::now();
        thread::sleep(SLOW + AFTER);
        windows.without.push((start, Instant::now()));
    }
    Ok(windows)
}

fn longest_wait(answers: &[Answer], (start, end): &Window) -> Duration {
    let within = |answer: &&Answer| answer.answered > *start && answer.asked < *end;
    let waits = answers.iter().filter(within).map(Answer::latency);
    waits.max().unwrap_or_default()
}
