//! The run queue against owners that sleep in their polls.

use std::time::Duration;

use loom::thread;

use super::poll::Poll;
use crate::Model;
use crate::monitor_waker::MonitorWaker;
use crate::run_queue::RunQueue;
use crate::run_queue::SentTo;
use crate::sleep::Sleep;
use crate::sync::Arc;

pub(super) const MODELS: &[Model] = &[
    ("sleep: a job finds the owner", None, one_owner),
    ("sleep: a job finds an owner of two", Some(4), two_owners),
    ("sleep: a job finds the monitor", None, monitor),
    ("sleep: a close wakes the owner", None, close),
];

/// The job that an owner has. The job that is sent is 1.
const OWN: u8 = 0;

fn one_owner() {
    let engine = Arc::new(Engine::new(1));
    let owner = {
        let engine = Arc::clone(&engine);
        thread::spawn(move || {
            engine.own_until_behind(0);
            // As `Worker::own`: the jobs are received in the order in which they were sent.
            engine.hand_off(OWN);
            engine.queue.receive()
        })
    };
    engine.hand_off(1);
    assert_eq!(owner.join().unwrap(), Some(1));
}

/// The second owner ends when the queue is closed.
fn two_owners() {
    let engine = Arc::new(Engine::new(2));
    let owners = [0, 1].map(|number| {
        let engine = Arc::clone(&engine);
        thread::spawn(move || {
            engine.own_until_behind(number);
            let job = engine.queue.receive();
            engine.close();
            job
        })
    });
    engine.hand_off(1);
    let mut received = owners.map(|owner| owner.join().unwrap());
    received.sort();
    assert_eq!(received, [None, Some(1)]);
}

/// No owner sleeps, so the monitor has to see that the job waits.
fn monitor() {
    let engine = Arc::new(Engine::new(1));
    let monitor = {
        let engine = Arc::clone(&engine);
        thread::spawn(move || {
            let behind = || engine.queue.is_behind();
            engine.monitor_waker.register_thread();
            // As `monitor::run`.
            while !behind() {
                engine.monitor_waker.sleep(None, behind);
            }
        })
    };
    engine.hand_off(1);
    monitor.join().unwrap();
}

fn close() {
    let engine = Arc::new(Engine::new(1));
    let owner = {
        let engine = Arc::clone(&engine);
        thread::spawn(move || engine.own_until_behind(0))
    };
    engine.close();
    owner.join().unwrap();
    assert!(engine.queue.is_closed());
}

struct Engine {
    queue: RunQueue<u8>,
    shards: Vec<Shard>,
    monitor_waker: MonitorWaker,
}

struct Shard {
    sleep: Sleep,
    poll: Poll,
}

impl Engine {
    /// Each shard has an owner, which has received its job.
    fn new(shards: u8) -> Self {
        let queue = RunQueue::new();
        for _ in 0..shards {
            assert_eq!(queue.send(OWN), Ok(SentTo::NoWorker));
            assert_eq!(queue.receive(), Some(OWN));
        }
        let shard = |_| Shard {
            sleep: Sleep::new(),
            poll: Poll::new(),
        };
        Self {
            queue,
            shards: (0..shards).map(shard).collect(),
            monitor_waker: MonitorWaker::new(),
        }
    }

    /// As `Engine::hand_off`.
    fn hand_off(&self, job: u8) {
        match self.queue.send(job) {
            Ok(SentTo::IdleWorker) => {}
            Ok(SentTo::NoWorker) => {
                if !self.shards.iter().any(Shard::interrupt) {
                    self.monitor_waker.wake_if_asleep();
                }
            }
            Err(_) => unreachable!("the queue is open"),
        }
    }

    /// As `Engine::close`.
    fn close(&self) {
        self.queue.close();
        for shard in &self.shards {
            shard.interrupt();
        }
        self.monitor_waker.wake();
    }

    /// As `Worker::own`, without a connection.
    fn own_until_behind(&self, shard: usize) {
        let queue = &self.queue;
        while !queue.is_closed() && !queue.is_behind() {
            self.shards[shard].poll(|| !queue.is_behind() && !queue.is_closed());
        }
    }
}

impl Shard {
    /// As `Shard::interrupt`.
    fn interrupt(&self) -> bool {
        let asleep = self.sleep.interrupt();
        if asleep {
            self.poll.wake();
        }
        asleep
    }

    /// As `Job::poll`, without a connection.
    fn poll(&self, may_sleep: impl FnOnce() -> bool) {
        self.sleep.begin();
        let timeout = match may_sleep() {
            true => None,
            false => Some(Duration::ZERO),
        };
        self.poll.poll(timeout);
        self.sleep.end();
    }
}
