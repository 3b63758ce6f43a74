//! One TCP connection of a client.

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

use super::outcome::AttemptStage;
use super::outcome::Loss;
use super::outcome::LossCause;
use super::response::Response;
use super::response::ResponseReader;

/// Size of a read.
const READ_BYTES: usize = 16 * 1024;

/// Receive buffer of a slow reader. It is small, so that the rest of the
/// response stays in the server.
const SLOW_WINDOW_BYTES: usize = 4096;

/// Size of a slow reader's read.
const SLOW_READ_BYTES: usize = 1024;

/// Pause of a slow reader before each read, in milliseconds.
const SLOW_PAUSE_MILLIS: std::ops::Range<u64> = 1..8;

/// How fast a client reads responses.
#[derive(Clone, Debug)]
pub(super) enum ReadSpeed {
    Full,
    Slow(Rng),
}

/// Why a connection was not established.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The kernel refused it: no process listens.
    Refused,
    /// It was accepted and then reset, or the handshake did not complete.
    Lost(Loss),
    /// This machine cannot make connections. The server is not the cause.
    Local(io::Error),
}

/// Why a request was not sent completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The kernel accepted no byte of it, so the server cannot have seen it.
    NothingSent,
    /// The server may have seen a part of it.
    PartlySent,
}

/// An established connection.
#[derive(Debug)]
pub(super) struct ClientConnection {
    stream: TcpStream,
    /// Bytes that were read and not parsed yet.
    buffer: Vec<u8>,
    read_speed: ReadSpeed,
    /// Whether a write has failed. The write consumes the error of a reset, so
    /// that the next read reports an orderly end.
    broken: bool,
}

impl ClientConnection {
    pub(super) fn open(
        address: SocketAddr,
        patience: Duration,
        read_speed: ReadSpeed,
    ) -> Result<Self, ConnectError> {
        let socket = socket(address, patience, &read_speed).map_err(ConnectError::Local)?;
        socket
            .connect_timeout(&address.into(), patience)
            .map_err(connect_error)?;
        let stream = TcpStream::from(socket);
        // Without a listener, a client may connect to itself: the kernel may
        // give it the same port that it connects to.
        if stream.local_addr().is_ok_and(|local| local == address) {
            return Err(ConnectError::Refused);
        }
        Ok(Self {
            stream,
            buffer: Vec::new(),
            read_speed,
            broken: false,
        })
    }

    /// Whether an idle connection cannot take another request: the server has
    /// closed it, or has sent bytes without a request, as some servers do
    /// before they close it.
    pub(super) fn is_unusable(&self) -> bool {
        !self.buffer.is_empty() || self.is_readable()
    }

    /// Whether a read would return at once, with bytes, with an end or with an
    /// error.
    pub(super) fn is_readable(&self) -> bool {
        let peeked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut [0]));
        let blocking = self.stream.set_nonblocking(false);
        let nothing = peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        !nothing || blocking.is_err()
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(count) if count > 0 => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.broken = true;
                    return Err(match rest.len() == bytes.len() {
                        true => SendError::NothingSent,
                        false => SendError::PartlySent,
                    });
                }
            }
        }
        Ok(())
    }

    /// Reads the next response completely. Later bytes stay in the buffer.
    pub(super) fn read_response(&mut self) -> Result<Response, Loss> {
        let mut reader = ResponseReader::new();
        loop {
            let cause = match reader.advance(&mut self.buffer) {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => match self.fill() {
                    Ok(0) if self.broken => LossCause::Reset,
                    Ok(0) => match reader.at_eof() {
                        Some(response) => return Ok(response),
                        None => LossCause::Eof,
                    },
                    Ok(_) => continue,
                    Err(error) => cause(&error),
                },
                Err(malformed) => LossCause::Malformed(malformed.0),
            };
            let stage = match reader.has_begun(&self.buffer) {
                true => AttemptStage::ReceivingResponse,
                false => AttemptStage::Sent,
            };
            return Err(Loss { stage, cause });
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ_BYTES];
        let count = match &mut self.read_speed {
            ReadSpeed::Full => READ_BYTES,
            ReadSpeed::Slow(rng) => {
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

fn socket(address: SocketAddr, patience: Duration, read_speed: &ReadSpeed) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if let ReadSpeed::Slow(_) = read_speed {
        // It must be set before the handshake, which announces the window.
        socket.set_recv_buffer_size(SLOW_WINDOW_BYTES)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(socket)
}

fn connect_error(error: io::Error) -> ConnectError {
    use io::ErrorKind;

    let (stage, cause) = match error.kind() {
        ErrorKind::ConnectionRefused => return ConnectError::Refused,
        ErrorKind::AddrNotAvailable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::PermissionDenied => return ConnectError::Local(error),
        ErrorKind::TimedOut => (AttemptStage::Connecting, LossCause::Timeout),
        // The handshake completed, and the reset arrived before `connect`
        // returned.
        _ => (AttemptStage::Connected, LossCause::Reset),
    };
    ConnectError::Lost(Loss { stage, cause })
}

fn cause(error: &io::Error) -> LossCause {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LossCause::Timeout,
        _ => LossCause::Reset,
    }
}
