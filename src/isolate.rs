//! Code of the application, and what is left of it when it panics.

use std::mem;
use std::panic;
use std::panic::AssertUnwindSafe;

/// Code of the application panicked. What it panicked with is dropped already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Calls code of the application: a handler, a drop, a callback, the logger. No
/// thread of the server calls any in another way. A panic in it ends here.
///
/// It may block for ever. So it is called only where a stop can leave the thread
/// behind.
pub(crate) fn isolate<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        // The payload is the application's as well, and its drop may panic in
        // turn. What that panics with is leaked: there has to be an end.
        if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
        Panicked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics when it is dropped, with one more of itself.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic::panic_any(Self);
        }
    }

    #[test]
    fn a_panic_ends_here_and_so_do_those_of_its_payload() {
        assert_eq!(isolate(|| 1), Ok(1));
        assert_eq!(isolate(|| panic::panic_any(Bomb)), Err::<(), _>(Panicked));
    }
}
