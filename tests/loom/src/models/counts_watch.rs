//! Threads that wait for a count.

use loom::thread;

use crate::Model;
use crate::counts_watch::CountsWatch;
use crate::sync::Arc;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::SeqCst;

pub(super) const MODELS: &[Model] = &[
    ("counts watch: a change", None, one_change),
    ("counts watch: two changes", Some(4), two_changes),
    ("counts watch: two watchers", Some(4), two_watchers),
];

fn one_change() {
    changes(1);
}

fn two_changes() {
    changes(2);
}

/// Makes each change on a thread of its own. The watcher waits until all are made.
fn changes(number: usize) {
    let shared = Arc::new(Shared::default());
    let watcher = spawn_watcher(&shared, number);
    let other = (number == 2).then(|| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || shared.add())
    });
    shared.add();
    assert!(watcher.join().unwrap());
    if let Some(other) = other {
        other.join().unwrap();
    }
}

fn two_watchers() {
    let shared = Arc::new(Shared::default());
    let watchers = [spawn_watcher(&shared, 1), spawn_watcher(&shared, 1)];
    shared.add();
    for watcher in watchers {
        assert!(watcher.join().unwrap());
    }
}

#[derive(Default)]
struct Shared {
    watch: CountsWatch,
    count: AtomicUsize,
}

impl Shared {
    /// As every count: it first changes, and then calls `Lifecycle::counts_changed`.
    fn add(&self) {
        self.count.fetch_add(1, SeqCst);
        self.watch.changed();
    }
}

fn spawn_watcher(shared: &Arc<Shared>, number: usize) -> thread::JoinHandle<bool> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let reached = || shared.count.load(SeqCst) == number;
        shared.watch.wait(None, reached)
    })
}
