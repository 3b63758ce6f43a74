//! A connection over a pair of sockets, driven as a worker drives it, but without a
//! thread and without polling.

mod client;
mod plan;

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::HeaderMap;
use http::HeaderName;
use http::Method;
use http::Uri;
use http::header;

use self::client::Client;
use self::plan::Interruption;
use self::plan::Plan;
use self::plan::Reading;
use super::answers;
use super::cuts;
use crate::engine::buffer::Buffer;
use crate::engine::connection::Admitted;
use crate::engine::connection::Answer;
use crate::engine::connection::Call;
use crate::engine::connection::Connection;
use crate::engine::connection::Context;
use crate::engine::connection::Next;
use crate::engine::connection::OwnResponse;
use crate::engine::connection::Pulled;
use crate::engine::connection::Serves;
use crate::engine::connection::StreamBody;
use crate::engine::date::DateClock;
use crate::engine::deferred::Deferred;
use crate::engine::monitor_waker::MonitorWaker;
use crate::engine::peers::Peers;
use crate::engine::places::Places;
use crate::engine::services::Services;
use crate::engine::shard::Job;
use crate::engine::shard::Wait;
use crate::journal::Journal;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::outcome::RequestOutcome;
use crate::lifecycle::phase::Abort;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Trigger;
use crate::message::body::Body;
use crate::message::body::source::Piece;
use crate::message::request::Request;
use crate::message::request_body::BodyError;
use crate::message::response::IntoResponse;
use crate::message::response::Response;
use crate::net::os::Ready;

/// As large as a worker's.
const BUFFER_BYTES: usize = 16 * 1024;

/// A request that reached a handler, with the part of the body that the handler read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledRequest {
    /// The method.
    pub method: String,
    /// The target, as a `Uri` shows it.
    pub target: String,
    /// The header fields, except those that a server may change: `Host`, which the host
    /// of the target replaces, and `Content-Length`, which may be repeated.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What happened to a stream of requests.
#[derive(Debug)]
pub struct Seen {
    /// All bytes that the client sent.
    pub stream: Vec<u8>,
    /// The requests, in order.
    pub exchanges: Vec<HandledRequest>,
    /// The status of the refusal after them, if there was one.
    pub refused: Option<u16>,
}

impl HandledRequest {
    /// A request, from the parts that every server knows.
    pub fn new(method: &Method, target: &Uri, fields: &HeaderMap, body: Vec<u8>) -> Self {
        let kept = |name: &HeaderName| ![header::HOST, header::CONTENT_LENGTH].contains(name);
        Self {
            method: method.to_string(),
            target: target.to_string(),
            fields: fields
                .iter()
                .filter(|(name, _)| kept(name))
                .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                .collect(),
            body,
        }
    }

    /// Whether the heads of both are equal.
    fn has_head_of(&self, other: &Self) -> bool {
        (&self.method, &self.target, &self.fields) == (&other.method, &other.target, &other.fields)
    }
}

/// Sends a stream of requests over a connection twice: as a whole, and as the plan at
/// the start of `input` says. Returns what the first run saw.
///
/// # Panics
///
/// The two runs see different requests, a connection does not end, the accounting does
/// not add up, or the server's bytes are not a sequence of responses.
pub fn connection(input: &[u8]) -> Option<Seen> {
    let (bytes, stream) = input.split_first_chunk()?;
    let plan = Plan::read(bytes);
    let stream = plan.stream(stream);
    let mut whole = run(&plan.plain(), &stream);
    let other = run(&plan, &stream);

    let wanted = plan.reading == Reading::All;
    let most = whole.exchanges.len() + usize::from(!wanted);
    assert!(
        other.exchanges.len() <= most,
        "{plan:?} saw {other:?} instead of {whole:?}"
    );
    for (one, two) in whole.exchanges.iter().zip(&other.exchanges) {
        let same_body = one.body == two.body || !wanted && one.body.starts_with(&two.body);
        assert!(
            one.has_head_of(two) && same_body,
            "{plan:?} saw {two:?} instead of {one:?}"
        );
    }
    if plan.interruption == Interruption::Nothing && other.exchanges.len() < whole.exchanges.len() {
        // The connection may close after a body that the handler did not read. It must
        // not parse the rest of that body as a request.
        assert_eq!(other.refused, None, "{plan:?} saw {other:?}");
    }
    if wanted && plan.interruption == Interruption::Nothing {
        assert_eq!(other.exchanges.len(), whole.exchanges.len(), "{plan:?}");
        // A run may see the end of the stream before it sees a mistake in the last line.
        if whole.refused.is_some() && other.refused.is_some() {
            assert_eq!(other.refused, whole.refused, "{plan:?}");
        }
    }
    whole.stream = stream;
    Some(whole)
}

fn run(plan: &Plan, stream: &[u8]) -> Seen {
    let pieces = cuts::pieces(plan.cut, plan.seed, stream);
    let mut driver = Driver::new(plan, pieces);
    let mut given = Given::Nothing;
    // Every step consumes a byte, writes a response, or waits for the client.
    for _ in 0..1000 + 32 * stream.len() {
        match driver.step(mem::take(&mut given)) {
            Next::Call(Call::Handle(request)) => given = Given::Answer(driver.handle(request)),
            Next::Pull(mut stream) => {
                let piece = stream.next();
                given = Given::Piece(stream, piece);
            }
            Next::Suspend(suspend) => {
                // A worker does the same after each turn of a connection.
                driver.deferred.clear();
                driver.wait(suspend.wait);
            }
            Next::Hold => driver.is_held = true,
            Next::Close(outcome) => return driver.close(outcome),
            Next::Upgrade(..) | Next::SendFile(_) | Next::Call(Call::Render(_)) => {
                unreachable!("its answers are bytes and chunks, and it renders nothing")
            }
        }
    }
    panic!("the connection does not end: {plan:?}");
}

/// What the connection has asked for, and gets with its next step.
#[derive(Default)]
enum Given {
    #[default]
    Nothing,
    Answer(Answer),
    Piece(StreamBody, Piece),
}

/// The client, the connection, and what the connection works with.
struct Driver<'a> {
    plan: &'a Plan,
    services: Arc<Services>,
    buffer: Buffer,
    date: DateClock,
    deferred: Vec<Deferred>,
    client: Client<'a>,
    connection: Box<Connection>,
    /// The next turn serves everything.
    is_held: bool,
    /// How far the connection's clock is ahead of the real one.
    ahead: Duration,
    /// How many steps the client has taken: pieces sent, and the close of its side.
    client_steps: usize,
    piece: Vec<u8>,
    methods: Vec<String>,
    exchanges: Vec<HandledRequest>,
}

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan, pieces: Vec<&'a [u8]>) -> Self {
        let config = plan.config();
        let life = Arc::new(Lifecycle::new(&config));
        let accounting = Arc::new(Accounting::new(Arc::clone(&life)));
        let journal = Journal::unread();
        let (waiting, monitor_waker) = (accounting.waiting_gauge(), Arc::new(MonitorWaker::new()));
        let job =
            Job::new(waiting, monitor_waker, Arc::clone(&journal)).expect("a shard opens an epoll");
        let (client, stream) = Client::connect(pieces);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let admitted = Admitted {
            stream,
            peer: address.into(),
            local: address.into(),
            guard: accounting.connection_accepted(),
            place: Places::new(1).take(),
            share: Peers::new(None).add(address.into()),
        };
        let connection = Connection::new(admitted, Arc::clone(job.shard()), Instant::now());
        Self {
            plan,
            services: Services::new(config, journal, life, accounting, false, None),
            buffer: Buffer::new(BUFFER_BYTES),
            date: DateClock::default(),
            deferred: Vec::new(),
            client,
            connection: Box::new(connection),
            is_held: false,
            ahead: Duration::ZERO,
            client_steps: 0,
            piece: vec![0; plan.piece_bytes],
            methods: Vec::new(),
            exchanges: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    fn step(&mut self, given: Given) -> Next {
        let mut cx = Context {
            now: self.now(),
            services: &self.services,
            buffer: &mut self.buffer,
            date: &mut self.date,
            phase: self.services.life.phase(),
            serves: match self.plan.urgent_only && !mem::take(&mut self.is_held) {
                true => Serves::UrgentOnly,
                false => Serves::Everything,
            },
            budget: &mut self.plan.steps.clone(),
            deferred: &mut self.deferred,
            body_tasks: &mut Vec::new(),
        };
        match given {
            Given::Nothing => self.connection.advance(&mut cx),
            Given::Answer(answer) => self.connection.resume(answer, &mut cx),
            Given::Piece(stream, piece) => {
                self.connection.resume_with_piece(stream, piece, &mut cx)
            }
        }
    }

    /// Makes happen what a suspended connection waits for.
    fn wait(&mut self, wait: Wait) {
        match wait {
            // Input is there, so epoll would report it at once.
            Wait::Input if self.connection.has_input() => return,
            Wait::Input => {}
            Wait::Room => return self.client.read_responses(),
            Wait::Turn | Wait::Time => return,
            Wait::Wake => panic!("a source has no piece"),
        }
        self.client_steps += 1;
        if self.client_steps == self.plan.after && self.interrupt() {
            return;
        }
        assert!(
            self.client.send_next(),
            "the connection waits after the client's EOF"
        );
    }

    /// Makes the planned interruption happen. Returns whether it takes the place of the
    /// client's step.
    fn interrupt(&mut self) -> bool {
        let life = &self.services.life;
        match self.plan.interruption {
            Interruption::Nothing => return false,
            Interruption::Stall => self.ahead = Duration::from_secs(3600),
            Interruption::Disconnect => self.client.disconnect(),
            Interruption::Shutdown => {
                life.shutdown(Trigger::Call);
                return false;
            }
            Interruption::LastCallOver => {
                life.shutdown(Trigger::Call);
                self.ahead = self.services.config.last_call;
            }
            Interruption::Abort => {
                life.abort(Abort::Requested(Trigger::Call));
            }
        }
        true
    }

    /// Handles a request, as a worker calls a handler.
    fn handle(&mut self, mut request: Request) -> Answer {
        self.methods.push(request.method().to_string());
        if self.services.life.is_aborting() {
            return OwnResponse::UNAVAILABLE.into_answer();
        }
        let read = self.read(&mut request);
        let response = match read {
            Ok(body) => {
                self.exchanges.push(HandledRequest::new(
                    request.method(),
                    request.uri(),
                    request.headers(),
                    body,
                ));
                self.response()
            }
            Err(error) => error.into_response(),
        };
        Answer::of_handler(response, None)
    }

    fn response(&self) -> Response {
        match self.plan.chunked_answer {
            true => Body::from_chunks(["o", "", "k"]).into_response(),
            false => "ok".into_response(),
        }
    }

    /// Reads the part of the body that the plan says.
    fn read(&mut self, request: &mut Request) -> Result<Vec<u8>, BodyError> {
        let length = request.body_mut().length();
        let mut body = request.body_mut().read_all()?.to_vec();
        let most = self.services.config.body_buffer + BUFFER_BYTES;
        assert!(body.len() <= most, "too much of the body was buffered");
        if self.plan.reading == Reading::Nothing || !self.connection.body_follows() {
            return Ok(body);
        }
        loop {
            let now = self.now();
            match self.connection.pull_body(&mut self.piece, now) {
                Pulled::Bytes(0) => panic!("a piece of no bytes"),
                Pulled::Bytes(count) => body.extend_from_slice(&self.piece[..count]),
                Pulled::End(_) => break,
                Pulled::Failed(error) => return Err(error),
                Pulled::Wait(wait, until) => {
                    assert!(until > now, "the deadline of a wait is in the past");
                    self.wait(match wait {
                        Ready::Input => Wait::Input,
                        Ready::Room => Wait::Room,
                    });
                }
            }
            assert!(
                body.len() as u64 <= self.services.config.body_bytes_max,
                "the body exceeds its limit"
            );
            if self.plan.reading == Reading::Some && body.len() > self.plan.after {
                return Ok(body);
            }
        }
        assert!(length.is_none_or(|length| length == body.len() as u64));
        Ok(body)
    }

    /// Closes the connection, and checks the accounting and the responses.
    fn close(mut self, outcome: ConnectionOutcome) -> Seen {
        self.connection
            .close(outcome, &self.services, &mut self.deferred);
        let report = self.services.accounting.report();
        assert!(
            report.balances(),
            "the accounting does not balance: {report}"
        );
        let counts = self.services.accounting.counts();
        assert_eq!(
            (counts.open, counts.in_progress, counts.lingering),
            (0, 0, 0)
        );

        let count = |outcome| report.requests.count(outcome);
        let given = count(RequestOutcome::Answered)
            + count(RequestOutcome::Rejected)
            + count(RequestOutcome::Unavailable);
        assert!(report.begun <= given + 1, "{report}");
        assert!(count(RequestOutcome::Rejected) <= 1, "{report}");
        let mut refused = None;
        if let Some(received) = self.client.received() {
            let answers = answers::read(&received, &self.methods);
            assert_eq!(answers.statuses.len() as u64, given, "{report}");
            let cut = outcome == ConnectionOutcome::Cut;
            assert!(
                !answers.broken_off || cut,
                "a response is incomplete: {report}"
            );
            refused = answers.statuses.last().copied();
        }
        Seen {
            stream: Vec::new(),
            exchanges: self.exchanges,
            refused: refused.filter(|&status| status != 200),
        }
    }
}
