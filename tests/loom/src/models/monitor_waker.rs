//! The bell, which wakes the monitor.

use loom::thread;

use crate::Model;
use crate::monitor_waker::MonitorWaker;
use crate::flag::Flag;
use crate::in_flight_slot::InFlightSlot;
use crate::sync::Arc;
use crate::sync::Mutex;

pub(super) const MODELS: &[Model] = &[
    ("monitor waker: a call begins", None, one_call),
    (
        "monitor waker: a call begins after a quick one",
        Some(4),
        second_call,
    ),
    ("monitor waker: two calls begin", Some(3), two_workers),
    ("monitor waker: a deadline", None, deadline),
];

type Shared = InFlightSlot<(), (), ()>;

fn one_call() {
    calls(0);
}

fn second_call() {
    calls(1);
}

/// Makes some quick calls, and then a call that returns after the monitor has taken its
/// job.
fn calls(quick: usize) {
    let (waker, slot) = (Arc::new(MonitorWaker::new()), Arc::new(Shared::new()));
    let retaken = Arc::new(Flag::new());
    let monitor = {
        let (waker, slot) = (Arc::clone(&waker), Arc::clone(&slot));
        let retaken = Arc::clone(&retaken);
        thread::spawn(move || {
            waker.register_thread();
            watch(&waker, &[(slot, retaken)], 1);
        })
    };
    for _ in 0..quick {
        begin(&waker, &slot);
        if slot.finish().is_none() {
            // The monitor has taken the job of this call already.
            monitor.join().unwrap();
            return;
        }
    }
    begin(&waker, &slot);
    retaken.wait();
    assert!(slot.finish().is_none());
    monitor.join().unwrap();
}

fn two_workers() {
    let waker = Arc::new(MonitorWaker::new());
    let slots = [(); 2].map(|()| (Arc::new(Shared::new()), Arc::new(Flag::new())));
    let workers = slots.clone().map(|(slot, retaken)| {
        let waker = Arc::clone(&waker);
        thread::spawn(move || {
            begin(&waker, &slot);
            retaken.wait();
        })
    });
    waker.register_thread();
    watch(&waker, &slots, 2);
    for worker in workers {
        worker.join().unwrap();
    }
}

/// A deadline is added under the lock of its shard's slots.
fn deadline() {
    let (waker, due) = (Arc::new(MonitorWaker::new()), Arc::new(Mutex::new(false)));
    let monitor = {
        let (waker, due) = (Arc::clone(&waker), Arc::clone(&due));
        thread::spawn(move || {
            waker.register_thread();
            while !*due.lock().unwrap() {
                waker.sleep(None, || false);
            }
        })
    };
    *due.lock().unwrap() = true;
    waker.wake();
    monitor.join().unwrap();
}

/// As `Runner::begin_alone`.
fn begin(waker: &MonitorWaker, slot: &Shared) {
    slot.begin_alone((), Some(()));
    waker.wake_if_asleep();
}

/// As `monitor::run`, until it has taken so many jobs. It takes each job when it first
/// sees the call.
fn watch(waker: &MonitorWaker, slots: &[(Arc<Shared>, Arc<Flag>)], jobs: usize) {
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
            waker.sleep(None, has_call);
        }
    }
}
