//! The handshakes between threads, run in every order by [loom].
//!
//! The files of the server that have a handshake take their primitives from
//! `crate::sync`, and nearly nothing else from the server. They are compiled
//! here as they are, with loom's primitives (`sync`). What surrounds them in the
//! server (the loop of a worker, the poll of a shard, the monitor) is written
//! again in `models`: each function there names the one that it follows, and has
//! its steps in the same order.
//!
//! A wake-up that is lost shows as a deadlock, which loom reports; a connection or
//! a job that is in two hands, or in none, as an assertion that fails. Small models
//! run in every order there is; for the others it is bounded how often a thread
//! may lose the processor.
//!
//! ```console
//! $ cargo run --release --manifest-path tests/loom/Cargo.toml
//! $ cargo run --release --manifest-path tests/loom/Cargo.toml -- slot  # those with this in their names
//! ```
//!
//! [loom]: https://docs.rs/loom

#[path = "../../../src/engine/monitor_waker.rs"]
mod monitor_waker;
mod flag;
mod models;
#[path = "../../../src/engine/places.rs"]
mod places;
#[path = "../../../src/lifecycle/counts_watch.rs"]
mod counts_watch;
#[allow(dead_code, reason = "the models call less than the server")]
#[path = "../../../src/engine/run_queue.rs"]
mod run_queue;
#[path = "../../../src/engine/shard/sleep.rs"]
mod sleep;
#[allow(dead_code, reason = "the models call less than the server")]
#[path = "../../../src/engine/in_flight_slot.rs"]
mod in_flight_slot;
#[allow(dead_code, reason = "the models call less than the server")]
#[path = "../../../src/engine/shard/slots.rs"]
mod slots;
mod sync;
#[path = "../../../src/waiting.rs"]
mod waiting;

use std::env;
use std::io;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// In the place of the server's, which has more beside it.
mod lifecycle {
    pub(crate) mod phase {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Phase {
            Running,
            Draining,
            Aborting,
        }

        impl Phase {
            pub(crate) fn is_aborting(self) -> bool {
                self >= Self::Aborting
            }
        }
    }
}

/// In the place of the shard's, which has mio's source beside these.
pub(crate) trait Suspendable {
    fn note_eof(&mut self);
    fn is_idle(&self) -> bool;
    fn is_endless(&self) -> bool;
}

/// Its name; how often a thread may lose the processor to another one before it
/// has to wait (`None`: at every step), in an execution; and an execution.
type Model = (&'static str, Option<usize>, fn());

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    let mut models = models::all()
        .filter(|(name, ..)| name.contains(&wanted))
        .peekable();
    if models.peek().is_none() {
        eprintln!("no model has {wanted:?} in its name");
        return ExitCode::FAILURE;
    }
    for model in models {
        check(model);
    }
    ExitCode::SUCCESS
}

/// Panics if the model fails.
fn check(&(name, preemptions, run): &Model) {
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
    // First: so it is said which one fails.
    print!("{name}: ");
    io::stdout().flush().expect("stdout takes a line");
    EXECUTIONS.store(0, Relaxed);
    let began = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        EXECUTIONS.fetch_add(1, Relaxed);
        run();
    });
    let executions = EXECUTIONS.load(Relaxed);
    println!("{executions} executions, {:.1?}", began.elapsed());
}
