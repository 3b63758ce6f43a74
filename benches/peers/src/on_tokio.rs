//! What the servers on tokio's multi-threaded runtime share.

use std::io;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task;

use crate::{Arguments, spin};

/// tokio's documentation of `spawn_blocking`: where many requests compute, a
/// semaphore limits how many do so at a time.
static COMPUTING: LazyLock<Semaphore> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores)
});

/// The runtime, with as many blocking threads as the arguments say.
///
/// # Errors
///
/// The system has no thread for it.
pub fn runtime(arguments: &Arguments) -> io::Result<Runtime> {
    let mut runtime = Builder::new_multi_thread();
    if let Some(workers) = arguments.workers {
        runtime.max_blocking_threads(workers);
    }
    runtime.enable_all().build()
}

/// Waits for so long, on a blocking thread.
///
/// # Panics
///
/// Never: sleeping does not.
pub async fn nap(time: Duration) {
    task::spawn_blocking(move || thread::sleep(time))
        .await
        .expect("sleeping does not panic");
}

/// Computes for about so long, on a blocking thread.
///
/// # Panics
///
/// Never: computing does not.
pub async fn compute(time: Duration) {
    let permit = COMPUTING.acquire().await;
    task::spawn_blocking(move || spin(time))
        .await
        .expect("computing does not panic");
    drop(permit);
}
