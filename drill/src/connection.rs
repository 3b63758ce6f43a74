//! One connection of a client: what is sent on it, and what comes back.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use super::tally::Ending;
use super::tally::Loss;
use super::tally::Point;
use super::wire::Answer;
use super::wire::Reader;

/// How much is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// A slow reader has a small window, so that the server holds its answer.
const SLOW_WINDOW_BYTES: usize = 4096;

/// It takes pieces of this size.
const SLOW_READ_BYTES: usize = 1024;

/// It takes them at such distances, in milliseconds.
const SLOW_PAUSE_MILLIS: std::ops::Range<u64> = 1..8;

/// How fast answers are read.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    Full,
    Slow(Rng),
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Unconnected {
    /// Nobody listens.
    Refused,
    /// It was let in and then dropped, or never heard.
    Lost(Loss),
    /// This machine cannot make connections: no fault of the server's.
    Obstacle(io::Error),
}

/// Why a request was not sent in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The kernel took none of it, so that the server cannot have seen it.
    Nothing,
    /// The server may have seen the part that was sent.
    Partly,
}

/// An established connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// What has come and was not yet taken.
    buffer: Vec<u8>,
    pace: Pace,
    /// A write has failed, which takes the news of a reset from the next read:
    /// an end that is found then is none in good order.
    broken: bool,
}

impl Connection {
    pub(super) fn open(
        address: SocketAddr,
        patience: Duration,
        pace: Pace,
    ) -> Result<Self, Unconnected> {
        let socket = socket(address, patience, &pace).map_err(Unconnected::Obstacle)?;
        socket
            .connect_timeout(&address.into(), patience)
            .map_err(unconnected)?;
        let stream = TcpStream::from(socket);
        // Without a listener, a client can meet itself: its own port may be
        // the one that it connects to.
        if stream.local_addr().is_ok_and(|local| local == address) {
            return Err(Unconnected::Refused);
        }
        Ok(Self {
            stream,
            buffer: Vec::new(),
            pace,
            broken: false,
        })
    }

    /// Whether the server has ended an idle connection, or has said something
    /// unasked, as some do before they end it.
    pub(super) fn is_over(&self) -> bool {
        !self.buffer.is_empty() || self.is_readable()
    }

    /// Whether there is something to read, an end too.
    pub(super) fn is_readable(&self) -> bool {
        let peeked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut [0]));
        let blocking = self.stream.set_nonblocking(false);
        let nothing = peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        !nothing || blocking.is_err()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) if count > 0 => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.broken = true;
                    return Err(match rest.len() == bytes.len() {
                        true => Unsent::Nothing,
                        false => Unsent::Partly,
                    });
                }
            }
        }
        Ok(())
    }

    /// The next answer, in full. Whatever follows it is kept.
    pub(super) fn answer(&mut self) -> Result<Answer, Loss> {
        let mut reader = Reader::new();
        loop {
            let ending = match reader.advance(&mut self.buffer) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => match self.fill() {
                    Ok(0) if self.broken => Ending::Reset,
                    Ok(0) => match reader.at_eof() {
                        Some(answer) => return Ok(answer),
                        None => Ending::Eof,
                    },
                    Ok(_) => continue,
                    Err(error) => ending(&error),
                },
                Err(malformed) => Ending::Malformed(malformed.0),
            };
            let point = match reader.has_begun(&self.buffer) {
                true => Point::Answering,
                false => Point::Sent,
            };
            return Err(Loss { point, ending });
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ_BYTES];
        let count = match &mut self.pace {
            Pace::Full => READ_BYTES,
            Pace::Slow(rng) => {
                thread::sleep(Duration::from_millis(rng.u64(SLOW_PAUSE_MILLIS)));
                SLOW_READ_BYTES
            }
        };
        loop {
            match self.stream.read(&mut bytes[..count]) {
                Ok(count) => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn socket(address: SocketAddr, patience: Duration, pace: &Pace) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if let Pace::Slow(_) = pace {
        // Before the handshake, which announces the window.
        socket.set_recv_buffer_size(SLOW_WINDOW_BYTES)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

fn unconnected(error: io::Error) -> Unconnected {
    use io::ErrorKind;

    let (point, ending) = match error.kind() {
        ErrorKind::ConnectionRefused => return Unconnected::Refused,
        ErrorKind::AddrNotAvailable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::PermissionDenied => return Unconnected::Obstacle(error),
        ErrorKind::TimedOut => (Point::Connecting, Ending::Silence),
        // The handshake was complete, and the reset overtook its news.
        _ => (Point::Connected, Ending::Reset),
    };
    Unconnected::Lost(Loss { point, ending })
}

fn ending(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ending::Silence,
        _ => Ending::Reset,
    }
}
