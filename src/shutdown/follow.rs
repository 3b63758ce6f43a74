//! What the followers of a shutdown are told, and how it gets to them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::lifecycle::accounting::Books;
use crate::lifecycle::accounting::Counts;
use crate::lifecycle::report::Report;
use crate::message::body::source::Nature;
use crate::message::body::source::Piece;
use crate::message::body::source::Source;
use crate::message::body::source::Waker;

/// What a follower of the shutdown is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// What is still going on.
    Counts(Counts),
    /// Everyone else is done. Boxed for its size.
    Finished(Box<Report>),
}

/// Where the latest news of the shutdown stands.
#[derive(Default)]
pub(crate) struct Board {
    news: Mutex<News>,
}

#[derive(Default)]
struct News {
    number: u64,
    latest: Option<Progress>,
    /// Of the followers that have seen the latest, by their numbers.
    waiting: HashMap<u64, Waker>,
    /// How many followers there have been.
    followers: u64,
}

impl Board {
    pub(super) fn publish(&self, progress: Progress) {
        let waiting = {
            let mut news = self.lock();
            news.number += 1;
            news.latest = Some(progress);
            std::mem::take(&mut news.waiting)
        };
        for wake in waiting.into_values() {
            wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Board(news {})", self.lock().number)
    }
}

/// One reader of the board.
pub(super) struct Follower {
    board: Arc<Board>,
    books: Arc<Books>,
    render: Render,
    /// Its own number, once its answer has begun.
    number: Option<u64>,
    /// The number of the news that it has read.
    seen: Option<u64>,
    told_end: bool,
}

/// Makes the text of a piece.
pub(super) type Render = Box<dyn FnMut(&Progress) -> String + Send>;

impl Follower {
    pub(super) fn new(board: Arc<Board>, books: Arc<Books>, render: Render) -> Self {
        Self {
            board,
            books,
            render,
            number: None,
            seen: None,
            told_end: false,
        }
    }
}

impl Source for Follower {
    fn next(&mut self, waker: &Waker) -> Piece {
        while !self.told_end {
            let progress = {
                let mut news = self.board.lock();
                if self.seen == Some(news.number) {
                    let number = self.number.unwrap_or_default();
                    news.waiting.insert(number, Arc::clone(waker));
                    return Piece::NotYet;
                }
                self.seen = Some(news.number);
                let now = || Progress::Counts(self.books.counts());
                news.latest.clone().unwrap_or_else(now)
            };
            self.told_end = matches!(progress, Progress::Finished(_));
            let text = (self.render)(&progress);
            if !text.is_empty() {
                return Piece::Data(text.into());
            }
        }
        Piece::End
    }

    fn nature(&self) -> Nature {
        Nature::Follower
    }

    /// Not before, or a handler that makes one and does not return would pass
    /// for one that only watches.
    fn begin(&mut self) {
        let mut news = self.board.lock();
        news.followers += 1;
        self.number = Some(news.followers);
        drop(news);
        self.books.follower_came();
    }

    fn end(&mut self) {
        if let Some(number) = self.number.take() {
            self.board.lock().waiting.remove(&number);
            self.books.follower_left();
        }
    }
}

impl Drop for Follower {
    /// If a stop has taken the connection while a piece was rendered.
    fn drop(&mut self) {
        self.end();
    }
}
