//! Shared by the servers on tokio's multi-threaded runtime.

use std::io;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task;

use crate::{Arguments, spin};

/// Limits how many requests compute at the same time, as tokio's documentation
/// of `spawn_blocking` recommends.
static COMPUTING: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores)
});

/// The runtime, with the number of blocking threads in the arguments.
///
/// # Errors
///
/// If the system cannot start its threads.
pub fn runtime(arguments: &Arguments) -> io::Result<Runtime> {
    let mut runtime = Builder::new_multi_thread();
    if let Some(workers) = arguments.workers {
        runtime.max_blocking_threads(workers);
    }
    runtime.enable_all().build()
}

/// Blocks a blocking thread for this time.
///
/// # Panics
///
/// Never: sleeping does not panic.
pub async fn nap(time: Duration) {
    task::spawn_blocking(move || thread::sleep(time))
        .await
        .expect("sleeping does not panic");
}

/// Computes for about this time on a blocking thread.
///
/// # Panics
///
/// Never: computing does not panic.
pub async fn compute(time: Duration) {
    let permit = COMPUTING.acquire().await;
    task::spawn_blocking(move || spin(time))
        .await
        .expect("computing does not panic");
    drop(permit);
}
