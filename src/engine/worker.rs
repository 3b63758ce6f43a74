//! A worker: takes up a connection, does for it what can be done, and puts it
//! where it belongs. It waits for nothing but a connection and the handler, and
//! for a seat.

use std::fmt::Write;
use std::io;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use httpdate::HttpDate;

use super::Engine;
use super::buffer::Buffer;
use super::connection::Answer;
use super::connection::Connection;
use super::connection::Next;
use super::connection::Turn;
use super::guests::Guests;
use super::in_flight::Deferred;
use super::in_flight::InFlight;
use super::inlet::SlotInlet;
use super::lot::Parked;
use super::lot::Row;
use super::queue::Received;
use super::seats::Seated;
use super::seats::Sitter;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Phase;
use crate::drain::report::UserCode;
use crate::escaped::Escaped;
use crate::isolate::Panicked;
use crate::isolate::isolate;
use crate::journal::note;
use crate::service::body::Nature;
use crate::service::body::Piece;
use crate::service::body::Source;
use crate::service::body::Waker;
use crate::service::request::Request;

/// The least size of an input buffer, in bytes.
const BUFFER_MIN: usize = 16 * 1024;

/// How many steps a connection may take before the others have their turn.
const STEPS_A_TURN: usize = 64;

/// How many connections of its own row a worker serves before it looks at the
/// others: whoever should serve those may be held up, and nobody rest.
const OWN_IN_A_ROW: usize = 64;

/// Serves connections until none is left and none can come.
pub(crate) fn work(engine: &Arc<Engine>, slot: &Arc<InFlight>) {
    let mut worker = Worker {
        engine,
        slot,
        buffer: Buffer::new(engine.config.head_bytes_max.max(BUFFER_MIN)),
        date: DateClock::default(),
        rota: Rota {
            engine,
            own_left: OWN_IN_A_ROW,
        },
        steps_left: 0,
        deferred: Vec::new(),
    };
    let sitter = Sitter::new();
    // Ends when the seats are closed.
    while let Some(mut seat) = engine.seats.sit(&sitter) {
        worker.work_at(&mut seat);
    }
}

struct Worker<'a> {
    engine: &'a Arc<Engine>,
    slot: &'a Arc<InFlight>,
    buffer: Buffer,
    date: DateClock,
    rota: Rota<'a>,
    steps_left: usize,
    /// Code of the application that is to run after the turn.
    deferred: Vec<Deferred>,
}

impl Worker<'_> {
    /// Serves until the seat is lost, or the queues are closed.
    fn work_at(&mut self, seat: &mut Seated<'_>) {
        let engine = self.engine;
        while let Some(connection) = self.rota.next(seat.number()) {
            let peer = connection.peer_addr();
            seat.serve();
            // Code of the application does not panic through here. A bug of ours
            // costs this connection and no other: the drop of its guard keeps
            // the accounting.
            if isolate(|| self.serve(connection, seat)).is_err() {
                note!(engine.journal, Error, "serving {peer} panicked: it is cut");
                engine.peers.go(peer.ip());
                engine.let_go();
            }
            self.run_deferred(seat);
            if !seat.served() {
                return;
            }
        }
    }

    /// One turn of a connection.
    fn serve(&mut self, mut connection: Box<Connection>, seat: &mut Seated<'_>) {
        self.steps_left = STEPS_A_TURN;
        let mut next = connection.advance(&mut self.turn());
        loop {
            match next {
                Next::Close(outcome) => {
                    return self.engine.close(connection, outcome, &mut self.deferred);
                }
                Next::Park(park) => match self.engine.lot.park(connection, park) {
                    Parked::Yes => return,
                    Parked::Ready(back) => {
                        connection = back;
                        self.steps_left = self.steps_left.max(1);
                        next = connection.advance(&mut self.turn());
                    }
                    Parked::Refused(mut back, error) => {
                        if let Some(error) = error {
                            note!(
                                self.engine.journal,
                                Error,
                                "cannot wait for {back:?}: {error}"
                            );
                        }
                        let outcome = back.give_up(self.engine, &mut self.deferred);
                        return self.engine.close(back, outcome, &mut self.deferred);
                    }
                },
                Next::TakeOver(hand_over) => {
                    return Guests::host(self.engine, connection, hand_over, &mut self.deferred);
                }
                Next::Pull(source, waker) => {
                    let Some((back, source, piece)) = self.pull(connection, source, &waker, seat)
                    else {
                        return;
                    };
                    connection = back;
                    next = connection.pulled(source, piece, &mut self.turn());
                }
                Next::Call(request) => {
                    let Some((back, answer)) = self.call(connection, request, seat) else {
                        return;
                    };
                    connection = back;
                    next = connection.resume(answer, &mut self.turn());
                }
            }
        }
    }

    /// Has the handler answer. `None` if a stop has taken the connection
    /// meanwhile.
    fn call(
        &self,
        connection: Box<Connection>,
        mut request: Request,
        seat: &mut Seated<'_>,
    ) -> Option<(Box<Connection>, Answer)> {
        if connection.body_follows() {
            let slot = Arc::clone(self.slot);
            let rest = SlotInlet::new(self.engine, slot, connection.exchange_number());
            request.body_mut().attach(Box::new(rest));
        }
        note!(
            self.engine.journal,
            Debug,
            "{}: {} {}",
            request.peer_addr(),
            request.method(),
            Escaped(request.uri())
        );
        if let Err(connection) = self.begin_call(UserCode::Handler, connection, false) {
            return Some((connection, Answer::turned_away()));
        }
        let handler = &self.engine.handler;
        let handle = || Answer::new(handler.handle(request), RequestOutcome::Answered);
        let answered = seat.call(|| isolate(handle));
        let (connection, answered) = self.end_call(answered)?;
        let answer = answered.unwrap_or_else(|Panicked| {
            let text = "the handler panicked";
            note!(
                self.engine.journal,
                Error,
                "{text} ({connection:?}): the client gets a 500"
            );
            Answer::failed()
        });
        Some((connection, answer))
    }

    /// Asks a body for its next piece, which may run code of the application, as
    /// a handler does. `None` if a stop has taken the connection meanwhile.
    fn pull(
        &self,
        connection: Box<Connection>,
        mut source: Box<dyn Source>,
        waker: &Waker,
        seat: &mut Seated<'_>,
    ) -> Option<(Box<Connection>, Box<dyn Source>, Piece)> {
        // At an abort a body that ends by itself is cut; the others are to end
        // in good order.
        let to_the_end = source.nature() != Nature::Finite;
        if let Err(connection) = self.begin_call(UserCode::BodyPiece, connection, to_the_end) {
            return Some((connection, source, Piece::NotYet));
        }
        let next = || match source.next(waker) {
            // The error may be the application's, and so are its text and drop.
            Piece::Failed(error) => Piece::Failed(io::Error::other(error.to_string())),
            piece => piece,
        };
        let pulled = seat.call(|| isolate(next));
        let (connection, (source, pulled)) = self.end_call((source, pulled))?;
        let piece =
            pulled.unwrap_or_else(|Panicked| Piece::Failed(io::Error::other("it panicked")));
        Some((connection, source, piece))
    }

    /// Puts a connection where a stop finds it while code of the application
    /// runs. Hands it back if the stop cuts already; those that end in good
    /// order then are put there until the lot is empty.
    fn begin_call(
        &self,
        code: UserCode,
        connection: Box<Connection>,
        at_an_abort_too: bool,
    ) -> Result<(), Box<Connection>> {
        self.slot.begin_for(code, connection, || {
            // Asked under the slot's lock: an abort first moves the phase and
            // then takes what is in the slots, so it sees this connection there,
            // or this sees the abort.
            let aborting = self.engine.life.phase() >= Phase::Aborting;
            aborting && (!at_an_abort_too || self.engine.lot.is_evicted())
        })
    }

    /// The code of the application has returned, and given this. `None` if a
    /// stop has taken the connection.
    fn end_call<T>(&self, given: T) -> Option<(Box<Connection>, T)> {
        let (connection, given) = self.slot.end(given)?;
        // A thread that was given the body does not wait for the rest.
        if connection.body_follows()
            && let Some(spot) = connection.spot()
        {
            self.engine.lot.unwatch(spot);
        }
        Some((connection, given))
    }

    /// Runs what the turn has left to run. No connection waits for it.
    fn run_deferred(&mut self, seat: &mut Seated<'_>) {
        if self.deferred.is_empty() {
            return;
        }
        let deferred = mem::take(&mut self.deferred);
        seat.call(|| self.run_all(deferred));
        let _no_connection = self.slot.end(());
    }

    fn run_all(&self, deferred: Vec<Deferred>) {
        for next in deferred {
            if let Err((code, Panicked)) = next.run(self.slot) {
                note!(self.engine.journal, Error, "{code} panicked");
            }
        }
    }

    fn turn(&mut self) -> Turn<'_> {
        Turn {
            engine: self.engine,
            buffer: &mut self.buffer,
            date: &mut self.date,
            // The phase first: what this turn begins comes after the move to it.
            phase: self.engine.life.phase(),
            now: Instant::now(),
            steps_left: &mut self.steps_left,
            deferred: &mut self.deferred,
        }
    }
}

/// Whom a worker serves next: those of its own row first, and not for ever.
struct Rota<'a> {
    engine: &'a Engine,
    /// So many of its own go before those of other rows.
    own_left: usize,
}

impl Rota<'_> {
    /// Waits for a connection that can go on; `None` once the queues are closed.
    fn next(&mut self, own: usize) -> Option<Box<Connection>> {
        let rows = self.engine.lot.rows();
        let row = &rows[own];
        loop {
            if self.own_left == 0 {
                self.own_left = OWN_IN_A_ROW;
                if let Some(connection) = of_another(rows, own) {
                    return Some(connection);
                }
            }
            self.own_left -= 1;
            match row.queue().receive() {
                Received::Connection(connection) => return Some(connection),
                Received::Closed => return None,
                Received::Nobody => {}
            }
            // If others want the core, the clients may be among them: more
            // gathers when they go first, and to be woken once for several costs
            // less than once for each. Not where handlers want it.
            if row.has_some_traffic() && !self.engine.seats.expects_slow() {
                thread::yield_now();
            }
            // Before those of another row, whose worker has just not come to
            // them yet.
            row.poll(|| rows.iter().all(|row| row.queue().is_empty()));
            if row.queue().is_empty()
                && let Some(connection) = of_another(rows, own)
            {
                return Some(connection);
            }
        }
    }
}

/// One who can go on in another row.
fn of_another(rows: &[Row], own: usize) -> Option<Box<Connection>> {
    let behind = rows.iter().skip(own + 1);
    behind.chain(&rows[..own]).find_map(receive)
}

fn receive(row: &Row) -> Option<Box<Connection>> {
    match row.queue().receive() {
        Received::Connection(connection) => Some(connection),
        Received::Nobody | Received::Closed => None,
    }
}

/// The value of `Date`, made once a second.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    text: String,
    /// When its second is over.
    until: Option<Instant>,
}

/// 9999-12-31T23:59:59Z, in seconds since 1970: the last second that has an
/// IMF-fixdate (RFC 9110 section 5.6.7), and the last that httpdate takes.
pub(crate) const LAST_DATE: u64 = 253_402_300_799;

impl DateClock {
    /// `None` if the system's clock is beyond the year 9999.
    pub(crate) fn at(&mut self, now: Instant) -> Option<&str> {
        if self.until.is_none_or(|until| now >= until) {
            self.read(now, SystemTime::now());
        }
        (!self.text.is_empty()).then_some(self.text.as_str())
    }

    fn read(&mut self, now: Instant, clock: SystemTime) {
        // A clock that is set before 1970 shows 1970.
        let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = Duration::from_secs(since.as_secs());
        self.text.clear();
        if second.as_secs() <= LAST_DATE {
            let date = HttpDate::from(UNIX_EPOCH + second);
            write!(self.text, "{date}").expect("a String takes every write");
        }
        self.until = Some(now + Duration::from_secs(1) - (since - second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(clock: SystemTime) -> Option<String> {
        let (mut date, now) = (DateClock::default(), Instant::now());
        date.read(now, clock);
        date.at(now).map(str::to_owned)
    }

    #[test]
    fn a_clock_without_a_date_gives_none() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let last = date(after(LAST_DATE) + Duration::from_millis(999));
        assert_eq!(last.as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(date(after(LAST_DATE + 1)), None);
        assert_eq!(date(after(u64::from(u32::MAX) * 1000)), None);
        let early = date(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(early.as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }
}
