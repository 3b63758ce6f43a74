//! The handshakes between threads, run in every order by [loom].
//!
//! The files of the server that have a handshake take their primitives from
//! `crate::sync`, and import almost nothing else. They are compiled here unchanged, with
//! loom's primitives (`sync`). The code around them (the loop of a worker, the poll of a
//! shard, the monitor) is written again in `models`: each function there names the
//! function of the server that it follows, and has the same steps in the same order.
//!
//! A lost wake-up shows as a deadlock, which loom reports. A connection or a job that
//! two threads have, or none, fails an assertion. Small models run in every possible
//! order. For the others, the number of preemptions of a thread is bounded.
//!
//! ```console
//! $ cargo run --release --manifest-path tests/loom/Cargo.toml
//! $ cargo run --release --manifest-path tests/loom/Cargo.toml -- slot  # the models with `slot` in their names
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
#[allow(dead_code, reason = "the models call less than the server")]
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

/// Replaces the server's module of this name, of which only `Phase` is needed.
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

/// In the place of the shard's.
pub(crate) trait Suspendable {
    fn note_eof(&mut self);
    fn is_idle(&self) -> bool;
    fn is_endless(&self) -> bool;
}

/// The name; how often a thread may be preempted in an execution (`None`: at every step);
/// and the function that runs one execution.
type Model = (&'static str, Option<usize>, fn());

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    let mut models = models::all()
        .filter(|(name, ..)| name.contains(&wanted))
        .peekable();
    if models.peek().is_none() {
        eprintln!("no model's name contains {wanted:?}");
        return ExitCode::FAILURE;
    }
    for model in models {
        check(model);
    }
    ExitCode::SUCCESS
}

/// Runs a model in every order. Panics if it fails.
fn check(&(name, preemptions, run): &Model) {
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
    // The name is printed first, so that it is there if the model panics.
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
