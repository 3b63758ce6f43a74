//! What wakes the monitor.

use loom::thread;

use crate::Model;
use crate::bell::Bell;
use crate::flag::Flag;
use crate::slot::Slot;
use crate::sync::Arc;
use crate::sync::Mutex;

pub(super) const MODELS: &[Model] = &[
    ("bell: a call begins", None, one_call),
    (
        "bell: a call begins after a quick one",
        Some(4),
        second_call,
    ),
    ("bell: two calls begin", Some(3), two_workers),
    ("bell: a deadline", None, deadline),
];

type Shared = Slot<(), (), ()>;

fn one_call() {
    calls(0);
}

fn second_call() {
    calls(1);
}

/// Quick calls, and then one that returns when the monitor has taken its job.
fn calls(quick: usize) {
    let (bell, slot) = (Arc::new(Bell::new()), Arc::new(Shared::new()));
    let retaken = Arc::new(Flag::new());
    let monitor = {
        let (bell, slot) = (Arc::clone(&bell), Arc::clone(&slot));
        let retaken = Arc::clone(&retaken);
        thread::spawn(move || {
            bell.answer();
            watch(&bell, &[(slot, retaken)], 1);
        })
    };
    for _ in 0..quick {
        begin(&bell, &slot);
        if slot.finish().is_none() {
            // The monitor was there at once.
            monitor.join().unwrap();
            return;
        }
    }
    begin(&bell, &slot);
    retaken.wait();
    assert!(slot.finish().is_none());
    monitor.join().unwrap();
}

fn two_workers() {
    let bell = Arc::new(Bell::new());
    let slots = [(); 2].map(|()| (Arc::new(Shared::new()), Arc::new(Flag::new())));
    let workers = slots.clone().map(|(slot, retaken)| {
        let bell = Arc::clone(&bell);
        thread::spawn(move || {
            begin(&bell, &slot);
            retaken.wait();
        })
    });
    bell.answer();
    watch(&bell, &slots, 2);
    for worker in workers {
        worker.join().unwrap();
    }
}

/// It is made known under the lock of its shard's slots.
fn deadline() {
    let (bell, due) = (Arc::new(Bell::new()), Arc::new(Mutex::new(false)));
    let monitor = {
        let (bell, due) = (Arc::clone(&bell), Arc::clone(&due));
        thread::spawn(move || {
            bell.answer();
            while !*due.lock().unwrap() {
                bell.sleep(None, || false);
            }
        })
    };
    *due.lock().unwrap() = true;
    bell.ring();
    monitor.join().unwrap();
}

/// As `Runner::enter`.
fn begin(bell: &Bell, slot: &Shared) {
    assert!(slot.begin((), None, Some(()), || false).is_ok());
    bell.ring_if_asleep();
}

/// As `monitor::run`, until it has taken so many jobs. It takes each at first
/// sight.
fn watch(bell: &Bell, slots: &[(Arc<Shared>, Arc<Flag>)], jobs: usize) {
    let mut taken = 0;
    loop {
        for (slot, retaken) in slots {
            if let Some(call) = slot.call()
                && slot.take_job(call).is_some()
            {
                retaken.set();
                taken += 1;
            }
        }
        if taken == jobs {
            return;
        }
        let has_call = || slots.iter().any(|(slot, _)| slot.call().is_some());
        if !has_call() {
            bell.sleep(None, has_call);
        }
    }
}
