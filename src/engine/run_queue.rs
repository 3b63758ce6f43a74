//! The run queue: jobs that wait for a worker, and workers that wait for a job.
//!
//! The jobs are in a channel, first in, first out. [`close`](RunQueue::close)
//! drops its sender; a worker that then finds the channel empty ends its loop.
//! Beside the channel stands a stack of idle workers, so that the last one to
//! become idle, whose caches are warm, is woken first.
//!
//! **The handshake with idle workers.** A worker that finds no job enters the
//! stack, and a job that is sent wakes the top of the stack, both under one
//! lock. So a job finds an idle worker, or the worker finds the job.
//!
//! **The handshake with owners that sleep.** A worker that owns a shard sleeps
//! in its poll. If no idle worker is left for a job, one of these has to take
//! it. The sender sends, then accounts for the job in `balance`, and then looks
//! for an owner that sleeps (`shard/sleep.rs`); an owner says that
//! it sleeps, and then looks at [`is_behind`](RunQueue::is_behind). So the owner
//! sees the job, or the sender sees that the owner sleeps.

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

/// See the module. `J` is the type of a job.
#[derive(Debug)]
pub(crate) struct RunQueue<J> {
    receiver: Receiver<J>,
    state: Mutex<State<J>>,
    /// Workers in [`receive`](Self::receive), less jobs that none has received.
    balance: AtomicIsize,
    closed: AtomicBool,
}

#[derive(Debug)]
struct State<J> {
    /// `None` once the queue is closed.
    sender: Option<Sender<J>>,
    idle: Vec<Arc<Idle>>,
}

/// A worker that waits for a job.
#[derive(Debug)]
struct Idle {
    thread: Thread,
    woken: AtomicBool,
}

impl Idle {
    fn wake(&self) {
        self.woken.store(true, SeqCst);
        self.thread.unpark();
    }
}

/// What a job that was sent still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing: a worker will receive it.
    ToWorker,
    /// No idle worker is left for it: an owner that sleeps has to be woken.
    ToNone,
}

impl<J> RunQueue<J> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = channel::unbounded();
        Self {
            receiver,
            state: Mutex::new(State {
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
    /// The queue is closed: the job comes back.
    pub(crate) fn send(&self, job: J) -> Result<Sent, J> {
        let mut state = self.lock();
        let Some(sender) = &state.sender else {
            return Err(job);
        };
        sender.send(job).map_err(|unsent| unsent.0)?;
        let workers = self.balance.fetch_sub(1, SeqCst);
        let idle = state.idle.pop();
        drop(state);
        if let Some(idle) = idle {
            idle.wake();
        }
        Ok(match workers > 0 {
            true => Sent::ToWorker,
            false => Sent::ToNone,
        })
    }

    /// Waits for a job. `None` once the queue is closed and empty.
    pub(crate) fn receive(&self) -> Option<J> {
        self.balance.fetch_add(1, SeqCst);
        loop {
            let idle = {
                let mut state = self.lock();
                match self.receiver.try_recv() {
                    Ok(job) => return Some(job),
                    Err(TryRecvError::Disconnected) => return None,
                    Err(TryRecvError::Empty) => {}
                }
                let idle = Arc::new(Idle {
                    thread: thread::current(),
                    woken: AtomicBool::new(false),
                });
                state.idle.push(Arc::clone(&idle));
                idle
            };
            while !idle.woken.load(SeqCst) {
                thread::park();
            }
        }
    }

    /// A job, if one waits.
    pub(crate) fn try_receive(&self) -> Option<J> {
        let job = self.receiver.try_recv().ok()?;
        self.balance.fetch_add(1, SeqCst);
        Some(job)
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Workers that wait for a job, less jobs that wait for a worker.
    pub(crate) fn balance(&self) -> isize {
        self.balance.load(SeqCst)
    }

    /// Whether jobs wait for which no worker is idle.
    pub(crate) fn is_behind(&self) -> bool {
        self.balance() < 0
    }

    /// Takes no more jobs; the workers' loops end when the queue is empty. The
    /// caller wakes the owners that sleep.
    pub(crate) fn close(&self) {
        let idle = {
            let mut state = self.lock();
            self.closed.store(true, SeqCst);
            state.sender = None;
            std::mem::take(&mut state.idle)
        };
        for idle in idle {
            idle.wake();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Whatever panicked, the sender and the stack are whole.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
