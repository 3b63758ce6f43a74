//! Calls code of the application, and catches its panics.

use std::mem;
use std::panic;
use std::panic::AssertUnwindSafe;

/// Code of the application panicked. The payload of the panic is dropped already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Calls code of the application: a handler, a drop, a callback, the logger. A
/// panic in it ends here. The threads of the server call such code in no other
/// way.
///
/// The code may block for ever. So a thread calls this only where a stop can leave
/// the thread behind.
pub(crate) fn isolate<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        // The payload is the application's too, so its drop may panic. The payload
        // of that second panic is leaked, because its drop may panic again.
        if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
        Panicked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics when it is dropped, with another `Bomb` as the payload.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::panic_any(Self);
        }
    }

    #[test]
    fn a_panic_and_the_panics_of_its_payload_are_caught() {
        assert_eq!(isolate(|| 1), Ok(1));
        assert_eq!(isolate(|| panic::panic_any(Bomb)), Err::<(), _>(Panicked));
    }
}
