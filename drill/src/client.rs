//! One client: it makes attempts until the server is gone, and notes how each
//! ended.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use clap::ValueEnum;
use fastrand::Rng;

use super::connection::Connection;
use super::connection::Pace;
use super::connection::Unconnected;
use super::connection::Unsent;
use super::stage::Stage;
use super::tally::Attempt;
use super::tally::Ending;
use super::tally::Expected;
use super::tally::Fate;
use super::tally::Loss;
use super::tally::Point;
use super::wire::Answer;

/// How many requests are pipelined at a time.
const PIPELINED: usize = 8;

/// The size of a body that is posted.
const BODY_BYTES: usize = 1024;

/// How long the second half of a body may be on its way, in milliseconds.
const BODY_PAUSE_MILLIS: std::ops::Range<u64> = 1..20;

/// How long an idle client pauses, in milliseconds.
const IDLE_PAUSE_MILLIS: std::ops::Range<u64> = 5..80;

/// How long a client that is refused before the stop waits to try again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// One connection for each request.
    New,
    /// One request after the other on a kept connection.
    KeepAlive,
    /// Eight requests at once on a kept connection.
    Pipelined,
    /// Bodies of 1 KiB, every other one in two parts.
    Post,
    /// Answers taken in small pieces, on a connection each.
    SlowReader,
    /// Pauses between the requests on a kept connection.
    Idle,
}

impl Mode {
    /// What the requests of this mode ask for.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Post => "POST",
            _ => "GET",
        }
    }

    /// As the command line, the table and JSON have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::KeepAlive => "keep-alive",
            Self::Pipelined => "pipelined",
            Self::Post => "post",
            Self::SlowReader => "slow-reader",
            Self::Idle => "idle",
        }
    }
}

/// The requests of a round, ready to be sent.
#[derive(Debug)]
pub(super) struct Requests {
    address: SocketAddr,
    patience: Duration,
    get: Vec<u8>,
    get_and_close: Vec<u8>,
    pipelined: Vec<u8>,
    post_head: Vec<u8>,
    post_body: Vec<u8>,
    post_and_close: Vec<u8>,
    /// The status of a right answer.
    expected: Expected,
}

impl Requests {
    pub(super) fn new(
        address: SocketAddr,
        authority: &str,
        path: &str,
        patience: Duration,
        expected: Expected,
    ) -> Self {
        let request = |method: &str, fields: &str| {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n");
            head.into_bytes()
        };
        let get = request("GET", "");
        let body_fields =
            format!("Content-Type: application/octet-stream\r\nContent-Length: {BODY_BYTES}\r\n");
        let post_body = vec![b'x'; BODY_BYTES];
        let post_head = request("POST", &format!("{body_fields}Connection: close\r\n"));
        Self {
            address,
            patience,
            get_and_close: request("GET", "Connection: close\r\n"),
            post_and_close: [post_head, post_body.clone()].concat(),
            pipelined: get.repeat(PIPELINED),
            get,
            post_head: request("POST", &body_fields),
            post_body,
            expected,
        }
    }

    /// Where they go.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks once for what this mode asks for, outside of any load.
    pub(super) fn ask(&self, mode: Mode, patience: Duration) -> Result<Answer, Loss> {
        let unconnected = Loss {
            point: Point::Connecting,
            ending: Ending::Reset,
        };
        let connection = Connection::open(self.address, patience, Pace::Full);
        let mut connection = connection.map_err(|_| unconnected)?;
        // If it cannot be sent, there is no answer either.
        let _ = connection.send(match mode {
            Mode::Post => &self.post_and_close,
            _ => &self.get_and_close,
        });
        connection.answer()
    }
}

/// One client of a round.
#[derive(Debug)]
pub(super) struct Client<'a> {
    requests: &'a Requests,
    stage: &'a Stage,
    rng: Rng,
    kept: Option<Connection>,
    attempts: Vec<Attempt>,
    /// Whether the stage knows that somebody is answered.
    told: bool,
}

/// Whether a client tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Leave,
}

impl<'a> Client<'a> {
    pub(super) fn new(requests: &'a Requests, stage: &'a Stage, rng: Rng) -> Self {
        Self {
            requests,
            stage,
            rng,
            kept: None,
            attempts: Vec::new(),
            told: false,
        }
    }

    /// A closed loop: the next attempt begins when the last has ended.
    pub(super) fn closed_loop(mut self, mode: Mode) -> Vec<Attempt> {
        while !self.stage.is_over() && self.attempt(mode) == Next::GoOn {
            if mode == Mode::Idle {
                let pause = self.rng.u64(IDLE_PAUSE_MILLIS);
                self.stage.sleep(Duration::from_millis(pause));
            }
        }
        self.attempts
    }

    /// An open loop: attempts at random moments, so many a second on average,
    /// whatever becomes of them. Many such clients together are a Poisson
    /// process, as each is one. A client that is late makes up for it.
    pub(super) fn open_loop(mut self, rate: f64) -> Vec<Attempt> {
        let mut due = Instant::now();
        loop {
            due += Duration::from_secs_f64(-(1.0 - self.rng.f64()).ln() / rate);
            let pause = due.saturating_duration_since(Instant::now());
            if !self.stage.sleep(pause) || self.attempt(Mode::New) == Next::Leave {
                return self.attempts;
            }
        }
    }

    /// A single request, not by the load but by the drill itself.
    pub(super) fn one(mut self) -> Vec<Attempt> {
        self.attempt(Mode::New);
        self.attempts
    }

    fn attempt(&mut self, mode: Mode) -> Next {
        let requests = self.requests;
        match mode {
            Mode::New => self.last_on_its_connection(Pace::Full),
            Mode::SlowReader => {
                let pace = Pace::Slow(self.rng.fork());
                self.last_on_its_connection(pace)
            }
            Mode::KeepAlive | Mode::Idle => self.single(&requests.get, Pace::Full),
            Mode::Pipelined => self.pipelined(),
            Mode::Post => self.post(),
        }
    }

    /// RFC 9112 section 9.6: who has said `close` sends nothing more, whatever
    /// the answer says.
    fn last_on_its_connection(&mut self, pace: Pace) -> Next {
        let next = self.single(&self.requests.get_and_close, pace);
        self.kept = None;
        next
    }

    fn single(&mut self, request: &[u8], pace: Pace) -> Next {
        let mut connection = match self.sent(request, pace) {
            Ok(connection) => connection,
            Err(next) => return next,
        };
        let answer = connection.answer();
        self.note_answer(answer);
        self.keep(connection, answer);
        Next::GoOn
    }

    fn pipelined(&mut self) -> Next {
        let mut connection = match self.sent(&self.requests.pipelined, Pace::Full) {
            Ok(connection) => connection,
            Err(next) => return next,
        };
        let mut last = connection.answer();
        self.note_answer(last);
        for _ in 1..PIPELINED {
            match last {
                Ok(answer) if answer.persists => {
                    last = connection.answer();
                    self.note_answer(last);
                }
                Ok(_) => self.note(Fate::Unprocessed),
                // Nothing said that these would not be answered.
                Err(Loss { ending, .. }) => self.note(Fate::Lost(Loss {
                    point: Point::Sent,
                    ending,
                })),
            }
        }
        self.keep(connection, last);
        Next::GoOn
    }

    fn post(&mut self) -> Next {
        let requests = self.requests;
        if self.rng.bool() {
            let whole = [requests.post_head.as_slice(), &requests.post_body].concat();
            return self.single(&whole, Pace::Full);
        }
        let mut connection = match self.sent(&requests.post_head, Pace::Full) {
            Ok(connection) => connection,
            Err(next) => return next,
        };
        let pause = self.rng.u64(BODY_PAUSE_MILLIS);
        thread::sleep(Duration::from_millis(pause));
        // RFC 9112 section 9.6: who is answered early does not send the rest,
        // which could destroy the answer.
        let complete = !connection.is_readable() && connection.send(&requests.post_body).is_ok();
        let answer = connection.answer();
        self.note_answer(answer);
        if complete {
            self.keep(connection, answer);
        }
        Next::GoOn
    }

    /// Sends a request on the kept connection if there is one that is still
    /// good, and on a new one otherwise.
    ///
    /// A kept connection that the server has ended before anything of this
    /// request was sent is no loss: the attempt goes on with a new one.
    fn sent(&mut self, request: &[u8], pace: Pace) -> Result<Connection, Next> {
        if let Some(mut kept) = self.kept.take()
            && !kept.is_over()
            && kept.send(request) != Err(Unsent::Nothing)
        {
            // Sent in part or in full: there may be an answer in both cases.
            return Ok(kept);
        }
        let mut connection = self.connect(pace)?;
        match connection.send(request) {
            Ok(()) | Err(Unsent::Partly) => Ok(connection),
            Err(Unsent::Nothing) => {
                // An answer to nothing, such as a 503 to everyone, is one.
                let answer = connection.answer().map_err(|loss| match loss.point {
                    Point::Sent => Loss {
                        point: Point::Connected,
                        ..loss
                    },
                    _ => loss,
                });
                self.note_answer(answer);
                Err(Next::GoOn)
            }
        }
    }

    fn connect(&mut self, pace: Pace) -> Result<Connection, Next> {
        let stopping = self.stage.is_stopping();
        match Connection::open(self.requests.address, self.requests.patience, pace) {
            Ok(connection) => Ok(connection),
            Err(Unconnected::Refused) => {
                self.note(Fate::Refused);
                // Refused for good, unless the stop has begun only since then.
                if stopping {
                    return Err(Next::Leave);
                }
                self.stage.sleep(RETRY_PAUSE);
                Err(Next::GoOn)
            }
            Err(Unconnected::Lost(loss)) => {
                self.note(Fate::Lost(loss));
                Err(Next::GoOn)
            }
            Err(Unconnected::Obstacle(error)) => {
                self.stage.change(|scene| scene.obstacle = Some(error));
                Err(Next::Leave)
            }
        }
    }

    /// Keeps a connection on which another request can follow.
    fn keep(&mut self, connection: Connection, last: Result<Answer, Loss>) {
        self.kept = last
            .is_ok_and(|answer| answer.persists)
            .then_some(connection);
    }

    fn note_answer(&mut self, answer: Result<Answer, Loss>) {
        self.note(match answer {
            Ok(answer) if self.requests.expected.includes(answer.status) => {
                Fate::Answered(answer.status)
            }
            Ok(answer) => Fate::Unexpected(answer.status),
            Err(loss) if loss.point == Point::Answering => Fate::Truncated(loss),
            Err(loss) => Fate::Lost(loss),
        });
    }

    fn note(&mut self, fate: Fate) {
        self.attempts.push(Attempt {
            fate,
            ended: Instant::now(),
        });
        let is_answered = matches!(fate, Fate::Answered(_) | Fate::Unexpected(..500));
        if is_answered && !self.told {
            self.told = true;
            self.stage.change(|scene| scene.answered = true);
        }
    }
}

#[cfg(test)]
mod tests;
