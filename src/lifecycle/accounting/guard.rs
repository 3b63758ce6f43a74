//! The entries of one connection in the accounting.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::Accounting;
use crate::lifecycle::bytes_left::Entered;
use crate::lifecycle::numbers::Block;
use crate::lifecycle::numbers::Ended;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::rejection_reason::RejectionReason;

/// Accounts for one connection. A drop without an outcome is a bug.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    accounting: Arc<Accounting>,
    /// Where its requests are counted.
    block: Arc<Block>,
    number: u64,
    /// A request of the connection is in progress.
    request: bool,
    /// What is left to send of its response, as far as that is counted.
    entered: Entered,
    ended: bool,
}

impl ConnectionGuard {
    pub(super) fn new(accounting: Arc<Accounting>, block: Arc<Block>, number: u64) -> Self {
        Self {
            accounting,
            block,
            number,
            request: false,
            entered: Entered::default(),
            ended: false,
        }
    }

    /// The connection's number: 1 for the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Counts a request of the connection. It has to end before the connection.
    pub(crate) fn request_begun(&mut self) {
        debug_assert!(!self.request, "one request at a time");
        self.request = true;
        self.block.request_begun();
        self.accounting.request_begun();
    }

    /// So many bytes are left of the body of its response.
    pub(crate) fn response_bytes_left(&mut self, left: u64) {
        self.block.bytes_left.update(&mut self.entered, left);
    }

    /// Counts a request whose handler a worker calls as soon as it knows of it.
    #[inline]
    pub(crate) fn request_did_not_wait(&self) {
        self.block.request_did_not_wait();
    }

    /// Counts how long a request waited for the worker that calls its handler.
    pub(crate) fn request_left_queue(&self, after: Duration) {
        self.block.request_left_queue(after);
    }

    /// Counts a request that the server itself rejects.
    pub(crate) fn request_rejected(&self, reason: RejectionReason) {
        self.block.request_rejected(reason);
    }

    /// Counts a handler that has panicked.
    #[cold]
    pub(crate) fn handler_panicked(&self) {
        self.block.handler_panicked();
    }

    pub(crate) fn request_ended(&mut self, ended: &Ended) {
        self.request = false;
        if !self.entered.is_none() {
            let is_whole = ended.outcome.is_whole();
            self.block.bytes_left.end(&mut self.entered, is_whole);
        }
        let after_trigger = self.accounting.after_trigger();
        self.block.request_ended(ended, after_trigger);
        self.accounting.request_ended();
    }

    pub(crate) fn end(mut self, outcome: ConnectionOutcome) {
        self.record(outcome);
    }

    fn record(&mut self, outcome: ConnectionOutcome) {
        self.ended = true;
        self.accounting
            .connections
            .count(outcome, self.accounting.after_trigger());
        self.accounting.open.fetch_sub(1, SeqCst);
        self.accounting.life.counts_changed();
        // A stop waits for this. Every other change that can make it true notifies
        // by itself.
        if self.accounting.only_followers_left() {
            self.accounting.life.notify();
        }
    }
}

impl Drop for ConnectionGuard {
    /// A bug must not keep the server from stopping, so a connection that was
    /// dropped without an outcome counts as cut.
    fn drop(&mut self) {
        if self.request {
            self.request_ended(&Ended::without_answer(RequestOutcome::Cut));
        }
        if !self.ended {
            self.record(ConnectionOutcome::Cut);
            debug_assert!(
                std::thread::panicking(),
                "a connection was dropped without an outcome"
            );
        }
    }
}
