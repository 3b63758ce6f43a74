//! A worker's slot against the monitor, which takes the job, and an abort, which
//! takes the connection.

use loom::thread;
use loom::thread::JoinHandle;

use crate::Model;
use crate::flag::Flag;
use crate::in_flight_slot::InFlightSlot;
use crate::sync::Arc;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::SeqCst;

pub(super) const MODELS: &[Model] = &[
    ("slot: the monitor takes the job", None, one_call),
    ("slot: the next call keeps its job", Some(4), two_calls),
    ("slot: an abort and a call that returns", None, abort),
    ("slot: an abort and a call that blocks", None, abort_blocked),
    ("slot: an abort and the monitor", None, abort_and_monitor),
];

struct Connection;

type Shared = InFlightSlot<Connection, usize, ()>;

fn one_call() {
    calls(1);
}

fn two_calls() {
    calls(2);
}

/// Makes one call after another. The job of each call is the number of the call.
fn calls(number: usize) {
    let slot = Arc::new(Shared::new());
    let monitor = spawn_monitor(&slot);
    let returned: Vec<_> = (1..=number)
        .map(|call| {
            let begun = slot.begin((), Connection, Some(call), || false);
            assert!(begun.is_ok());
            slot.end().expect("no abort takes the connection").1
        })
        .collect();
    let taken = monitor.join().unwrap();
    for (call, job) in (1..).zip(returned) {
        assert_eq!(job.is_none(), taken == Some(call), "one thread has the job");
        assert!(job.is_none_or(|job| job == call), "the call's own job");
    }
}

/// As `Retake::look`, twice. The thread returns the job that it has taken.
fn spawn_monitor(slot: &Arc<Shared>) -> JoinHandle<Option<usize>> {
    let slot = Arc::clone(slot);
    thread::spawn(move || {
        let seen = slot.call()?;
        let job = match slot.call() {
            Some(call) if call == seen => slot.take_job(call)?,
            _ => return None,
        };
        // The number of the first call is 1, of the second call 3.
        let of_call = usize::try_from(seen).unwrap().div_ceil(2);
        assert_eq!(job, of_call, "the monitor saw this call twice");
        Some(job)
    })
}

fn abort() {
    let slot = Arc::new(Shared::new());
    let aborting = Arc::new(AtomicBool::new(false));
    let owner = {
        let (slot, aborting) = (Arc::clone(&slot), Arc::clone(&aborting));
        thread::spawn(move || call(&slot, &aborting, || {}))
    };
    aborting.store(true, SeqCst);
    let (connection, job) = take(&slot);
    assert_one_owner(owner.join().unwrap(), connection, job);
}

/// The code returns only after its connection is cut.
fn abort_blocked() {
    let slot = Arc::new(Shared::new());
    let (aborting, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Flag::new()));
    let owner = {
        let (slot, aborting) = (Arc::clone(&slot), Arc::clone(&aborting));
        let cut = Arc::clone(&cut);
        thread::spawn(move || call(&slot, &aborting, || cut.wait()))
    };
    aborting.store(true, SeqCst);
    let (connection, job) = take(&slot);
    if connection.is_some() {
        cut.set();
    }
    assert_one_owner(owner.join().unwrap(), connection, job);
}

fn abort_and_monitor() {
    let slot = Arc::new(Shared::new());
    let aborting = Arc::new(AtomicBool::new(false));
    let owner = {
        let (slot, aborting) = (Arc::clone(&slot), Arc::clone(&aborting));
        thread::spawn(move || call(&slot, &aborting, || {}))
    };
    let monitor = spawn_monitor(&slot);
    aborting.store(true, SeqCst);
    let (connection, job) = take(&slot);
    let retaken = monitor.join().unwrap();
    assert!(
        job.is_none() || retaken.is_none(),
        "the abort or the monitor has the job"
    );
    assert_one_owner(owner.join().unwrap(), connection, job.or(retaken));
}

/// What the worker has after the call.
struct Kept {
    refused: bool,
    connection: Option<Connection>,
    job: Option<usize>,
}

/// As `Runner::begin` and `Runner::run`.
fn call(slot: &Shared, aborting: &AtomicBool, code: impl FnOnce()) -> Kept {
    let refused = || aborting.load(SeqCst);
    if let Err((connection, job)) = slot.begin((), Connection, Some(1), refused) {
        return Kept {
            refused: true,
            connection: Some(connection),
            job,
        };
    }
    code();
    let (connection, job) = match slot.end() {
        Some((connection, job)) => (Some(connection), job),
        None => (None, slot.finish()),
    };
    Kept {
        refused: false,
        connection,
        job,
    }
}

/// As `WorkerPool::abort_running`, after the phase is set.
fn take(slot: &Shared) -> (Option<Connection>, Option<usize>) {
    let connection = slot.take_connection(|_| true, |_, ()| ());
    (connection, slot.take_any_job())
}

fn assert_one_owner(kept: Kept, connection: Option<Connection>, job: Option<usize>) {
    let taken = connection.is_some();
    assert_ne!(
        kept.connection.is_some(),
        taken,
        "one thread has the connection"
    );
    assert_ne!(kept.job.is_some(), job.is_some(), "one thread has the job");
    assert!(!kept.refused || !taken, "a refused connection is not taken");
}
