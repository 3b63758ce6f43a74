//! One client of the load: makes attempts until the server has ended, and
//! records how each attempt ended.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use clap::ValueEnum;
use fastrand::Rng;

use super::connection::ClientConnection;
use super::connection::ConnectError;
use super::connection::ReadSpeed;
use super::connection::SendError;
use super::outcome::Attempt;
use super::outcome::AttemptStage;
use super::outcome::Expected;
use super::outcome::Loss;
use super::outcome::LossCause;
use super::outcome::Outcome;
use super::response::Response;
use super::watch::RoundWatch;

/// Number of requests that are pipelined at a time.
const PIPELINED_REQUESTS: usize = 8;

/// Size of the body of a POST.
const POST_BODY_BYTES: usize = 1024;

/// Pause between the two parts of a body, in milliseconds.
const BODY_PAUSE_MILLIS: std::ops::Range<u64> = 1..20;

/// Pause of an idle client between two requests, in milliseconds.
const IDLE_PAUSE_MILLIS: std::ops::Range<u64> = 5..80;

/// Pause before the next attempt, for a client whose connection was refused
/// before the stop.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// A new connection for each request
    New,
    /// One request after another on a keep-alive connection
    KeepAlive,
    /// Eight requests at a time on a keep-alive connection
    Pipelined,
    /// POSTs with a body of 1 KiB, half of them sent in two parts
    Post,
    /// A new connection for each request; the response is read in small pieces
    SlowReader,
    /// A keep-alive connection, with pauses between the requests
    Idle,
}

impl Mode {
    /// The method of the requests in this mode.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Post => "POST",
            _ => "GET",
        }
    }

    /// The name on the command line, in the table and in JSON.
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

/// The bytes of a round's requests, and what its clients need to send them.
#[derive(Debug)]
pub(super) struct Requests {
    address: SocketAddr,
    patience: Duration,
    get: Vec<u8>,
    get_with_close: Vec<u8>,
    pipelined: Vec<u8>,
    post_head: Vec<u8>,
    post_body: Vec<u8>,
    post_with_close: Vec<u8>,
    /// The status that a response should have.
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
        let body_fields = format!(
            "Content-Type: application/octet-stream\r\nContent-Length: {POST_BODY_BYTES}\r\n"
        );
        let post_body = vec![b'x'; POST_BODY_BYTES];
        let post_head = request("POST", &format!("{body_fields}Connection: close\r\n"));
        Self {
            address,
            patience,
            get_with_close: request("GET", "Connection: close\r\n"),
            post_with_close: [post_head, post_body.clone()].concat(),
            pipelined: get.repeat(PIPELINED_REQUESTS),
            get,
            post_head: request("POST", &body_fields),
            post_body,
            expected,
        }
    }

    /// The address that the requests are sent to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request of this mode on a new connection. It is not counted.
    pub(super) fn request_once(&self, mode: Mode, patience: Duration) -> Result<Response, Loss> {
        let connect_error = Loss {
            stage: AttemptStage::Connecting,
            cause: LossCause::Reset,
        };
        let connection = ClientConnection::open(self.address, patience, ReadSpeed::Full);
        let mut connection = connection.map_err(|_| connect_error)?;
        // A request that cannot be sent gets no response either.
        let _ = connection.send(match mode {
            Mode::Post => &self.post_with_close,
            _ => &self.get_with_close,
        });
        connection.read_response()
    }
}

/// One client of a round.
#[derive(Debug)]
pub(super) struct Client<'a> {
    requests: &'a Requests,
    watch: &'a RoundWatch,
    rng: Rng,
    kept_alive: Option<ClientConnection>,
    attempts: Vec<Attempt>,
    /// Whether the watch knows that the server has answered this client.
    has_reported_response: bool,
}

impl<'a> Client<'a> {
    pub(super) fn new(requests: &'a Requests, watch: &'a RoundWatch, rng: Rng) -> Self {
        Self {
            requests,
            watch,
            rng,
            kept_alive: None,
            attempts: Vec::new(),
            has_reported_response: false,
        }
    }

    /// Closed loop: each attempt begins when the last one has ended.
    pub(super) fn closed_loop(mut self, mode: Mode) -> Vec<Attempt> {
        while !self.watch.server_has_ended() && self.attempt(mode) == ControlFlow::Continue(()) {
            if mode == Mode::Idle {
                let pause = self.rng.u64(IDLE_PAUSE_MILLIS);
                self.watch.sleep(Duration::from_millis(pause));
            }
        }
        self.attempts
    }

    /// Open loop: attempts begin at random times, at this average rate per
    /// second, whatever the server does. The times of one client are a Poisson
    /// process, and so are those of all clients together. An attempt that is
    /// late does not delay the next ones.
    pub(super) fn open_loop(mut self, rate: f64) -> Vec<Attempt> {
        let mut due = Instant::now();
        loop {
            due += Duration::from_secs_f64(-(1.0 - self.rng.f64()).ln() / rate);
            let pause = due.saturating_duration_since(Instant::now());
            if !self.watch.sleep(pause) || self.attempt(Mode::New) == ControlFlow::Break(()) {
                return self.attempts;
            }
        }
    }

    /// One request that the drill itself sends, such as the request to stop.
    pub(super) fn single_request(mut self) -> Vec<Attempt> {
        // The flow matters only to a client that makes further attempts.
        let _ = self.attempt(Mode::New);
        self.attempts
    }

    fn attempt(&mut self, mode: Mode) -> ControlFlow<()> {
        let requests = self.requests;
        match mode {
            Mode::New => self.exchange_and_close(ReadSpeed::Full),
            Mode::SlowReader => {
                let read_speed = ReadSpeed::Slow(self.rng.fork());
                self.exchange_and_close(read_speed)
            }
            Mode::KeepAlive | Mode::Idle => self.exchange(&requests.get, ReadSpeed::Full),
            Mode::Pipelined => self.pipelined(),
            Mode::Post => self.post(),
        }
    }

    /// A client that has sent `Connection: close` sends nothing more on this
    /// connection, whatever the response says (RFC 9112 section 9.6).
    fn exchange_and_close(&mut self, read_speed: ReadSpeed) -> ControlFlow<()> {
        let flow = self.exchange(&self.requests.get_with_close, read_speed);
        self.kept_alive = None;
        flow
    }

    fn exchange(&mut self, request: &[u8], read_speed: ReadSpeed) -> ControlFlow<()> {
        let mut connection = match self.send_request(request, read_speed) {
            Ok(connection) => connection,
            Err(flow) => return flow,
        };
        let response = connection.read_response();
        self.record_response(response);
        self.keep(connection, response);
        ControlFlow::Continue(())
    }

    fn pipelined(&mut self) -> ControlFlow<()> {
        let mut connection = match self.send_request(&self.requests.pipelined, ReadSpeed::Full) {
            Ok(connection) => connection,
            Err(flow) => return flow,
        };
        let mut last = connection.read_response();
        self.record_response(last);
        for _ in 1..PIPELINED_REQUESTS {
            match last {
                Ok(response) if response.persists => {
                    last = connection.read_response();
                    self.record_response(last);
                }
                Ok(_) => self.record(Outcome::Unprocessed),
                // No response has announced that the connection closes.
                Err(Loss { cause, .. }) => self.record(Outcome::Lost(Loss {
                    stage: AttemptStage::Sent,
                    cause,
                })),
            }
        }
        self.keep(connection, last);
        ControlFlow::Continue(())
    }

    fn post(&mut self) -> ControlFlow<()> {
        let requests = self.requests;
        if self.rng.bool() {
            let whole = [requests.post_head.as_slice(), &requests.post_body].concat();
            return self.exchange(&whole, ReadSpeed::Full);
        }
        let mut connection = match self.send_request(&requests.post_head, ReadSpeed::Full) {
            Ok(connection) => connection,
            Err(flow) => return flow,
        };
        let pause = self.rng.u64(BODY_PAUSE_MILLIS);
        thread::sleep(Duration::from_millis(pause));
        // A client that gets a response before it has sent the whole body does
        // not send the rest: a reset could destroy the response (RFC 9112
        // section 9.6).
        let complete = !connection.is_readable() && connection.send(&requests.post_body).is_ok();
        let response = connection.read_response();
        self.record_response(response);
        if complete {
            self.keep(connection, response);
        }
        ControlFlow::Continue(())
    }

    /// Sends a request on the keep-alive connection if it is still usable, and
    /// on a new connection otherwise.
    ///
    /// It is not a loss if the server has closed the keep-alive connection
    /// before any byte of this request was sent: the attempt continues on a new
    /// one.
    fn send_request(
        &mut self,
        request: &[u8],
        read_speed: ReadSpeed,
    ) -> Result<ClientConnection, ControlFlow<()>> {
        if let Some(mut kept) = self.kept_alive.take()
            && !kept.is_unusable()
            && kept.send(request) != Err(SendError::NothingSent)
        {
            // The server may answer in both cases.
            return Ok(kept);
        }
        let mut connection = self.connect(read_speed)?;
        match connection.send(request) {
            Ok(()) | Err(SendError::PartlySent) => Ok(connection),
            Err(SendError::NothingSent) => {
                // A response may come although nothing was sent, such as a 503
                // for every connection.
                let response = connection.read_response().map_err(|loss| match loss.stage {
                    AttemptStage::Sent => Loss {
                        stage: AttemptStage::Connected,
                        ..loss
                    },
                    _ => loss,
                });
                self.record_response(response);
                Err(ControlFlow::Continue(()))
            }
        }
    }

    fn connect(&mut self, read_speed: ReadSpeed) -> Result<ClientConnection, ControlFlow<()>> {
        let stopping = self.watch.is_stopping();
        match ClientConnection::open(self.requests.address, self.requests.patience, read_speed) {
            Ok(connection) => Ok(connection),
            Err(ConnectError::Refused) => {
                self.record(Outcome::ConnectionRefused);
                // Once the stop has begun, a refused connection means that the
                // port is closed for good.
                if stopping {
                    return Err(ControlFlow::Break(()));
                }
                self.watch.sleep(RETRY_PAUSE);
                Err(ControlFlow::Continue(()))
            }
            Err(ConnectError::Lost(loss)) => {
                self.record(Outcome::Lost(loss));
                Err(ControlFlow::Continue(()))
            }
            Err(ConnectError::Local(error)) => {
                self.watch.update(|state| state.local_error = Some(error));
                Err(ControlFlow::Break(()))
            }
        }
    }

    /// Keeps the connection for the next request, if it persists.
    fn keep(&mut self, connection: ClientConnection, last: Result<Response, Loss>) {
        self.kept_alive = last
            .is_ok_and(|response| response.persists)
            .then_some(connection);
    }

    fn record_response(&mut self, response: Result<Response, Loss>) {
        self.record(match response {
            Ok(response) if self.requests.expected.includes(response.status) => {
                Outcome::Answered(response.status)
            }
            Ok(response) => Outcome::UnexpectedStatus(response.status),
            Err(loss) if loss.stage == AttemptStage::ReceivingResponse => Outcome::Truncated(loss),
            Err(loss) => Outcome::Lost(loss),
        });
    }

    fn record(&mut self, outcome: Outcome) {
        self.attempts.push(Attempt {
            outcome,
            ended: Instant::now(),
        });
        let is_answered = matches!(
            outcome,
            Outcome::Answered(_) | Outcome::UnexpectedStatus(..500)
        );
        if is_answered && !self.has_reported_response {
            self.has_reported_response = true;
            self.watch.update(|state| state.answered = true);
        }
    }
}

#[cfg(test)]
mod tests;
