//! The queue between those who find work and those who do it: one bounded
//! crossbeam channel of connections.
//!
//! It has room for all connections that there may be, and a connection is in
//! one place at a time, so a send never waits. (Twice as many, because in a
//! sweep those who follow the shutdown take no place from others. Should they
//! be even more, a send waits for a worker, which waits for nobody.) It has two senders, the acceptor
//! and the lot. Each drops its own when nothing can come from it any more, and
//! with the last one the queue closes by itself: the workers serve what is in
//! it, and their loops end. No receiver is dropped before that; that would
//! strand what is queued.

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

/// One of the queue's two ends for sending.
#[derive(Debug)]
pub(crate) struct Sender {
    sender: crossbeam_channel::Sender<Box<Connection>>,
    books: Arc<Books>,
}

/// A queue for so many connections, with its two senders.
pub(crate) fn queue(connections_max: usize, books: &Arc<Books>) -> (Sender, Sender, Queue) {
    let (sender, receiver) = crossbeam_channel::bounded(2 * connections_max);
    let new_sender = || Sender {
        sender: sender.clone(),
        books: Arc::clone(books),
    };
    let queue = Queue {
        receiver,
        books: Arc::clone(books),
    };
    (new_sender(), new_sender(), queue)
}

impl Sender {
    pub(crate) fn send(&self, connection: Box<Connection>) {
        if connection.is_idle() {
            self.books.waiting_begun();
        }
        self.sender
            .send(connection)
            .expect("the staff holds a receiver until the last sender is dropped");
    }
}

impl Queue {
    /// The connections in turn, waiting for each; ends when the queue is closed
    /// and empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Box<Connection>> {
        self.receiver
            .iter()
            .inspect(|connection| self.left(connection))
    }

    /// Those that are there.
    pub(crate) fn try_iter(&self) -> impl Iterator<Item = Box<Connection>> {
        self.receiver
            .try_iter()
            .inspect(|connection| self.left(connection))
    }

    /// What a connection is does not change while it is in the queue.
    fn left(&self, connection: &Connection) {
        if connection.is_idle() {
            self.books.waiting_ended();
        }
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

    /// Sends what `connection` makes. `false` if the intake is closed; then
    /// nothing is made.
    pub(crate) fn send(&self, connection: impl FnOnce() -> Box<Connection>) -> bool {
        match &*self.lock() {
            Some(sender) => {
                sender.send(connection());
                true
            }
            None => false,
        }
    }

    /// Nothing comes from the acceptor any more.
    pub(crate) fn close(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
