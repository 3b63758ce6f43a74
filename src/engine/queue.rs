//! The queue between the acceptor and the workers: one bounded crossbeam
//! channel of connections that have not had a turn yet.
//!
//! It has room for all connections that there may be, so a send never waits.
//! (Twice as many, because in a sweep those who follow the shutdown take no
//! place from others. Should they be even more, a send waits for a worker,
//! which waits for nobody.) The acceptor drops its sender when nothing can come
//! any more, and the queue closes by itself: the workers serve what is in it.
//! No receiver is dropped before that; that would strand what is queued.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use super::connection::Connection;
use crate::drain::books::Books;

/// The queue's end for receiving. Each worker has one.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    receiver: crossbeam_channel::Receiver<Box<Connection>>,
    books: Arc<Books>,
}

/// The queue's end for sending.
#[derive(Debug)]
pub(crate) struct Sender {
    sender: crossbeam_channel::Sender<Box<Connection>>,
    books: Arc<Books>,
}

/// A queue for so many connections.
pub(crate) fn queue(connections_max: usize, books: &Arc<Books>) -> (Sender, Queue) {
    let (sender, receiver) = crossbeam_channel::bounded(2 * connections_max);
    let sender = Sender {
        sender,
        books: Arc::clone(books),
    };
    let queue = Queue {
        receiver,
        books: Arc::clone(books),
    };
    (sender, queue)
}

impl Sender {
    fn send(&self, connection: Box<Connection>) {
        self.books.waiting_begun();
        self.sender
            .send(connection)
            .expect("the staff holds a receiver until the sender is dropped");
    }
}

impl Queue {
    /// Those that are there, in turn.
    pub(crate) fn try_iter(&self) -> impl Iterator<Item = Box<Connection>> {
        self.receiver
            .try_iter()
            .inspect(|_| self.books.waiting_ended())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

/// The acceptor's sender, which the coordinator of a stop can drop for it: an
/// acceptor that cannot be woken must not keep the queue open.
#[derive(Debug)]
pub(crate) struct Intake(Mutex<Option<Sender>>);

impl Intake {
    pub(crate) fn new(sender: Sender) -> Self {
        Self(Mutex::new(Some(sender)))
    }

    /// Sends what `connection` makes, and says its number. `None` if the intake
    /// is closed; then nothing is made.
    pub(crate) fn send(&self, connection: impl FnOnce() -> Box<Connection>) -> Option<u64> {
        let sender = self.lock();
        let sender = sender.as_ref()?;
        let connection = connection();
        let number = connection.number();
        sender.send(connection);
        Some(number)
    }

    /// Nothing comes from the acceptor any more.
    pub(crate) fn close(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
