//! Loom's primitives, which the server's files import as `crate::sync`.

pub(crate) use std::sync::PoisonError;

// Loom's `Arc` cannot be the type of `self`. It would also find leaked handles, which are
// not tested here.
pub(crate) use std::sync::Arc;

pub(crate) use loom::sync::Condvar;
pub(crate) use loom::sync::Mutex;
pub(crate) use loom::sync::MutexGuard;

/// Atomics whose accesses are all sequentially consistent.
///
/// Loom treats a load with `SeqCst` as a load with `Acquire`. Such a load may return an
/// old value, so that two threads may each miss the store of the other; with `SeqCst` this
/// cannot happen. A read-modify-write returns the last value in loom too, so every access
/// is one here. This is exact as long as every access is `SeqCst`: a file that uses
/// another ordering does not compile.
pub(crate) mod atomic {
    /// The only ordering.
    pub(crate) struct SeqCst;

    const ORDERING: std::sync::atomic::Ordering = std::sync::atomic::Ordering::SeqCst;

    #[derive(Debug)]
    pub(crate) struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            Self(loom::sync::atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, _: SeqCst) -> bool {
            self.0.fetch_or(false, ORDERING)
        }

        pub(crate) fn store(&self, value: bool, _: SeqCst) {
            self.0.swap(value, ORDERING);
        }

        pub(crate) fn swap(&self, value: bool, _: SeqCst) -> bool {
            self.0.swap(value, ORDERING)
        }
    }

    macro_rules! atomic_number {
        ($name:ident, $number:ty) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            #[allow(dead_code, reason = "not every type needs every method")]
            impl $name {
                pub(crate) fn new(value: $number) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, _: SeqCst) -> $number {
                    self.0.fetch_add(0, ORDERING)
                }

                pub(crate) fn store(&self, value: $number, _: SeqCst) {
                    self.0.swap(value, ORDERING);
                }

                pub(crate) fn fetch_add(&self, value: $number, _: SeqCst) -> $number {
                    self.0.fetch_add(value, ORDERING)
                }

                pub(crate) fn fetch_sub(&self, value: $number, _: SeqCst) -> $number {
                    self.0.fetch_sub(value, ORDERING)
                }
            }
        };
    }

    atomic_number!(AtomicIsize, isize);
    atomic_number!(AtomicU64, u64);
    atomic_number!(AtomicUsize, usize);
}

/// Threads that can park. Loom's own threads lose an unpark that happens while the thread
/// waits for a lock.
pub(crate) mod thread {
    use std::time::Duration;

    use loom::thread::yield_now;

    use super::Arc;
    use crate::flag::Flag;

    #[derive(Clone, Debug)]
    pub(crate) struct Thread(Arc<Flag>);

    impl Thread {
        pub(crate) fn unpark(&self) {
            self.0.set();
        }
    }

    loom::thread_local! {
        static CURRENT: Thread = Thread(Arc::new(Flag::new()));
    }

    pub(crate) fn current() -> Thread {
        CURRENT.with(Thread::clone)
    }

    pub(crate) fn park() {
        current().0.wait();
    }

    /// The timeout may pass at any moment.
    pub(crate) fn park_timeout(_: Duration) {
        yield_now();
        current().0.take();
    }
}

/// The channel of the run queue: a queue behind a lock.
pub(crate) mod channel {
    use std::collections::VecDeque;

    use super::Arc;
    use super::Mutex;

    #[derive(Debug)]
    struct Channel<T> {
        queue: VecDeque<T>,
        senders: usize,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Mutex<Channel<T>>>);

    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Mutex<Channel<T>>>);

    /// No receiver is left. This does not happen in the models.
    #[derive(Debug)]
    pub(crate) struct SendError<T>(pub(crate) T);

    #[derive(Debug)]
    pub(crate) enum TryRecvError {
        Empty,
        Disconnected,
    }

    pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Mutex::new(Channel {
            queue: VecDeque::new(),
            senders: 1,
        }));
        (Sender(Arc::clone(&channel)), Receiver(channel))
    }

    impl<T> Sender<T> {
        pub(crate) fn send(&self, item: T) -> Result<(), SendError<T>> {
            self.0.lock().unwrap().queue.push_back(item);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.lock().unwrap().senders -= 1;
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> {
            std::iter::from_fn(|| self.try_recv().ok())
        }

        pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
            let mut channel = self.0.lock().unwrap();
            match channel.queue.pop_front() {
                Some(item) => Ok(item),
                None if channel.senders == 0 => Err(TryRecvError::Disconnected),
                None => Err(TryRecvError::Empty),
            }
        }
    }
}
