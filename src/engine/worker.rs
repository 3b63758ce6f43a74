//! A worker: takes up a connection, does for it what can be done, and puts it
//! where it belongs. It waits for nothing but a connection and the handler, and
//! for a seat.

use std::fmt::Write;
use std::io;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
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
use super::inlet::DeskInlet;
use super::lot::Parked;
use super::lot::Row;
use super::queue::Received;
use super::quietly;
use super::seats::Seated;
use super::seats::Sitter;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Lifecycle;
use crate::drain::phase::Phase;
use crate::escaped::Escaped;
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

/// Where a worker leaves its connection while it is in a handler. At an abort
/// the connection is taken from there: the handler cannot be stopped, but its
/// client need not wait for it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    connection: Mutex<Option<Box<Connection>>>,
    in_handler: AtomicBool,
    left: AtomicBool,
}

impl Desk {
    /// Takes the connection that lies here, if `wanted`.
    pub(crate) fn take_if(&self, wanted: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        self.lock().take_if(|connection| wanted(connection))
    }

    pub(crate) fn in_handler(&self) -> bool {
        self.in_handler.load(SeqCst)
    }

    /// Whether the worker's loop has ended.
    pub(crate) fn left(&self) -> bool {
        self.left.load(SeqCst)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Box<Connection>>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves connections until nobody is left and nobody can come.
pub(crate) fn work(engine: &Arc<Engine>, desk: &Arc<Desk>) {
    let _leaving = Leaving {
        desk,
        life: &engine.life,
    };
    let mut worker = Worker {
        engine,
        desk,
        buffer: Buffer::new(engine.config.head_bytes_max.max(BUFFER_MIN)),
        date: DateClock::default(),
        rota: Rota {
            engine,
            own_left: OWN_IN_A_ROW,
        },
        steps_left: 0,
    };
    let sitter = Sitter::new();
    // Ends when the seats are closed.
    while let Some(mut seat) = engine.seats.sit(&sitter) {
        worker.work_at(&mut seat);
    }
}

/// Says that the worker has left, however it did.
struct Leaving<'a> {
    desk: &'a Desk,
    life: &'a Lifecycle,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.desk.left.store(true, SeqCst);
        self.life.counts_changed();
    }
}

struct Worker<'a> {
    engine: &'a Arc<Engine>,
    desk: &'a Arc<Desk>,
    buffer: Buffer,
    date: DateClock,
    rota: Rota<'a>,
    steps_left: usize,
}

impl Worker<'_> {
    /// Serves until the seat is lost, or the queues are closed.
    fn work_at(&mut self, seat: &mut Seated<'_>) {
        let engine = self.engine;
        while let Some(connection) = self.rota.next(seat.number()) {
            let peer = connection.peer_addr();
            seat.serve();
            // A panic that nobody has caught closer by, in the drop of something
            // of the user's, say, costs this connection and no other. The drop
            // of its ticket keeps the books.
            let served = panic::catch_unwind(AssertUnwindSafe(|| self.serve(connection, seat)));
            if served.is_err() {
                log::error!("serving {peer} panicked: it is cut");
                engine.peers.go(peer.ip());
                engine.let_go();
            }
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
                Next::Close(outcome) => return self.engine.close(connection, outcome),
                Next::Park(park) => match self.engine.lot.park(connection, park) {
                    Parked::Yes => return,
                    Parked::Ready(back) => {
                        connection = back;
                        self.steps_left = self.steps_left.max(1);
                        next = connection.advance(&mut self.turn());
                    }
                    Parked::Refused(mut back, error) => {
                        if let Some(error) = error {
                            log::error!("cannot wait for {back:?}: {error}");
                        }
                        let outcome = back.give_up(self.engine);
                        return self.engine.close(back, outcome);
                    }
                },
                Next::TakeOver(hand_over) => {
                    return Guests::host(self.engine, connection, hand_over);
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

    /// Has the handler answer. `None` if the connection was taken from the
    /// desk meanwhile.
    fn call(
        &self,
        connection: Box<Connection>,
        mut request: Request,
        seat: &mut Seated<'_>,
    ) -> Option<(Box<Connection>, Answer)> {
        if connection.body_follows() {
            let (engine, desk) = (Arc::clone(self.engine), Arc::clone(self.desk));
            let rest = DeskInlet::new(engine, desk, connection.exchange_number());
            request.body_mut().attach(Box::new(rest));
        }
        log::debug!(
            "{}: {} {}",
            request.peer_addr(),
            request.method(),
            Escaped(request.uri())
        );
        if let Err(connection) = self.lay_on_desk(connection, false) {
            return Some((connection, Answer::turned_away()));
        }
        let handle = || self.engine.handler.handle(request);
        let handled = seat.call(|| panic::catch_unwind(AssertUnwindSafe(handle)));
        let (connection, handled) = self.take_from_desk(handled)?;
        let answer = match handled {
            Ok(response) => Answer {
                response,
                outcome: RequestOutcome::Answered,
            },
            Err(_) => {
                log::error!("the handler panicked ({connection:?}): the client gets a 500");
                Answer::failed()
            }
        };
        Some((connection, answer))
    }

    /// Asks a body for its next piece, which may run code of the user's, as a
    /// handler does. `None` if the connection was taken from the desk meanwhile.
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
        if let Err(connection) = self.lay_on_desk(connection, to_the_end) {
            return Some((connection, source, Piece::NotYet));
        }
        let next = || source.next(waker);
        let pulled = seat.call(|| panic::catch_unwind(AssertUnwindSafe(next)));
        let (connection, (source, pulled)) = self.take_from_desk((source, pulled))?;
        let piece = pulled.unwrap_or_else(|_| Piece::Failed(io::Error::other("it panicked")));
        Some((connection, source, piece))
    }

    /// Lays a connection where an abort finds it while code of the user's runs.
    /// Hands it back if that has come already; those that end in good order then
    /// are laid there until everyone has been evicted.
    fn lay_on_desk(
        &self,
        connection: Box<Connection>,
        at_an_abort_too: bool,
    ) -> Result<(), Box<Connection>> {
        let mut desk = self.desk.lock();
        // Looked at under the lock: an abort first moves the phase and then
        // takes what is on the desks, so it sees this connection there, or
        // this sees the abort.
        let aborting = self.engine.life.phase() >= Phase::Aborting;
        if aborting && (!at_an_abort_too || self.engine.lot.is_evicted()) {
            return Err(connection);
        }
        *desk = Some(connection);
        self.desk.in_handler.store(true, SeqCst);
        Ok(())
    }

    /// The code of the user's has returned, and given this. `None` if an abort
    /// has taken the connection.
    fn take_from_desk<T>(&self, given: T) -> Option<(Box<Connection>, T)> {
        let connection = self.desk.lock().take();
        let Some(connection) = connection else {
            // The user's code too, and may block.
            quietly("the drop of an answer", || drop(given));
            self.desk.in_handler.store(false, SeqCst);
            return None;
        };
        self.desk.in_handler.store(false, SeqCst);
        // A thread that was given the body does not wait for the rest.
        if connection.body_follows()
            && let Some(spot) = connection.spot()
        {
            self.engine.lot.unwatch(spot);
        }
        Some((connection, given))
    }

    fn turn(&mut self) -> Turn<'_> {
        Turn {
            engine: self.engine,
            buffer: &mut self.buffer,
            date: &mut self.date,
            now: Instant::now(),
            phase: self.engine.life.phase(),
            steps_left: &mut self.steps_left,
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

impl DateClock {
    pub(crate) fn at(&mut self, now: Instant) -> &str {
        if self.until.is_none_or(|until| now >= until) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let since = since.unwrap_or_default();
            self.text.clear();
            // From whole seconds since 1970: a clock that is set before that
            // would make httpdate panic.
            let second = Duration::from_secs(since.as_secs());
            let date = HttpDate::from(UNIX_EPOCH + second);
            write!(self.text, "{date}").expect("a String takes every write");
            self.until = Some(now + Duration::from_secs(1) - (since - second));
        }
        &self.text
    }
}
