//! A worker: takes a connection from the queue, does for it what can be done,
//! and puts it where it belongs. It waits for nothing but the queue and the
//! handler.

use std::fmt::Write;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
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
use super::queue::Queue;
use crate::drain::outcome::RequestOutcome;
use crate::drain::phase::Lifecycle;
use crate::drain::phase::Phase;
use crate::service::request::Request;

/// The least size of an input buffer, in bytes.
const BUFFER_MIN: usize = 16 * 1024;

/// How many steps a connection may take before the others have their turn.
const STEPS_A_TURN: usize = 64;

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
    pub(crate) fn take(&self) -> Option<Box<Connection>> {
        self.lock().take()
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

/// Serves connections until the queue is closed and empty.
pub(crate) fn work(engine: &Arc<Engine>, queue: &Queue, desk: &Arc<Desk>) {
    let _leaving = Leaving {
        desk,
        life: &engine.life,
    };
    let mut worker = Worker {
        engine,
        desk,
        buffer: Buffer::new(engine.config.head_bytes_max.max(BUFFER_MIN)),
        date: DateClock::default(),
        steps_left: 0,
    };
    // Ends when the acceptor's and the lot's senders are dropped.
    for connection in queue.iter() {
        worker.serve(connection);
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
    steps_left: usize,
}

impl Worker<'_> {
    /// One turn of a connection.
    fn serve(&mut self, mut connection: Box<Connection>) {
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
                Next::TakeOver(take_over, route) => {
                    return Guests::host(self.engine, connection, take_over, route);
                }
                Next::Call(request) => {
                    let Some((back, answer)) = self.call(connection, *request) else {
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
    ) -> Option<(Box<Connection>, Answer)> {
        if connection.body_follows() {
            let (engine, desk) = (Arc::clone(self.engine), Arc::clone(self.desk));
            let rest = DeskInlet::new(engine, desk, connection.exchange_number());
            request.body_mut().attach(Box::new(rest));
        }
        let mut desk = self.desk.lock();
        // Looked at under the lock: an abort first moves the phase and then
        // takes what is on the desks, so it sees this connection there, or
        // this sees the abort.
        if self.engine.life.phase() >= Phase::Aborting {
            return Some((connection, Answer::turned_away()));
        }
        *desk = Some(connection);
        self.desk.in_handler.store(true, SeqCst);
        drop(desk);
        log::debug!(
            "{}: {} {}",
            request.peer_addr(),
            request.method(),
            request.uri()
        );

        let handled = panic::catch_unwind(AssertUnwindSafe(|| self.engine.handler.handle(request)));

        let mut desk = self.desk.lock();
        self.desk.in_handler.store(false, SeqCst);
        let connection = desk.take()?;
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

/// The value of `Date`, made once a second.
#[derive(Debug, Default)]
pub(crate) struct DateClock {
    second: Option<u64>,
    text: String,
}

impl DateClock {
    pub(crate) fn now(&mut self) -> &str {
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.second != Some(second) {
            self.second = Some(second);
            self.text.clear();
            // From whole seconds since 1970: a clock that is set before that
            // would make httpdate panic.
            let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            write!(self.text, "{date}").expect("a String takes every write");
        }
        &self.text
    }
}
