//! What `benches/micro.rs` measures piece by piece. It is there under the
//! feature `internals`, which the benches turn on for themselves, and promises
//! nothing.

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
use crate::drain::books::Books;
use crate::drain::outcome::ConnectionOutcome;
use crate::drain::phase::Lifecycle;
use crate::engine::Engine;
use crate::engine::buffer::Buffer;
use crate::engine::connection::Connection;
use crate::engine::connection::Next;
use crate::engine::connection::Turn;
use crate::engine::lot::Lot;
use crate::engine::lot::Park;
use crate::engine::lot::Parked;
use crate::engine::places::Places;
use crate::engine::queue;
use crate::engine::queue::Queue;
use crate::engine::queue::Received;
use crate::engine::queue::Sender;
use crate::engine::worker::DateClock;
use crate::http::encode;
use crate::http::encode::HeadParts;
use crate::http::encode::Length;
use crate::http::head;
use crate::http::head::Limits;
use crate::http::head::Parsed;
use crate::http::persist::Persist;
use crate::journal::Journal;
use crate::net::listener::Knocker;
use crate::net::stream::Stream;
use crate::service::request::Request;

/// Parses request heads, within the default limits.
#[derive(Debug)]
pub struct Parser(Limits);

impl Default for Parser {
    fn default() -> Self {
        Self(Config::default().head_limits())
    }
}

impl Parser {
    /// How long the head at the start of `input` is.
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
            date: Some("Sun, 06 Nov 1994 08:49:37 GMT"),
        },
    );
}

/// One idle connection, and the places where it can be.
pub struct Rig {
    engine: Engine,
    sender: Sender,
    queue: Queue,
    client: TcpStream,
    buffer: Buffer,
    date: DateClock,
    /// Always there between two calls.
    connection: Option<Box<Connection>>,
}

impl Rig {
    /// # Errors
    ///
    /// Sockets or an epoll cannot be made.
    pub fn new() -> io::Result<Self> {
        let config = Config::default();
        let life = Arc::new(Lifecycle::new(config.lame_duck, config.drain_timeout));
        let books = Arc::new(Books::new(Arc::clone(&life)));
        let journal = Journal::unread();
        let lot = Arc::new(Lot::new(1, &books, &journal)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let client = TcpStream::connect(address)?;
        client.set_nodelay(true)?;
        let (socket, peer) = listener.accept()?;
        let stream = Stream::of(socket)?;
        let ticket = books.connection_accepted();
        let place = Places::new(1).take();
        let now = Instant::now();
        let connection = Connection::new(stream, peer, address, ticket, place, false, now);
        let (sender, queue) = queue::queue(books.waiting_gauge());
        let knocker = Knocker::new(address)?;
        let handler = Box::new(|_: Request| "not called here");
        let mut rig = Self {
            engine: Engine::new(config, journal, life, books, lot, handler, knocker),
            sender,
            queue,
            client,
            buffer: Buffer::new(16 * 1024),
            date: DateClock::default(),
            connection: Some(Box::new(connection)),
        };
        // Its first time in the lot costs more: it is registered then.
        rig.park_and_unpark()?;
        Ok(rig)
    }

    /// Through the queue, whose both ends are this thread's.
    pub fn hand_over(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.sender.send(connection);
        }
        if let Received::Connection(connection) = self.queue.receive() {
            self.connection = Some(connection);
        }
    }

    /// Parks, and comes back because its client has sent something, which is no
    /// request.
    ///
    /// # Errors
    ///
    /// The client's socket is broken.
    pub fn park_and_unpark(&mut self) -> io::Result<()> {
        let Some(mut connection) = self.connection.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // Until there is nothing to read, and it can wait for what comes.
        loop {
            let park = self.advance(&mut connection)?;
            match self.engine.lot.park(connection, park) {
                Parked::Yes => break,
                Parked::Ready(back) => connection = back,
                Parked::Refused(..) => return Err(io::ErrorKind::Other.into()),
            }
        }
        self.client.write_all(b"\r\n")?;
        let row = &self.engine.lot.rows()[0];
        while self.connection.is_none() {
            row.poll(|| true);
            if let Received::Connection(connection) = row.queue().receive() {
                self.connection = Some(connection);
            }
        }
        Ok(())
    }

    fn advance(&mut self, connection: &mut Connection) -> io::Result<Park> {
        let mut turn = Turn {
            engine: &self.engine,
            buffer: &mut self.buffer,
            date: &mut self.date,
            now: Instant::now(),
            phase: self.engine.life.phase(),
            steps_left: &mut 8,
            deferred: &mut Vec::new(),
        };
        match connection.advance(&mut turn) {
            Next::Park(park) => Ok(park),
            _ => Err(io::ErrorKind::Other.into()),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let outcome = ConnectionOutcome::HungUp;
            self.engine.close(connection, outcome, &mut Vec::new());
        }
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rig({:?})", self.connection)
    }
}
