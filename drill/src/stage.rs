//! What the threads of one round tell each other.

use std::io;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use super::Failure;
use super::server::Exit;

/// Shared by the clients, the thread that waits for the server's end, and the
/// one that conducts the round.
#[derive(Debug, Default)]
pub(super) struct Stage {
    scene: Mutex<Scene>,
    changed: Condvar,
    /// The moment just before the server was told to stop.
    stop: OnceLock<Instant>,
    /// The server has ended: no client begins another attempt. It says the same
    /// as `scene.exit`, without the lock.
    over: AtomicBool,
}

/// What can be waited for.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) exit: Option<Exit>,
    /// Whether a client has been answered, by an expected status or one below
    /// 500.
    pub(super) answered: bool,
    /// The request to stop was answered with a status that is none of success.
    pub(super) stop_refused: bool,
    /// Clients that run.
    pub(super) clients: usize,
    /// Why this machine cannot go on.
    pub(super) obstacle: Option<io::Error>,
}

impl Scene {
    /// An error if this machine cannot go on.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match &self.obstacle {
            Some(error) => Err(Failure::error(format!(
                "no connection can be made from here: {error}"
            ))),
            None => Ok(()),
        }
    }
}

impl Stage {
    /// Waits until this holds, or until then. Returns whether it holds.
    pub(super) fn wait(&self, until: Instant, holds: impl Fn(&Scene) -> bool) -> bool {
        let mut scene = self.scene();
        loop {
            if holds(&scene) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (scene, _) = self
                .changed
                .wait_timeout(scene, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Changes what can be waited for.
    pub(super) fn change(&self, change: impl FnOnce(&mut Scene)) {
        let mut scene = self.scene();
        change(&mut scene);
        if scene.exit.is_some() {
            self.over.store(true, Relaxed);
        }
        drop(scene);
        self.changed.notify_all();
    }

    pub(super) fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The moment of the stop, which is now.
    pub(super) fn stop_now(&self) -> Instant {
        *self.stop.get_or_init(Instant::now)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.get().is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Sleeps, but not beyond the server's end. Returns whether it goes on.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        !self.wait(Instant::now() + time, |scene| scene.exit.is_some())
    }
}
