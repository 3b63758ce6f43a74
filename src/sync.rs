//! The synchronization primitives of every handshake between threads. The models
//! in `tests/loom/` compile the same files with those of `loom` instead.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::Condvar;
pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::MutexGuard;
pub(crate) use std::sync::PoisonError;

/// Atomics.
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::AtomicBool;
    pub(crate) use std::sync::atomic::AtomicIsize;
    pub(crate) use std::sync::atomic::AtomicU64;
    pub(crate) use std::sync::atomic::AtomicUsize;
    pub(crate) use std::sync::atomic::Ordering::Relaxed;
    pub(crate) use std::sync::atomic::Ordering::SeqCst;
}

/// Threads that park themselves.
pub(crate) mod thread {
    pub(crate) use std::thread::Thread;
    pub(crate) use std::thread::current;
    pub(crate) use std::thread::park;
    pub(crate) use std::thread::park_timeout;
}

/// The channel of the run queue. In the models it is a queue behind a lock.
pub(crate) mod channel {
    pub(crate) use crossbeam_channel::Receiver;
    pub(crate) use crossbeam_channel::Sender;
    pub(crate) use crossbeam_channel::TryRecvError;
    pub(crate) use crossbeam_channel::unbounded;
}
