//! The parts of the library that the bench `micro` measures. The module is there
//! with the feature `internals` only, which the benches turn on for themselves. It
//! promises nothing.

use std::fmt;
use std::io;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::Version;
use http::header;

use crate::config::Config;
use crate::engine::buffer::Buffer;
use crate::engine::connection::Admitted;
use crate::engine::connection::Connection;
use crate::engine::connection::Context;
use crate::engine::connection::Next;
use crate::engine::connection::Serves;
use crate::engine::date::DateClock;
use crate::engine::monitor_waker::MonitorWaker;
use crate::engine::peers::Peers;
use crate::engine::places::Places;
use crate::engine::run_queue::RunQueue;
use crate::engine::services::Services;
use crate::engine::shard::Job;
use crate::engine::shard::Suspend;
use crate::engine::shard::Suspended;
use crate::http1::encode;
use crate::http1::encode::HeadParts;
use crate::http1::encode::Length;
use crate::http1::head;
use crate::http1::head::Limits;
use crate::http1::head::Parsed;
use crate::http1::persist::Persist;
use crate::journal::Journal;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::outcome::ConnectionOutcome;
use crate::lifecycle::phase::Lifecycle;
use crate::net::stream::Stream;

/// Parses request heads, within the default limits.
#[derive(Debug)]
pub struct Parser(Limits);

impl Default for Parser {
    fn default() -> Self {
        Self(Config::default().head_limits())
    }
}

impl Parser {
    /// The length of the head at the start of `input`, in bytes. `None` if it is
    /// not complete or not valid.
    pub fn parse(&self, input: &[u8]) -> Option<usize> {
        match head::parse(input, &self.0) {
            Ok(Parsed::Complete { length, .. }) => Some(length),
            Ok(Parsed::Partial) | Err(_) => None,
        }
    }
}

/// Appends the head of a plain response.
pub fn encode_head(out: &mut Vec<u8>) {
    let mut headers = HeaderMap::new();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, text);
    let stated = encode::begin_head(out, StatusCode::OK, &headers);
    encode::finish_head(
        out,
        &HeadParts {
            status: StatusCode::OK,
            stated,
            length: Length::Known(13),
            persist: Persist::KeepAlive,
            version: Version::HTTP_11,
            date_line: "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        },
    );
}

/// One idle connection, the job of its shard, and a run queue.
pub struct Rig {
    services: Arc<Services>,
    run_queue: RunQueue<Box<Job<Connection>>>,
    client: TcpStream,
    buffer: Buffer,
    date: DateClock,
    /// `None` only during a call.
    job: Option<Box<Job<Connection>>>,
    /// `None` only during a call.
    connection: Option<Box<Connection>>,
}

impl Rig {
    /// # Errors
    ///
    /// Sockets or an epoll cannot be created.
    pub fn new() -> io::Result<Self> {
        let config = Config::default();
        let life = Arc::new(Lifecycle::new(&config));
        let accounting = Arc::new(Accounting::new(Arc::clone(&life)));
        let journal = Journal::unread();
        let (waiting, monitor_waker) = (accounting.waiting_gauge(), Arc::new(MonitorWaker::new()));
        let job = Job::new(waiting, monitor_waker, Arc::clone(&journal))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let client = TcpStream::connect(address)?;
        client.set_nodelay(true)?;
        let (socket, peer) = listener.accept()?;
        let admitted = Admitted {
            stream: Stream::of(socket)?,
            peer: peer.into(),
            local: address.into(),
            guard: accounting.connection_accepted(),
            place: Places::new(1).take(),
            share: Peers::new(None).add(peer.into()),
        };
        let connection = Connection::new(admitted, Arc::clone(job.shard()), Instant::now());
        let mut rig = Self {
            services: Services::new(config, journal, life, accounting, false, None),
            run_queue: RunQueue::new(),
            client,
            buffer: Buffer::new(16 * 1024),
            date: DateClock::default(),
            job: Some(job),
            connection: Some(Box::new(connection)),
        };
        // The first time costs more, because it registers the connection.
        rig.suspend_and_resume()?;
        Ok(rig)
    }

    /// Sends the job through the run queue, and receives it on the same thread.
    pub fn hand_off(&mut self) {
        if let Some(job) = self.job.take() {
            self.job = match self.run_queue.send(job) {
                Ok(_) => self.run_queue.receive(),
                Err(job) => Some(job),
            };
        }
    }

    /// Suspends the connection, and resumes it because its client has sent an empty
    /// line, which is no request.
    ///
    /// # Errors
    ///
    /// The client's socket is broken.
    pub fn suspend_and_resume(&mut self) -> io::Result<()> {
        let (Some(mut connection), Some(mut job)) = (self.connection.take(), self.job.take())
        else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // Until nothing is left to read, and the connection is suspended.
        loop {
            let suspend = self.advance(&mut connection)?;
            match connection.suspend(suspend) {
                Suspended::Yes => break,
                Suspended::Ready(back) => connection = back,
                Suspended::Refused(..) => return Err(io::ErrorKind::Other.into()),
            }
        }
        self.client.write_all(b"\r\n")?;
        while self.connection.is_none() {
            job.poll(|| true);
            self.connection = job.next();
        }
        self.job = Some(job);
        Ok(())
    }

    fn advance(&mut self, connection: &mut Connection) -> io::Result<Suspend> {
        let mut cx = Context {
            services: &self.services,
            buffer: &mut self.buffer,
            date: &mut self.date,
            now: Instant::now(),
            phase: self.services.life.phase(),
            serves: Serves::Everything,
            budget: &mut 8,
            deferred: &mut Vec::new(),
            body_tasks: &mut Vec::new(),
        };
        match connection.advance(&mut cx) {
            Next::Suspend(suspend) => Ok(suspend),
            _ => Err(io::ErrorKind::Other.into()),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let outcome = ConnectionOutcome::ClosedIdle;
            connection.close(outcome, &self.services, &mut Vec::new());
        }
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rig({:?})", self.connection)
    }
}
