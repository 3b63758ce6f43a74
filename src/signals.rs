//! Signals: the first one drains, the second aborts.
//!
//! Signals belong to the process, and a process may have several servers. So one
//! list has every server that signals stop, and each signal goes to all of them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::Instant;

use crate::error::Error;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::phase::Trigger;
use crate::net::os;
use crate::net::os::ReceivedSignal;
use crate::net::os::SignalEffect;
pub(crate) use crate::net::os::StopSignals;

/// Signals this soon after the first count as the same one: `timeout` and other
/// supervisors signal a process and then its group, so the process gets the signal
/// twice.
const BOUNCE: Duration = Duration::from_millis(200);

/// How long signals have no effect once every server has stopped, from the first
/// such signal on: the program may be writing its last output.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// The servers of this process that signals stop.
static SERVERS: Mutex<Servers> = Mutex::new(Servers::new());

/// Tells whether a signal has asked a server to stop;
/// [`Server::stop_on_signals`](crate::Server::stop_on_signals) and
/// [`stop_on_interrupt_and_terminate`](crate::Server::stop_on_interrupt_and_terminate)
/// return it. Clones share their state. A drop changes nothing.
#[derive(Clone, Debug)]
pub struct Signals(Arc<Signalled>);

impl Signals {
    /// Whether a signal has arrived, so that the next one aborts.
    ///
    /// Another trigger may have stopped the server before that signal.
    pub fn seen(&self) -> bool {
        self.0.first.get().is_some()
    }
}

/// Makes these signals stop this server too.
pub(crate) fn stop(life: &Arc<Lifecycle>, by: StopSignals) -> Result<Signals, Error> {
    os::handle_signals(by, received).map_err(|error| Error::io("cannot handle signals", error))?;
    Ok(with_servers(|servers| servers.add(life, by)))
}

/// Passes a signal to every server that it stops. It runs no user code and logs nothing,
/// so nothing delays the next signal.
fn received(signal: ReceivedSignal) -> SignalEffect {
    with_servers(|servers| servers.receive(signal, Instant::now()))
}

fn with_servers<T>(action: impl FnOnce(&mut Servers) -> T) -> T {
    action(&mut SERVERS.lock().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Debug)]
struct Servers {
    list: Vec<Arc<Signalled>>,
    /// When the first signal arrived after every server had stopped.
    none_left: Option<Instant>,
}

impl Servers {
    const fn new() -> Self {
        Self {
            list: Vec::new(),
            none_left: None,
        }
    }

    /// Adds a server, unless it is in the list already.
    fn add(&mut self, life: &Arc<Lifecycle>, by: StopSignals) -> Signals {
        self.list.retain(|server| !server.has_stopped());
        self.none_left = None;
        let known = |server: &&Arc<Signalled>| server.life.as_ptr() == Arc::as_ptr(life);
        if let Some(server) = self.list.iter().find(known) {
            return Signals(Arc::clone(server));
        }
        let server = Arc::new(Signalled {
            life: Arc::downgrade(life),
            by,
            first: OnceLock::new(),
        });
        self.list.push(Arc::clone(&server));
        Signals(server)
    }

    fn receive(&mut self, signal: ReceivedSignal, now: Instant) -> SignalEffect {
        self.list.retain(|server| !server.has_stopped());
        if !self.list.is_empty() {
            for server in self.list.iter().filter(|server| server.by.have(signal)) {
                server.receive(now);
            }
            return SignalEffect::Nothing;
        }
        let since = *self.none_left.get_or_insert(now);
        match now.saturating_duration_since(since) >= EXIT_GRACE {
            true => SignalEffect::EndProcess,
            false => SignalEffect::Nothing,
        }
    }
}

/// A server, and when its first signal arrived.
#[derive(Debug)]
struct Signalled {
    /// Weak, so that a server may be dropped while it is in the list.
    life: Weak<Lifecycle>,
    by: StopSignals,
    first: OnceLock<Instant>,
}

impl Signalled {
    fn has_stopped(&self) -> bool {
        self.life
            .upgrade()
            .is_none_or(|life| life.phase() == Phase::Stopped)
    }

    fn receive(&self, now: Instant) {
        let Some(life) = self.life.upgrade() else {
            return;
        };
        match self.first.set(now) {
            // If `/shutdown` has begun the stop, this changes nothing: an
            // orchestrator that calls it and then sends SIGTERM wants one stop.
            Ok(()) => {
                life.shutdown(Trigger::Signal);
            }
            Err(_) if self.is_bounce(now) => {}
            Err(_) => {
                life.abort(Abort::Requested(Trigger::Signal));
            }
        }
    }

    fn is_bounce(&self, now: Instant) -> bool {
        self.first
            .get()
            .is_some_and(|&first| now.saturating_duration_since(first) < BOUNCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const SECOND: Duration = Duration::from_secs(1);
    const TERM: ReceivedSignal = ReceivedSignal::InterruptOrTerminate;

    fn server(servers: &mut Servers) -> (Arc<Lifecycle>, Signals) {
        let life = Arc::new(Lifecycle::new(&Config::default()));
        let signals = servers.add(&life, StopSignals::All);
        (life, signals)
    }

    #[test]
    fn the_first_signal_drains_and_the_second_aborts() {
        let mut servers = Servers::new();
        let (life, signals) = server(&mut servers);
        let start = Instant::now();
        assert!(!signals.seen());
        assert_eq!(servers.receive(TERM, start), SignalEffect::Nothing);
        assert!(signals.seen());
        assert_eq!(life.phase(), Phase::Draining);
        assert_eq!(life.history().trigger.unwrap().0, Trigger::Signal);
        servers.receive(TERM, start + BOUNCE);
        assert_eq!(life.phase(), Phase::Aborting);
        let (why, _) = life.history().abort.unwrap();
        assert_eq!(why, Abort::Requested(Trigger::Signal));
        // While a server aborts, no signal ends the process.
        assert_eq!(
            servers.receive(TERM, start + 60 * SECOND),
            SignalEffect::Nothing
        );
    }

    #[test]
    fn signals_within_200_ms_are_one() {
        let mut servers = Servers::new();
        let (life, _) = server(&mut servers);
        let start = Instant::now();
        for after in [0, 1, 100, 199] {
            servers.receive(TERM, start + Duration::from_millis(after));
            assert_eq!(life.phase(), Phase::Draining, "{after} ms");
        }
        servers.receive(TERM, start + Duration::from_millis(200));
        assert_eq!(life.phase(), Phase::Aborting);
    }

    #[test]
    fn a_signal_after_another_trigger_belongs_to_the_same_stop() {
        let mut servers = Servers::new();
        let (life, signals) = server(&mut servers);
        life.shutdown(Trigger::Call);
        let start = Instant::now();
        servers.receive(TERM, start);
        assert!(signals.seen());
        assert_eq!(life.phase(), Phase::Draining);
        assert_eq!(life.history().trigger.unwrap().0, Trigger::Call);
        servers.receive(TERM, start + SECOND);
        assert_eq!(life.phase(), Phase::Aborting);
    }

    #[test]
    fn every_server_has_its_own_first_signal() {
        let mut servers = Servers::new();
        let (early, _) = server(&mut servers);
        let start = Instant::now();
        servers.receive(TERM, start);
        let (late, _) = server(&mut servers);
        servers.receive(TERM, start + SECOND);
        assert_eq!(early.phase(), Phase::Aborting);
        assert_eq!(late.phase(), Phase::Draining);
    }

    #[test]
    fn a_hangup_stops_only_the_servers_that_want_it() {
        let mut servers = Servers::new();
        let (all, _) = server(&mut servers);
        let life = Arc::new(Lifecycle::new(&Config::default()));
        let signals = servers.add(&life, StopSignals::InterruptAndTerminate);
        let start = Instant::now();
        let effect = servers.receive(ReceivedSignal::Hangup, start);
        assert_eq!(effect, SignalEffect::Nothing);
        assert_eq!(all.phase(), Phase::Draining);
        assert!(!signals.seen());
        assert_eq!(life.phase(), Phase::Running);
        servers.receive(TERM, start + SECOND);
        assert_eq!(all.phase(), Phase::Aborting);
        assert_eq!(life.phase(), Phase::Draining);
        // A hangup does not abort what it does not stop.
        servers.receive(ReceivedSignal::Hangup, start + 2 * SECOND);
        assert_eq!(life.phase(), Phase::Draining);
    }

    #[test]
    fn a_server_is_added_once() {
        let mut servers = Servers::new();
        let (life, first) = server(&mut servers);
        let again = servers.add(&life, StopSignals::All);
        assert_eq!(servers.list.len(), 1);
        servers.receive(TERM, Instant::now());
        assert!(first.seen() && again.seen());
        assert_eq!(life.phase(), Phase::Draining);
    }

    #[test]
    fn stopped_and_dropped_servers_leave_the_list() {
        let mut servers = Servers::new();
        let (stopped, _) = server(&mut servers);
        stopped.stopped();
        let (dropped, signals) = server(&mut servers);
        drop(dropped);
        let _here = server(&mut servers);
        assert_eq!(servers.list.len(), 1);
        servers.receive(TERM, Instant::now());
        assert!(!signals.seen());
    }

    #[test]
    fn with_no_server_left_a_signal_ends_the_process_but_not_at_once() {
        let mut servers = Servers::new();
        let (life, _) = server(&mut servers);
        let start = Instant::now();
        servers.receive(TERM, start);
        life.stopped();
        assert_eq!(
            servers.receive(TERM, start + 60 * SECOND),
            SignalEffect::Nothing
        );
        let soon = start + 60 * SECOND + EXIT_GRACE / 2;
        assert_eq!(servers.receive(TERM, soon), SignalEffect::Nothing);
        let late = start + 60 * SECOND + EXIT_GRACE;
        assert_eq!(servers.receive(TERM, late), SignalEffect::EndProcess);
        // A new server gets the next signal.
        let (next, _) = server(&mut servers);
        assert_eq!(servers.receive(TERM, late + SECOND), SignalEffect::Nothing);
        assert_eq!(next.phase(), Phase::Draining);
        next.stopped();
        assert_eq!(
            servers.receive(TERM, late + 2 * SECOND),
            SignalEffect::Nothing
        );
    }
}
