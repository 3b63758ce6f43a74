//! The run queue against workers that become idle.

use loom::thread;

use crate::Model;
use crate::run_queue::Queued;
use crate::run_queue::RunQueue;
use crate::sync::Arc;

pub(super) const MODELS: &[Model] = &[
    ("run queue: a job finds the worker", None, one_job),
    ("run queue: two jobs, two workers", Some(4), two_jobs),
    ("run queue: a job that is sent on", Some(4), sent_on),
    (
        "run queue: a job that the reserve sends on",
        Some(4),
        sent_on_by_the_reserve,
    ),
    ("run queue: a close wakes every worker", Some(4), close),
    ("run queue: a close after a job", None, close_after_job),
];

/// Jobs keep the order of the channel. These models test only that no job is lost.
impl Queued for u8 {
    fn goes_before(&self, _earlier: &Self) -> bool {
        false
    }
}

fn one_job() {
    let queue = Arc::new(RunQueue::new());
    let worker = spawn_receive(&queue);
    queue.send(1).unwrap();
    assert_eq!(worker.join().unwrap(), Some(1));
    assert!(!queue.is_behind());
}

fn two_jobs() {
    let queue = Arc::new(RunQueue::new());
    let workers = [spawn_receive(&queue), spawn_receive(&queue)];
    queue.send(1).unwrap();
    queue.send(2).unwrap();
    let mut received = workers.map(|worker| worker.join().unwrap());
    received.sort();
    assert_eq!(received, [Some(1), Some(2)]);
    assert!(!queue.is_behind());
}

/// An owner receives a job and sends it again. A worker that was woken for it
/// meanwhile finds no job, and has to be woken again.
fn sent_on() {
    sends_on(RunQueue::try_receive);
}

/// As an owner, the reserve.
fn sent_on_by_the_reserve() {
    sends_on(|queue| queue.receive_first(|job| *job == 1));
}

fn sends_on(receive: fn(&RunQueue<u8>) -> Option<u8>) {
    let queue = Arc::new(RunQueue::new());
    let worker = spawn_receive(&queue);
    let other = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || {
            if let Some(job) = receive(&queue) {
                queue.send(job).unwrap();
            }
        })
    };
    queue.send(1).unwrap();
    assert_eq!(worker.join().unwrap(), Some(1));
    other.join().unwrap();
    assert!(!queue.is_behind());
}

fn close() {
    let queue = Arc::new(RunQueue::<u8>::new());
    let workers = [spawn_receive(&queue), spawn_receive(&queue)];
    queue.close();
    for worker in workers {
        assert_eq!(worker.join().unwrap(), None);
    }
    assert!(queue.send(1).is_err());
}

fn close_after_job() {
    let queue = Arc::new(RunQueue::new());
    let worker = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || [queue.receive(), queue.receive()])
    };
    queue.send(1).unwrap();
    queue.close();
    assert_eq!(worker.join().unwrap(), [Some(1), None]);
}

fn spawn_receive(queue: &Arc<RunQueue<u8>>) -> thread::JoinHandle<Option<u8>> {
    let queue = Arc::clone(queue);
    thread::spawn(move || queue.receive())
}
