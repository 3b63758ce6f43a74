//! The run queue: jobs that wait for a worker, and workers that wait for a job.
//!
//! The jobs are in a channel. A worker receives the job whose first connection has
//! waited longest; among equal jobs, the job that was sent first.
//! [`close`](RunQueue::close) drops the channel's sender; a worker that then finds
//! the channel empty ends its loop. Beside the channel is a stack of idle workers, so
//! that the worker that became idle last is woken first: its caches are warm.
//!
//! **The handshake with idle workers.** A worker that finds no job pushes itself on
//! the stack. A thread that sends a job pops a worker from the stack and wakes it. Both
//! hold the same lock meanwhile. So the sender finds the worker, or the worker finds
//! the job.
//!
//! **The handshake with owners that sleep.** A worker that owns a shard sleeps in its
//! poll. If no idle worker is left for a job, such an owner has to take it. The sender
//! sends the job, then counts it in `balance`, and then looks for an owner that sleeps
//! (`shard/sleep.rs`). An owner says that it sleeps, and then reads
//! [`is_behind`](RunQueue::is_behind). So the owner sees the job, or the sender sees
//! that the owner sleeps.

use std::mem;

use crate::sync::Arc;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::PoisonError;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::AtomicIsize;
use crate::sync::atomic::SeqCst;
use crate::sync::channel;
use crate::sync::channel::Receiver;
use crate::sync::channel::Sender;
use crate::sync::channel::TryRecvError;
use crate::sync::thread;
use crate::sync::thread::Thread;

/// What the queue needs to know about a job.
pub(crate) trait Queued {
    /// Whether this job is received before one that was sent earlier.
    fn goes_before(&self, earlier: &Self) -> bool;
}

/// See the module. `J` is the type of a job.
#[derive(Debug)]
pub(crate) struct RunQueue<J> {
    receiver: Receiver<J>,
    dispatch: Mutex<Dispatch<J>>,
    /// Workers in [`receive`](Self::receive), minus jobs that no worker has received.
    balance: AtomicIsize,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Dispatch<J> {
    /// `None` once the queue is closed.
    sender: Option<Sender<J>>,
    idle: Vec<Arc<IdleWorker>>,
}

/// A worker that waits for a job.
#[derive(Debug)]
struct IdleWorker {
    thread: Thread,
    woken: AtomicBool,
}

impl IdleWorker {
    fn wake(&self) {
        self.woken.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// Whether a job that was sent will be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentTo {
    /// An idle worker will receive it.
    IdleWorker,
    /// No idle worker is left for it. The caller has to wake an owner that sleeps.
    NoWorker,
}

impl<J: Queued> RunQueue<J> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = channel::unbounded();
        Self {
            receiver,
            dispatch: Mutex::new(Dispatch {
                sender: Some(sender),
                idle: Vec::new(),
            }),
            balance: AtomicIsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Sends a job, and wakes an idle worker for it.
    ///
    /// # Errors
    ///
    /// The queue is closed. The job is handed back.
    pub(crate) fn send(&self, job: J) -> Result<SentTo, J> {
        let mut dispatch = self.lock();
        let Some(sender) = &dispatch.sender else {
            return Err(job);
        };
        sender.send(job).map_err(|unsent| unsent.0)?;
        let workers = self.balance.fetch_sub(1, SeqCst);
        let idle = dispatch.idle.pop();
        drop(dispatch);
        if let Some(idle) = idle {
            idle.wake();
        }
        Ok(match workers > 0 {
            true => SentTo::IdleWorker,
            false => SentTo::NoWorker,
        })
    }

    /// Waits for a job. Returns `None` once the queue is closed and empty.
    pub(crate) fn receive(&self) -> Option<J> {
        self.balance.fetch_add(1, SeqCst);
        loop {
            let idle = {
                let mut dispatch = self.lock();
                match self.receiver.try_recv() {
                    Ok(job) => return Some(self.longest_waiting(job, &dispatch)),
                    Err(TryRecvError::Disconnected) => return None,
                    Err(TryRecvError::Empty) => {}
                }
                let idle = Arc::new(IdleWorker {
                    thread: thread::current(),
                    woken: AtomicBool::new(false),
                });
                dispatch.idle.push(Arc::clone(&idle));
                idle
            };
            while !idle.woken.load(SeqCst) {
                thread::park();
            }
        }
    }

    /// Returns the job that has waited longest: `first`, or a job behind it in the
    /// channel. The other jobs keep their order.
    fn longest_waiting(&self, mut first: J, dispatch: &Dispatch<J>) -> J {
        self.visit_waiting(dispatch, |job| {
            if job.goes_before(&first) {
                mem::swap(job, &mut first);
            }
        });
        first
    }

    /// Receives a job, if a job waits.
    pub(crate) fn try_receive(&self) -> Option<J> {
        // The lock keeps `for_each` from holding jobs outside of the channel meanwhile.
        let _dispatch = self.lock();
        let job = self.receiver.try_recv().ok()?;
        self.balance.fetch_add(1, SeqCst);
        Some(job)
    }

    /// Receives the first job that is `wanted`. The others keep their order.
    pub(crate) fn receive_first(&self, wanted: impl Fn(&J) -> bool) -> Option<J> {
        let mut first = None;
        let dispatch = self.lock();
        self.retain_waiting(&dispatch, |job| match first {
            None if wanted(&job) => {
                first = Some(job);
                None
            }
            _ => Some(job),
        });
        if first.is_some() {
            self.balance.fetch_add(1, SeqCst);
        }
        first
    }

    /// Workers that wait for a job, minus jobs that wait for a worker.
    pub(crate) fn balance(&self) -> isize {
        self.balance.load(SeqCst)
    }

    /// Calls `f` with each job that waits. The jobs keep their order. No job is sent or
    /// received meanwhile.
    pub(crate) fn for_each(&self, f: impl FnMut(&mut J)) {
        self.visit_waiting(&self.lock(), f);
    }

    /// As [`for_each`](Self::for_each), under the caller's lock.
    fn visit_waiting(&self, dispatch: &Dispatch<J>, mut f: impl FnMut(&mut J)) {
        self.retain_waiting(dispatch, |mut job| {
            f(&mut job);
            Some(job)
        });
    }

    /// Passes each job that waits to `f`. The job that `f` returns waits on. Once the queue
    /// is closed, a job could not be sent back, and none is passed.
    fn retain_waiting(&self, dispatch: &Dispatch<J>, f: impl FnMut(J) -> Option<J>) {
        let Some(sender) = &dispatch.sender else {
            return;
        };
        let waiting: Vec<J> = self.receiver.try_iter().collect();
        for job in waiting.into_iter().filter_map(f) {
            // The send does not fail: `self` has a receiver.
            let _ = sender.send(job);
        }
    }

    /// Whether more jobs wait than workers are idle.
    pub(crate) fn is_behind(&self) -> bool {
        self.balance() < 0
    }

    /// Refuses further jobs. The workers' loops end when the queue is empty. The caller
    /// wakes the owners that sleep.
    pub(crate) fn close(&self) {
        let idle = {
            let mut dispatch = self.lock();
            self.closed.store(true, SeqCst);
            dispatch.sender = None;
            mem::take(&mut dispatch.idle)
        };
        for idle in idle {
            idle.wake();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Ignores poison: a panic leaves the sender and the stack valid.
    fn lock(&self) -> MutexGuard<'_, Dispatch<J>> {
        self.dispatch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The tens of a job say how long it has waited; its units tell jobs apart.
    impl Queued for u32 {
        fn goes_before(&self, earlier: &Self) -> bool {
            self / 10 > earlier / 10
        }
    }

    /// A worker that is idle, receives one job and ends.
    fn idle_worker(queue: &Arc<RunQueue<u32>>) -> thread::JoinHandle<Option<u32>> {
        let before = queue.lock().idle.len();
        let its_queue = Arc::clone(queue);
        let worker = thread::spawn(move || its_queue.receive());
        while queue.lock().idle.len() == before {
            thread::yield_now();
        }
        worker
    }

    #[test]
    fn jobs_are_received_in_the_order_in_which_they_were_sent() {
        let queue = RunQueue::new();
        let jobs = || (0..100).map(|number| number % 10);
        for job in jobs() {
            assert_eq!(queue.send(job), Ok(SentTo::NoWorker));
        }
        for job in jobs() {
            assert!(queue.is_behind());
            assert_eq!(queue.receive(), Some(job));
        }
        assert!(!queue.is_behind());
        assert_eq!(queue.try_receive(), None);
    }

    #[test]
    fn a_job_that_has_waited_longer_is_received_before_the_others() {
        let queue = RunQueue::new();
        for job in [1, 20, 2, 11, 21] {
            queue.send(job).unwrap();
        }
        let received: Vec<_> = std::iter::repeat_with(|| queue.receive()).take(5).collect();
        assert_eq!(received, [20, 21, 11, 1, 2].map(Some));
    }

    #[test]
    fn the_first_job_that_is_wanted_is_received_and_the_others_keep_their_order() {
        let queue = RunQueue::new();
        for job in [1, 2, 3, 4] {
            queue.send(job).unwrap();
        }
        assert_eq!(queue.receive_first(|job| job % 2 == 0), Some(2));
        assert_eq!(queue.receive_first(|job| *job > 7), None);
        assert_eq!(queue.balance(), -3);
        let received: Vec<_> = std::iter::from_fn(|| queue.try_receive()).collect();
        assert_eq!(received, [1, 3, 4]);
        assert_eq!(queue.balance(), 0);
        queue.send(5).unwrap();
        queue.close();
        assert_eq!(queue.receive_first(|_| true), None);
        assert_eq!(queue.receive(), Some(5));
    }

    #[test]
    fn the_worker_that_became_idle_last_receives_first() {
        let queue = Arc::new(RunQueue::new());
        let first = idle_worker(&queue);
        let last = idle_worker(&queue);
        assert_eq!(queue.send(1), Ok(SentTo::IdleWorker));
        assert_eq!(last.join().unwrap(), Some(1));
        assert!(!queue.is_behind());
        assert_eq!(queue.send(2), Ok(SentTo::IdleWorker));
        assert_eq!(first.join().unwrap(), Some(2));
        assert_eq!(queue.send(3), Ok(SentTo::NoWorker));
        assert!(queue.is_behind());
    }

    #[test]
    fn a_job_that_another_worker_took_leaves_the_idle_one_idle() {
        let queue = Arc::new(RunQueue::new());
        let idle = idle_worker(&queue);
        queue.send(1).unwrap();
        // This thread or the idle worker receives the job, whichever is first.
        let taken = queue.try_receive();
        assert!(!queue.is_behind());
        if taken.is_some() {
            assert_eq!(queue.send(2), Ok(SentTo::IdleWorker));
        }
        let received = idle.join().unwrap();
        assert_eq!(received, Some(if taken.is_some() { 2 } else { 1 }));
    }

    #[test]
    fn a_closed_queue_hands_out_what_it_has_and_takes_no_more() {
        let queue = RunQueue::new();
        queue.send(1).unwrap();
        queue.send(2).unwrap();
        assert!(!queue.is_closed());
        queue.close();
        assert!(queue.is_closed());
        assert_eq!(queue.send(3), Err(3));
        assert_eq!(queue.receive(), Some(1));
        assert_eq!(queue.receive(), Some(2));
        assert_eq!(queue.receive(), None);
        assert_eq!(queue.receive(), None);
    }

    #[test]
    fn a_close_ends_the_wait_of_every_idle_worker() {
        let queue = Arc::new(RunQueue::new());
        let workers: Vec<_> = (0..4).map(|_| idle_worker(&queue)).collect();
        queue.close();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), None);
        }
    }

    #[test]
    fn jobs_that_wait_are_seen_in_their_order_and_keep_it() {
        let queue = RunQueue::new();
        for job in [1, 2, 3] {
            queue.send(job).unwrap();
        }
        let mut seen = Vec::new();
        queue.for_each(|job| {
            seen.push(*job);
            *job *= 10;
        });
        assert_eq!(seen, [1, 2, 3]);
        assert!(queue.is_behind());
        let received: Vec<_> = std::iter::from_fn(|| queue.try_receive()).collect();
        assert_eq!(received, [10, 20, 30]);
        assert!(!queue.is_behind());
        queue.close();
        queue.for_each(|_| panic!("a job of a closed queue cannot be sent back"));
    }
}
