//! Connections that have left HTTP: WebSockets, tunnels. For each of them a function of
//! the application runs on a thread of its own. They are in no shard: the thread that
//! reads or writes waits for the socket itself. A drain waits for the function. An
//! abort shuts the socket, and enters the connection's outcome without the function.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use super::connection::Connection;
use super::connection::Upgrade;
use super::connection::UpgradeParts;
use super::deferred::Deferred;
use super::deferred::Subject;
use super::in_flight::InFlight;
use super::linger::Linger;
use super::peers::PeerShare;
use super::places::Place;
use super::services::Services;
use super::thread_group::ThreadGroup;
use crate::address::PeerAddr;
use crate::journal::note;
use crate::lifecycle::accounting::ConnectionGuard;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::phase::Phase;
use crate::lifecycle::report::CutRequest;
use crate::lifecycle::report::UserCode;
use crate::message::body::upgrade::BlockingSocket;
use crate::message::body::upgrade::HeldPlace;
use crate::message::body::upgrade::Upgraded;
use crate::net::interrupt::Interrupt;
use crate::net::os::Ready;
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::net::stream::Stream;

/// All connections that have left HTTP and have not ended.
pub(crate) struct UpgradedConnections {
    services: Arc<Services>,
    open: Mutex<Vec<Arc<UpgradedConnection>>>,
    /// Raised when the server drains: some reads return then.
    draining: Interrupt,
    /// Raised after an abort has ended the open connections.
    cut: Interrupt,
}

/// A connection that has left HTTP.
struct UpgradedConnection {
    stream: Stream,
    peer: PeerAddr,
    /// The request that asked for the upgrade.
    subject: Subject,
    /// The end of the connection marks the end of the answer.
    ends_by_close: bool,
    ending: Mutex<Ending>,
    all: Arc<UpgradedConnections>,
}

/// How the connection has to end.
struct Ending {
    /// `None` once the outcome is entered: then the socket is not used any more.
    guards: Option<Guards>,
    progress: CallProgress,
    /// The application has the socket as a stream of `std`, and closes it itself.
    is_released: bool,
}

/// The state of the application's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallProgress {
    NotCalled,
    Called,
    Returned,
}

/// What is released or called when the connection ends.
struct Guards {
    guard: ConnectionGuard,
    /// Given back when the last handle of the socket is dropped.
    place: Arc<Place>,
    share: PeerShare,
    after_delivery: Option<Deferred>,
}

/// Starts the application's function for an upgraded connection, on a thread of its
/// own.
pub(crate) fn start(
    all: &Arc<UpgradedConnections>,
    threads: &ThreadGroup,
    connection: Box<Connection>,
    upgrade: Upgrade,
    deferred: &mut Vec<Deferred>,
) {
    let Upgrade {
        function,
        subject,
        ends_by_close,
    } = upgrade;
    let UpgradeParts {
        stream,
        peer,
        local,
        input,
        guard,
        place,
        share,
        after_delivery,
    } = connection.into_parts();
    let subject = Subject {
        since: Instant::now(),
        ..subject
    };
    let upgraded = Arc::new(UpgradedConnection {
        stream,
        peer,
        subject: subject.clone(),
        ends_by_close,
        ending: Mutex::new(Ending {
            guards: Some(Guards {
                guard,
                place: Arc::new(place),
                share,
                after_delivery,
            }),
            progress: CallProgress::NotCalled,
            is_released: false,
        }),
        all: Arc::clone(all),
    });
    all.services.accounting.upgrade_begun();
    all.lock().push(Arc::clone(&upgraded));
    // An abort first sets the phase, and then cuts the connections in the list. So it
    // finds this connection in the list, or this thread sees the abort.
    if all.services.life.is_aborting() {
        all.cut(deferred);
        deferred.push(Deferred::drop_of(function, subject));
        return;
    }
    let socket: Arc<dyn BlockingSocket> = upgraded.clone();
    let life = Arc::clone(&all.services.life);
    let stream = Upgraded::new(socket, input, peer, local, life);
    // Created before the function runs, so that it is dropped after the function: also
    // if the function panics, and if no thread can be started.
    let mut run = UpgradeRun {
        upgraded,
        slot: None,
    };
    let task = move |slot: &Arc<InFlight>| {
        run.slot = Some(Arc::clone(slot));
        run.upgraded.set_progress(CallProgress::Called);
        function(stream);
        run.upgraded.set_progress(CallProgress::Returned);
        run.upgraded.linger();
    };
    let of = subject.clone();
    if let Err(unstarted) = threads.spawn("farewell-upgraded", UserCode::Upgrade, of, task) {
        deferred.push(Deferred::drop_of(unstarted, subject));
    }
}

impl UpgradedConnections {
    /// # Errors
    ///
    /// No file descriptor is left.
    pub(crate) fn new(services: Arc<Services>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            services,
            open: Mutex::default(),
            draining: Interrupt::new()?,
            cut: Interrupt::new()?,
        }))
    }

    /// The server drains. The phase is set already.
    pub(crate) fn drain(&self) {
        self.draining.raise();
    }

    /// At an abort: ends the open connections.
    pub(crate) fn cut(&self, deferred: &mut Vec<Deferred>) {
        let open = std::mem::take(&mut *self.lock());
        for upgraded in open {
            let progress = upgraded.lock().progress;
            let outcome = match progress {
                // The connection only waits for the client to close its side.
                CallProgress::Returned => ConnectionOutcome::Upgraded,
                CallProgress::NotCalled | CallProgress::Called => ConnectionOutcome::Cut,
            };
            let ended = upgraded.end(outcome);
            match progress {
                // The answer is complete.
                CallProgress::Returned => upgraded.stream.shut_down(),
                CallProgress::NotCalled | CallProgress::Called => upgraded.break_off(),
            }
            let Some(after_delivery) = ended else {
                continue;
            };
            deferred.extend(after_delivery);
            if outcome == ConnectionOutcome::Cut {
                self.services.name_cut(CutRequest {
                    route: upgraded.subject.route(),
                    peer: upgraded.peer,
                    age: upgraded.subject.since.elapsed(),
                    handler_running: progress == CallProgress::Called,
                    response_bytes_sent: 0,
                    response_bytes_total: None,
                });
            }
        }
        // Raised after the outcomes are entered, so that the threads that wake see them.
        self.cut.raise();
    }

    fn remove(&self, upgraded: &Arc<UpgradedConnection>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, upgraded));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<UpgradedConnection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run of the application's function. The drop ends the connection.
struct UpgradeRun {
    upgraded: Arc<UpgradedConnection>,
    /// The slot of its thread. `None` if no thread was started.
    slot: Option<Arc<InFlight>>,
}

impl Drop for UpgradeRun {
    fn drop(&mut self) {
        let Self { upgraded, slot } = self;
        let outcome = match slot {
            Some(_) => ConnectionOutcome::Upgraded,
            None => ConnectionOutcome::BodyFailed,
        };
        upgraded.all.remove(upgraded);
        if std::thread::panicking() || slot.is_none() {
            upgraded.break_off();
        } else if !upgraded.is_over() && !upgraded.lock().is_released {
            upgraded.stream.shut_down();
        }
        if let Some(Some(after_delivery)) = upgraded.end(outcome) {
            // This thread may run code of the application.
            let own = Arc::<InFlight>::default();
            let slot = slot.as_ref().unwrap_or(&own);
            slot.run_alone(after_delivery, &upgraded.all.services.journal);
        }
    }
}

impl UpgradedConnection {
    /// Enters the connection's outcome, and returns the application's call for its end,
    /// if there is any. Returns `None`, and enters nothing, if the connection has an
    /// outcome already.
    fn end(&self, outcome: ConnectionOutcome) -> Option<Option<Deferred>> {
        let services = &self.all.services;
        let Guards {
            guard,
            place,
            share,
            after_delivery,
        } = self.lock().guards.take()?;
        note!(services.journal, Debug, "{}: {outcome:?}", self.peer);
        drop(share);
        services.accounting.upgrade_ended();
        guard.end(outcome);
        drop(place);
        // The drop may not be the last of the place, since the application may hold it
        // too. The acceptor also waits for the number of open connections.
        services.places.wake_acceptor();
        Some(after_delivery)
    }

    /// Ends the connection so that the client notices that the answer is not complete.
    fn break_off(&self) {
        if self.ends_by_close && !self.lock().is_released {
            self.stream.reset_on_close();
            self.stream.stop_reading();
        } else {
            self.stream.shut_down();
        }
    }

    /// Half-closes, and reads until the client has closed its side, as after every
    /// answer. `linger` bounds the wait.
    fn linger(&self) {
        if !self.lock().is_released && !self.is_over() {
            // The connection ends, whether or not the client has closed its side.
            let _ = self.close();
        }
    }

    fn set_progress(&self, progress: CallProgress) {
        self.lock().progress = progress;
    }

    fn is_over(&self) -> bool {
        self.lock().guards.is_none()
    }

    fn check(&self) -> io::Result<()> {
        match self.is_over() {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockingSocket for UpgradedConnection {
    fn read(
        &self,
        buffer: &mut [u8],
        until: Option<Instant>,
        enough: &mut dyn FnMut() -> bool,
    ) -> io::Result<usize> {
        let UpgradedConnections {
            services,
            draining,
            cut,
            ..
        } = &*self.all;
        loop {
            // Bytes that arrive after a cut are not used.
            if self.is_over() {
                return Ok(0);
            }
            match self.stream.read(buffer) {
                Received::Bytes(count) => return Ok(count),
                Received::Eof => return Ok(0),
                Received::Gone => return Err(io::ErrorKind::ConnectionReset.into()),
                Received::Wait => {}
            }
            // Read before `enough` is called. If the drain begins in between, `enough`
            // sees it. If it begins after that, the interrupt ends the wait.
            let is_running = services.life.phase() < Phase::Draining;
            if enough() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let interrupts = [cut.reader(), draining.reader()];
            let count = if is_running { 2 } else { 1 };
            self.stream
                .wait(Ready::Input, until, &interrupts[..count])?;
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let services = &self.all.services;
        let until = Instant::now() + services.config.write_timeout;
        loop {
            self.check()?;
            match self.stream.write(bytes) {
                Sent::Bytes(count) => return Ok(count),
                Sent::Gone => return Err(io::ErrorKind::BrokenPipe.into()),
                Sent::Wait => {}
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let cut = self.all.cut.reader();
            self.stream.wait(Ready::Room, Some(until), &[cut])?;
        }
    }

    fn half_close(&self) -> io::Result<()> {
        self.stream.half_close()
    }

    fn close(&self) -> io::Result<()> {
        self.half_close()?;
        let services = &self.all.services;
        let mut linger = Linger::new(&services.config, Instant::now());
        let mut discarded = [0; 4096];
        loop {
            let aborted = services.life.aborting_since();
            let until = linger.until(Instant::now(), aborted);
            let count = self.read(&mut discarded, Some(until), &mut || false)?;
            if count == 0 {
                return Ok(());
            }
            let now = Instant::now();
            if now >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            linger.received(count, now);
        }
    }

    fn release(&self) -> io::Result<(TcpStream, HeldPlace)> {
        let stream = self.stream.to_std()?;
        stream.set_nonblocking(false)?;
        let place = {
            let mut ending = self.lock();
            let guards = ending.guards.as_ref();
            let place = guards.map(|guards| Arc::clone(&guards.place));
            ending.is_released = place.is_some();
            place
        };
        match place {
            Some(place) => Ok((stream, place)),
            // An abort has ended the connection already.
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
