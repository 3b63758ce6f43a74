//! The progress of a shutdown, and how it reaches its followers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::counts::Counts;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::report::Report;
use crate::message::body::source::BodyKind;
use crate::message::body::source::Piece;
use crate::message::body::source::PieceSource;
use crate::message::body::source::Waker;

/// The progress of a shutdown, for its followers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// The connections and requests that are left.
    Counts(Counts),
    /// Only connections that follow the shutdown are left. Boxed for its size.
    Finished(Box<Report>),
}

/// Carries the progress of the shutdown to its followers: the latest value, and
/// the wakers of the followers that have seen it.
#[derive(Default)]
pub(crate) struct ProgressChannel {
    published: Mutex<Published>,
    /// The followers whose answers have begun, at any server.
    open: AtomicUsize,
}

#[derive(Default)]
struct Published {
    /// How many values there have been.
    number: u64,
    latest: Option<Progress>,
    /// The wakers of the followers that have read the latest progress, by the
    /// followers' numbers.
    waiting: HashMap<u64, Waker>,
    /// How many followers there have been so far.
    followers: u64,
}

impl ProgressChannel {
    pub(super) fn publish(&self, progress: Progress) {
        self.publish_if(progress, |_| true);
    }

    /// Has each follower send a piece for the counts of this moment, unless the last
    /// piece is published.
    pub(super) fn publish_now(&self, accounting: &Accounting) {
        let counts = Progress::Counts(accounting.counts());
        self.publish_if(counts, |latest| {
            !matches!(latest, Some(Progress::Finished(_)))
        });
    }

    fn publish_if(&self, progress: Progress, wanted: impl Fn(Option<&Progress>) -> bool) {
        let waiting = {
            let mut published = self.lock();
            if !wanted(published.latest.as_ref()) {
                return;
            }
            published.number += 1;
            published.latest = Some(progress);
            std::mem::take(&mut published.waiting)
        };
        for wake in waiting.into_values() {
            wake();
        }
    }

    /// How many followers there are, at any server.
    pub(super) fn followers(&self) -> usize {
        self.open.load(SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProgressChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProgressChannel({} published)", self.lock().number)
    }
}

/// One follower of the shutdown, as the body of a response.
pub(super) struct Follower {
    progress: Arc<ProgressChannel>,
    accounting: Arc<Accounting>,
    render: Render,
    /// The follower's number, once it has waited.
    number: Option<u64>,
    /// The server that sends it is the one that it follows.
    is_own: bool,
    /// Its answer has begun, so it is counted.
    is_counted: bool,
    /// The last call of another server that sends it is over.
    is_closed: bool,
    /// The number of the latest value that the follower has seen.
    seen: Option<u64>,
    is_finished: bool,
}

/// Makes the text of a piece.
pub(super) type Render = Box<dyn FnMut(&Progress) -> String + Send>;

impl Follower {
    pub(super) fn new(
        progress: Arc<ProgressChannel>,
        accounting: Arc<Accounting>,
        render: Render,
    ) -> Self {
        Self {
            progress,
            accounting,
            render,
            number: None,
            is_own: false,
            is_counted: false,
            is_closed: false,
            seen: None,
            is_finished: false,
        }
    }
}

impl PieceSource for Follower {
    fn next(&mut self, waker: &Waker) -> Piece {
        while !self.is_finished {
            let progress = {
                let mut published = self.progress.lock();
                if self.seen == Some(published.number) {
                    if self.is_closed {
                        return Piece::End;
                    }
                    let number = *self.number.get_or_insert_with(|| {
                        published.followers += 1;
                        published.followers
                    });
                    published.waiting.insert(number, Arc::clone(waker));
                    return Piece::NotYet;
                }
                self.seen = Some(published.number);
                let now = || Progress::Counts(self.accounting.counts());
                published.latest.clone().unwrap_or_else(now)
            };
            self.is_finished = matches!(progress, Progress::Finished(_));
            let text = (self.render)(&progress);
            if !text.is_empty() {
                return Piece::Data(text.into());
            }
        }
        Piece::End
    }

    /// To another server, which may stop while the followed one goes on, the body is one
    /// that ends with its last call.
    fn kind(&self) -> BodyKind {
        match self.is_own {
            true => BodyKind::Follower,
            false => BodyKind::Endless,
        }
    }

    fn set_server(&mut self, server: &Lifecycle) {
        self.is_own = self.accounting.is_of(server);
    }

    /// Counts the follower only when its answer begins: a handler that creates it
    /// and does not return is a request, for which the drain waits. A follower that
    /// code of the application reads has no connection, and is not counted.
    ///
    /// The connection of a follower at another server is none of the followed one, which
    /// must not count it.
    fn begin(&mut self) {
        self.is_counted = true;
        self.progress.open.fetch_add(1, SeqCst);
        match self.is_own {
            true => self.accounting.follower_added(),
            false => self.accounting.wake_stop(),
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
    }

    fn end(&mut self) {
        if let Some(number) = self.number.take() {
            self.progress.lock().waiting.remove(&number);
        }
        if std::mem::take(&mut self.is_counted) {
            self.progress.open.fetch_sub(1, SeqCst);
            match self.is_own {
                true => self.accounting.follower_removed(),
                false => self.accounting.wake_stop(),
            }
        }
    }
}

impl Drop for Follower {
    /// An abort may have closed the connection during `render`, without a call of
    /// `end`.
    fn drop(&mut self) {
        self.end();
    }
}
