//! Whether the server is alive: what a watchdog is told.
//!
//! It is alive if the requests that are ready get workers. It is not if, from one look to
//! the next, connections wait for a worker, no request has begun or ended meanwhile, and
//! fewer requests are in progress than there are workers: so a worker must be free, and
//! takes nothing. Handlers that are slow, or hang, all of them, do not make it dead, because
//! a restart would not make them quicker, and would cut them.
//!
//! A look that takes a lock which the server never releases does not return. Then the
//! watchdog is told nothing either.

use farewell::ShutdownHandle;

/// The numbers of one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    /// Connections that are ready and wait for a worker.
    waiting: usize,
    /// Requests that may hold a worker.
    in_progress: usize,
    /// Requests that have begun or ended: what only grows. Connections that are accepted do not
    /// count, because no worker accepts them.
    done: u64,
}

/// What the look before has seen.
#[derive(Debug, Default)]
pub(super) struct Liveness(Option<Look>);

impl Liveness {
    /// Looks again.
    pub(super) fn is_alive(&mut self, stop: &ShutdownHandle, workers: usize) -> bool {
        let (counts, totals) = (stop.counts(), stop.metrics().totals());
        let look = Look {
            waiting: counts.waiting,
            in_progress: counts.in_progress,
            done: totals.begun + totals.requests.total(),
        };
        self.judge(look, workers)
    }

    fn judge(&mut self, look: Look, workers: usize) -> bool {
        let before = self.0.replace(look);
        let has_waited = before.is_some_and(|before| before.waiting > 0 && look.waiting > 0);
        let has_moved = before.is_none_or(|before| before.done != look.done);
        !has_waited || has_moved || look.in_progress >= workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(waiting: usize, in_progress: usize, done: u64) -> Look {
        Look {
            waiting,
            in_progress,
            done,
        }
    }

    /// Whether the second look finds a server with 4 workers alive.
    fn second(first: Look, second: Look) -> bool {
        let mut liveness = Liveness::default();
        assert!(liveness.judge(first, 4));
        liveness.judge(second, 4)
    }

    #[test]
    fn a_server_that_takes_requests_or_has_none_is_alive() {
        assert!(second(look(0, 0, 1), look(0, 0, 1)));
        assert!(second(look(9, 2, 1), look(9, 2, 2)));
        assert!(second(look(9, 2, 1), look(0, 2, 1)));
        assert!(second(look(0, 2, 1), look(9, 2, 1)));
    }

    #[test]
    fn handlers_that_hang_do_not_make_it_dead() {
        assert!(second(look(9, 4, 1), look(9, 4, 1)));
    }

    #[test]
    fn a_server_with_a_free_worker_that_takes_nothing_is_dead() {
        assert!(!second(look(1, 3, 1), look(1, 3, 1)));
        assert!(!second(look(9, 0, 1), look(5, 0, 1)));
    }
}
