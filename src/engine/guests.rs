//! Connections that handlers have taken over. Each is on a thread of its own,
//! with its entry in the books; a drain waits for it, and an abort takes the
//! entry away and shuts the socket.

use std::io;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use bytes::Bytes;

use super::Engine;
use super::connection::Connection;
use super::in_flight::Deferred;
use super::in_flight::InFlight;
use super::in_flight::Subject;
use super::linger::Linger;
use super::lot::Lot;
use super::lot::Spot;
use super::lot::Wait;
use super::lot::Watch;
use super::places::Place;
use crate::config::Config;
use crate::drain::books::Ticket;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::phase::Lifecycle;
use crate::drain::phase::Phase;
use crate::drain::report::CutRequest;
use crate::drain::report::UserCode;
use crate::journal::note;
use crate::net::stream::Received;
use crate::net::stream::Sent;
use crate::net::stream::Stream;
use crate::service::body::take_over::Held;
use crate::service::body::take_over::TakeOver;
use crate::service::body::take_over::TakenOver;
use crate::service::body::take_over::Wire;

/// Everyone who has taken a connection over, and has not given it back.
#[derive(Default)]
pub(crate) struct Guests(Mutex<Vec<Arc<Guest>>>);

/// A connection that has left HTTP, and its place in the engine.
pub(crate) struct Guest {
    stream: Stream,
    watch: Arc<Watch>,
    spot: Spot,
    peer: SocketAddr,
    /// The request that it was taken over for.
    subject: Subject,
    /// How far the application's function has come.
    progress: AtomicU8,
    /// Until its outcome is entered.
    entry: Mutex<Option<Entry>>,
    /// A client takes the connection's end for the end of the answer.
    ends_by_close: bool,
    /// Its outcome is entered, so the socket is of no use any more.
    ended: AtomicBool,
    /// The handler has it as a stream of std's, and closes it itself.
    released: AtomicBool,
    lot: Arc<Lot>,
    life: Arc<Lifecycle>,
    config: Config,
}

/// How far the function that takes a connection over has come.
const NOT_CALLED: u8 = 0;
const CALLED: u8 = 1;
const RETURNED: u8 = 2;

/// What has to be done when it ends.
struct Entry {
    ticket: Ticket,
    /// Given back when the socket is of no use any more.
    place: Arc<Place>,
    after_delivery: Option<Deferred>,
}

/// What is left of a connection that leaves HTTP.
pub(crate) struct Left {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// What the client has sent behind its request.
    pub(crate) input: Bytes,
    pub(crate) ticket: Ticket,
    pub(crate) place: Place,
    pub(crate) after_delivery: Option<Deferred>,
}

/// A connection that a handler takes over.
pub(crate) struct HandOver {
    pub(crate) take_over: TakeOver,
    /// The request that was answered.
    pub(crate) subject: Subject,
    /// What the handler writes is the body of an answer, whose end is the
    /// connection's.
    pub(crate) ends_by_close: bool,
}

impl Guests {
    /// Gives a connection to a handler, on a thread of its own.
    pub(crate) fn host(
        engine: &Arc<Engine>,
        mut connection: Box<Connection>,
        hand_over: HandOver,
        deferred: &mut Vec<Deferred>,
    ) {
        let HandOver {
            take_over,
            subject,
            ends_by_close,
        } = hand_over;
        let watch = engine.lot.watch(&mut connection);
        let (Ok(watch), Some(spot)) = (watch, connection.spot()) else {
            note!(
                engine.journal,
                Error,
                "cannot wait for {connection:?}, which a handler takes over"
            );
            deferred.push(Deferred::drop_of(take_over, subject));
            return engine.close(connection, ConnectionOutcome::Broken, deferred);
        };
        let Left {
            stream,
            peer,
            local,
            input,
            ticket,
            place,
            after_delivery,
        } = connection.leave_http();
        let guest = Arc::new(Guest {
            stream,
            watch,
            spot,
            peer,
            subject: Subject {
                since: Instant::now(),
                ..subject
            },
            progress: AtomicU8::new(NOT_CALLED),
            entry: Mutex::new(Some(Entry {
                ticket,
                place: Arc::new(place),
                after_delivery,
            })),
            ends_by_close,
            ended: AtomicBool::new(false),
            released: AtomicBool::new(false),
            lot: Arc::clone(&engine.lot),
            life: Arc::clone(&engine.life),
            config: engine.config.clone(),
        });
        engine.books.taken_over();
        engine.guests.lock().push(Arc::clone(&guest));
        // An abort first moves the phase and then cuts those who are here: so
        // it sees this one here, or this sees the abort.
        if engine.life.phase() >= Phase::Aborting {
            engine.guests.cut(engine, deferred);
            deferred.push(Deferred::drop_of(take_over, guest.subject.clone()));
            return;
        }
        let wire: Arc<dyn Wire> = guest.clone();
        let taken = TakenOver::new(wire, input, peer, local, Arc::clone(&engine.life));
        let subject = guest.subject.clone();
        // Made before the closure runs, so that it is dropped after it, however
        // it ends; if no thread can be started, too.
        let mut stay = Stay {
            engine: Arc::clone(engine),
            guest,
            slot: None,
        };
        let started = engine.crew.start(
            "farewell-taken-over",
            UserCode::TakeOver,
            subject.clone(),
            move |slot| {
                stay.slot = Some(Arc::clone(slot));
                stay.guest.progress.store(CALLED, SeqCst);
                take_over(taken);
                stay.guest.progress.store(RETURNED, SeqCst);
                stay.guest.see_off();
            },
        );
        if let Err(unstarted) = started {
            deferred.push(Deferred::drop_of(unstarted, subject));
        }
    }

    /// At an abort: cuts those that are left.
    pub(crate) fn cut(&self, engine: &Engine, deferred: &mut Vec<Deferred>) {
        let guests = std::mem::take(&mut *self.lock());
        for guest in guests {
            let progress = guest.progress.load(SeqCst);
            let outcome = match progress {
                // It only waits for the client to close its side.
                RETURNED => ConnectionOutcome::TakenOver,
                _ => ConnectionOutcome::Cut,
            };
            let ended = guest.end(engine, outcome);
            guest.break_off();
            let Some(after_delivery) = ended else {
                continue;
            };
            deferred.extend(after_delivery);
            if outcome == ConnectionOutcome::Cut {
                engine.name_cut(CutRequest {
                    route: guest.subject.route(),
                    peer: guest.peer,
                    age: guest.subject.since.elapsed(),
                    handler_running: progress == CALLED,
                });
            }
        }
    }

    fn remove(&self, guest: &Arc<Guest>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, guest));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Guest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guest's time with its handler. Its drop is its end.
struct Stay {
    engine: Arc<Engine>,
    guest: Arc<Guest>,
    /// Its thread's, if there was a thread for it.
    slot: Option<Arc<InFlight>>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        let Self {
            engine,
            guest,
            slot,
        } = self;
        let outcome = match slot {
            Some(_) => ConnectionOutcome::TakenOver,
            None => ConnectionOutcome::Broken,
        };
        engine.guests.remove(guest);
        if std::thread::panicking() || guest.ended.load(SeqCst) {
            guest.break_off();
        } else if !guest.released.load(SeqCst) {
            guest.stream.shut_down();
        }
        if let Some(Some(after_delivery)) = guest.end(engine, outcome) {
            // This is a thread for code of the application.
            let own = Arc::<InFlight>::default();
            let _ = after_delivery.run(slot.as_ref().unwrap_or(&own));
        }
    }
}

impl Guest {
    /// Enters its outcome, the first one that there is. `None` if there was one
    /// before; otherwise what the application wants to be called then.
    fn end(&self, engine: &Engine, outcome: ConnectionOutcome) -> Option<Option<Deferred>> {
        let entry = self
            .entry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Entry {
            ticket,
            place,
            after_delivery,
        } = entry?;
        note!(engine.journal, Debug, "{}: {outcome:?}", self.peer);
        self.ended.store(true, SeqCst);
        engine.lot.forget(self.spot);
        engine.peers.go(self.peer.ip());
        engine.books.given_back();
        ticket.end(outcome);
        drop(place);
        // The place may be kept by the application, and the sweep waits for this.
        engine.places.ask_again();
        engine.let_go();
        Some(after_delivery)
    }

    /// Its end is no proper one, and the client has to be able to tell.
    fn break_off(&self) {
        if self.ends_by_close && !self.released.load(SeqCst) {
            self.stream.reset_on_close();
            self.stream.stop_reading();
        } else {
            self.stream.shut_down();
        }
    }

    /// As after every answer: half-closes, and reads until the client has
    /// closed its side, for as long as `linger` says.
    fn see_off(&self) {
        if self.released.load(SeqCst) || self.ended.load(SeqCst) {
            return;
        }
        // The connection is over, whether or not the client has said so.
        let _ = self.close();
    }

    fn over(&self) -> io::Result<()> {
        match self.ended.load(SeqCst) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

impl Wire for Guest {
    fn read(
        &self,
        buffer: &mut [u8],
        until: Option<Instant>,
        enough: &mut dyn FnMut() -> bool,
    ) -> io::Result<usize> {
        loop {
            // What still comes after a cut is of no use.
            if self.over().is_err() {
                return Ok(0);
            }
            let mark = self.watch.mark();
            match self.stream.read(buffer) {
                Received::Bytes(count) => return Ok(count),
                Received::Eof => return Ok(0),
                Received::Gone => return Err(io::ErrorKind::ConnectionReset.into()),
                Received::Wait => {}
            }
            if enough() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut woken = false;
            self.watch.wait(Wait::Input, mark, until, &mut || {
                woken = enough();
                woken
            });
            if woken {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let until = Instant::now() + self.config.write_timeout;
        loop {
            self.over()?;
            let mark = self.watch.mark();
            match self.stream.write(bytes) {
                Sent::Bytes(count) => return Ok(count),
                Sent::Gone => return Err(io::ErrorKind::BrokenPipe.into()),
                Sent::Wait => {}
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.watch
                .wait(Wait::Room, mark, Some(until), &mut || false);
        }
    }

    fn half_close(&self) -> io::Result<()> {
        self.stream.half_close()
    }

    fn close(&self) -> io::Result<()> {
        self.half_close()?;
        let mut linger = Linger::new(&self.config, Instant::now());
        let mut discarded = [0; 4096];
        loop {
            let aborting = self.life.phase() >= Phase::Aborting;
            let aborted = self.life.deadline().filter(|_| aborting);
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

    fn release(&self) -> io::Result<(TcpStream, Held)> {
        let stream = self.stream.to_std()?;
        // From here on no event of its concerns a thread of ours.
        self.lot.deregister(self.spot, &self.stream)?;
        stream.set_nonblocking(false)?;
        let place = {
            let entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
            entry.as_ref().map(|entry| Arc::clone(&entry.place))
        };
        self.released.store(true, SeqCst);
        // A cut that came in between took it for ours.
        self.over().inspect_err(|_| self.stream.shut_down())?;
        let place = place.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok((stream, place))
    }
}
