//! The queue between the lot and the workers: a crossbeam channel of
//! connections that can go on, one for each row of the lot.
//!
//! A connection is in one place at a time, so no more are in it than there may
//! be connections, and a send never waits. Whoever polls the row sends; the
//! worker that has its seat receives, and the others when they have nothing to
//! do. When nobody is left, the sender is dropped, the queue closes by itself,
//! and the workers' loops end. The receiver lives as long as the row; dropping
//! it earlier would strand what is queued.

use crossbeam_channel::TryRecvError;

use super::connection::Connection;
use crate::drain::books::Gauge;

/// The queue's end for sending.
#[derive(Debug)]
pub(crate) struct Sender {
    sender: crossbeam_channel::Sender<Box<Connection>>,
    waiting: Gauge,
}

/// The queue's end for receiving.
#[derive(Debug)]
pub(crate) struct Queue {
    receiver: crossbeam_channel::Receiver<Box<Connection>>,
    waiting: Gauge,
}

/// What a look into the queue gave.
#[derive(Debug)]
pub(crate) enum Received {
    Connection(Box<Connection>),
    Nobody,
    /// Nobody will come any more.
    Closed,
}

/// An empty queue. `waiting` shows how many of those in it have no request in
/// progress.
pub(crate) fn queue(waiting: Gauge) -> (Sender, Queue) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let queue = Queue {
        receiver,
        waiting: waiting.clone(),
    };
    (Sender { sender, waiting }, queue)
}

impl Sender {
    pub(crate) fn send(&self, connection: Box<Connection>) {
        if connection.is_idle() {
            self.waiting.add_one();
        }
        self.sender
            .send(connection)
            .expect("the receiver lives as long as the row");
    }
}

impl Queue {
    /// The first of those that are there.
    pub(crate) fn receive(&self) -> Received {
        match self.receiver.try_recv() {
            Ok(connection) => {
                // What it is does not change while it is in the queue.
                if connection.is_idle() {
                    self.waiting.subtract_one();
                }
                Received::Connection(connection)
            }
            Err(TryRecvError::Empty) => Received::Nobody,
            Err(TryRecvError::Disconnected) => Received::Closed,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}
