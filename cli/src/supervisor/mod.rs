//! What the program tells the supervisor that has started it, as systemd wants to know it
//! (sd_notify(3)): that it is ready, what it does, that it stops and how long that may take,
//! and that it is alive.
//!
//! Without `NOTIFY_SOCKET` nothing of this happens. A message never waits: if the supervisor
//! does not read, it is sent again at the next occasion, as it is then.

mod liveness;
mod notify_socket;

use std::env;
use std::process;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use farewell::Config;
use farewell::Phase;
use farewell::ShutdownHandle;

use self::liveness::Liveness;
use self::notify_socket::NotifySocket;

/// The shortest time between two messages about the counts, and the longest between two
/// about the time that a stop still needs.
const INTERVAL: Duration = Duration::from_secs(1);

/// How much longer than its deadline a stop may take, besides twice the linger: the time
/// for code that does not return, for the listener for operators, and for output that
/// blocks.
const OUTPUT_MAX: Duration = Duration::from_secs(2);

/// What the program tells its supervisor.
#[derive(Debug)]
pub(super) struct Supervisor {
    target: Option<NotifyTarget>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct NotifyTarget {
    socket: Arc<NotifySocket>,
    stop: ShutdownHandle,
    config: Config,
    /// Another process has taken over, and tells the rest.
    is_replaced: Arc<AtomicBool>,
}

impl Supervisor {
    /// The supervisor that the environment names. It is told nothing yet.
    pub(super) fn of_environment(stop: &ShutdownHandle, config: &Config) -> Self {
        let target = NotifySocket::of_environment().map(|socket| NotifyTarget {
            socket: Arc::new(socket),
            stop: stop.clone(),
            config: config.clone(),
            is_replaced: Arc::default(),
        });
        Self {
            target,
            thread: Mutex::default(),
        }
    }

    /// Tells it that the program is ready, once it accepts connections, and all that follows.
    pub(super) fn begin(&self) {
        let Some(target) = &self.target else {
            return;
        };
        let notifier = Notifier {
            socket: Arc::clone(&target.socket),
            stop: target.stop.clone(),
            config: target.config.clone(),
            is_replaced: Arc::clone(&target.is_replaced),
            watchdog: watchdog(),
            sent: Sent::default(),
        };
        let thread = thread::Builder::new()
            .name("farewell-notify".to_owned())
            .spawn(move || notifier.run());
        match thread {
            Ok(thread) => *self.lock() = Some(thread),
            Err(error) => {
                log::error!("cannot tell the supervisor that the program is ready: {error}")
            }
        }
    }

    /// Tells it that this process has taken over from the one that it knows; and nothing
    /// more from here on.
    pub(super) fn replaced_by(&self, process: u32) {
        if let Some(target) = &self.target {
            target.is_replaced.store(true, SeqCst);
            target.socket.send_surely(&format!("MAINPID={process}"));
        }
    }

    /// Waits until it was told that the program has stopped.
    pub(super) fn end(&self) {
        let thread = self.lock().take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            log::error!("the thread that tells the supervisor panicked");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time within which the supervisor wants a sign of life, if it wants one from this
/// process.
fn watchdog() -> Option<Duration> {
    let variable = |name| env::var(name).ok();
    let is_ours = variable("WATCHDOG_PID").is_none_or(|id| id == process::id().to_string());
    let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (is_ours && micros > 0).then(|| Duration::from_micros(micros))
}

/// What the supervisor knows. What could not be sent is not in it, and is sent again.
#[derive(Debug, Default)]
struct Sent {
    ready: bool,
    stopping: bool,
    status: String,
}

/// The thread that tells.
struct Notifier {
    socket: Arc<NotifySocket>,
    stop: ShutdownHandle,
    config: Config,
    is_replaced: Arc<AtomicBool>,
    watchdog: Option<Duration>,
    sent: Sent,
}

impl Notifier {
    fn run(mut self) {
        if !self.stop.wait_until_serving(Duration::MAX) {
            return;
        }
        // Half of the watchdog's time, as sd_watchdog_enabled(3) recommends.
        let tick = match self.watchdog {
            Some(within) => INTERVAL.min(within / 2).max(Duration::from_millis(1)),
            None => INTERVAL,
        };
        let mut liveness = Liveness::default();
        let mut next = Phase::LameDuck;
        loop {
            let phase = self.stop.phase();
            let mut lines = self.lines(phase);
            if self.watchdog.is_some() && liveness.is_alive(&self.stop, self.config.workers) {
                lines += "WATCHDOG=1\n";
            }
            self.say(phase, &lines);
            if phase == Phase::Stopped {
                return;
            }
            if phase >= next {
                next = Phase::Stopped;
            }
            self.stop.wait_for_timeout(next, tick);
        }
    }

    /// What there is to say in this phase.
    fn lines(&self, phase: Phase) -> String {
        let mut lines = String::new();
        if !self.sent.ready {
            lines += "READY=1\n";
        }
        let is_stopping = phase > Phase::Running;
        if is_stopping && !self.sent.stopping {
            lines += "STOPPING=1\n";
        }
        if is_stopping && phase < Phase::Stopped {
            lines += &self.extension();
        }
        let status = self.status(phase);
        if status != self.sent.status {
            lines += &format!("STATUS={status}\n");
        }
        lines
    }

    /// How long the stop may still take, so that the supervisor waits as long.
    fn extension(&self) -> String {
        let deadline = self.stop.deadline().unwrap_or_else(Instant::now);
        let end = deadline + 2 * self.config.linger + OUTPUT_MAX;
        let left = end.saturating_duration_since(Instant::now());
        format!("EXTEND_TIMEOUT_USEC={}\n", left.as_micros())
    }

    fn status(&self, phase: Phase) -> String {
        let counts = self.stop.counts();
        match phase {
            Phase::Stopped => format!("{phase}"),
            _ => format!("{phase}: {counts}"),
        }
    }

    fn say(&mut self, phase: Phase, lines: &str) {
        if lines.is_empty() || self.is_replaced.load(SeqCst) || !self.socket.send(lines) {
            return;
        }
        self.sent.ready = true;
        self.sent.stopping |= phase > Phase::Running;
        let status = lines.lines().find_map(|line| line.strip_prefix("STATUS="));
        if let Some(status) = status {
            self.sent.status = status.to_owned();
        }
    }
}
