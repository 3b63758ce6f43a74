//! The queue between those who find work and those who do it: one bounded
//! crossbeam channel of connections.
//!
//! It is as large as there may be connections, and a connection is in one
//! place at a time, so a send never waits. It has two senders, the acceptor
//! and the lot. Each drops its own when nothing can come from it any more, and
//! with the last one the queue closes by itself: the workers serve what is in
//! it, and their loops end. No receiver is dropped before that; that would
//! strand what is queued.

use crossbeam_channel::Receiver;

use super::connection::Connection;

pub(crate) type Queue = Receiver<Box<Connection>>;

/// One of the queue's two ends for sending.
#[derive(Debug)]
pub(crate) struct Sender(crossbeam_channel::Sender<Box<Connection>>);

/// A queue for so many connections, with its two senders.
pub(crate) fn queue(connections_max: usize) -> (Sender, Sender, Queue) {
    let (sender, queue) = crossbeam_channel::bounded(connections_max);
    (Sender(sender.clone()), Sender(sender), queue)
}

impl Sender {
    pub(crate) fn send(&self, connection: Box<Connection>) {
        debug_assert!(!self.0.is_full(), "more connections than the queue is for");
        self.0
            .send(connection)
            .expect("the workers hold the receiver until the last sender is dropped");
    }
}
