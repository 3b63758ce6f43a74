//! A flag that one thread waits for. It stands for a thread's unpark token, and for the
//! event at which code of the application returns.

use crate::sync::Condvar;
use crate::sync::Mutex;

#[derive(Debug)]
pub(crate) struct Flag {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    pub(crate) fn new() -> Self {
        Self {
            set: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn set(&self) {
        *self.set.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// Waits until the flag is set, and resets it.
    pub(crate) fn wait(&self) {
        let mut set = self.set.lock().unwrap();
        while !*set {
            set = self.changed.wait(set).unwrap();
        }
        *set = false;
    }

    /// Resets the flag. Returns whether it was set.
    pub(crate) fn take(&self) -> bool {
        std::mem::take(&mut *self.set.lock().unwrap())
    }
}
