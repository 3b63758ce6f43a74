//! Upgrading a connection: HTTP ends with the response's head. A function of the
//! application gets the connection, on a thread of its own.

use std::any::Any;
use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Buf;
use bytes::Bytes;

use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;

/// The function of the application that gets the connection.
pub(crate) type UpgradeFn = Box<dyn FnOnce(Upgraded) + Send>;

/// A connection that a handler has upgraded ([`Body::upgrade`](crate::Body::upgrade)):
/// its bytes, as they come.
///
/// Reads and writes wait. What the client had sent behind its request is read
/// first. [`share`](Self::share) makes another handle, so that one thread can
/// read while another writes. When the function that got it has returned,
/// the server half-closes the connection and waits for the
/// client's EOF, as after every response.
///
/// **When the server stops**, [`phase`](Self::phase) says so, and
/// [`wake_on_drain`](Self::wake_on_drain) has a read that waits return. At the
/// deadline ([`deadline`](Self::deadline)) the connection is shut down: reads
/// give EOF, and writes fail. A function that returns before is counted as
/// `upgraded`, one that does not is cut.
#[doc(alias = "hijack")]
#[doc(alias = "take_over")]
pub struct Upgraded {
    socket: Arc<dyn BlockingSocket>,
    input: Bytes,
    peer: SocketAddr,
    local: SocketAddr,
    life: Arc<Lifecycle>,
    read_timeout: Option<Duration>,
    wake_on_drain: bool,
    /// Every handle of this connection has one of these.
    handles: Arc<()>,
}

/// What a connection takes up on the server as long as this is held.
pub(crate) type HeldPlace = Arc<dyn Any + Send + Sync>;

/// A socket on which a thread can wait.
pub(crate) trait BlockingSocket: Send + Sync {
    /// Waits for bytes or EOF; returns `TimedOut` at `until`, and `WouldBlock`
    /// once `enough` says so.
    fn read(
        &self,
        buffer: &mut [u8],
        until: Option<Instant>,
        enough: &mut dyn FnMut() -> bool,
    ) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn half_close(&self) -> io::Result<()>;
    /// Half-closes, and discards what comes until EOF, for as long as the
    /// server lingers; then: `TimedOut`.
    fn close(&self) -> io::Result<()>;
    /// A stream of std's in blocking mode, whose events concern no thread of the
    /// server any more, and what to hold while it is open.
    fn release(&self) -> io::Result<(TcpStream, HeldPlace)>;
}

impl Upgraded {
    pub(crate) fn new(
        socket: Arc<dyn BlockingSocket>,
        input: Bytes,
        peer: SocketAddr,
        local: SocketAddr,
        life: Arc<Lifecycle>,
    ) -> Self {
        Self {
            socket,
            input,
            peer,
            local,
            life,
            read_timeout: None,
            wake_on_drain: false,
            handles: Arc::default(),
        }
    }

    /// The client's address, or that of the proxy before us.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Our address on this connection.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// When the connection will be cut; `None` until the server has been asked
    /// to stop.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.deadline()
    }

    /// Whether a read that waits returns when the server begins to drain, with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), once for each handle. A client
    /// that never stops sending leaves no read waiting: look at
    /// [`phase`](Self::phase) between reads too. Default: no. Protocols that have a word of goodbye (a WebSocket's close frame
    /// with code 1001) say it then, and read on.
    pub fn wake_on_drain(&mut self, wake: bool) {
        self.wake_on_drain = wake;
    }

    /// How long a read waits before it fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut). Default: for ever.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Another handle of the same connection. What the client had sent behind
    /// its request stays with this one.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            socket: Arc::clone(&self.socket),
            input: Bytes::new(),
            peer: self.peer,
            local: self.local,
            life: Arc::clone(&self.life),
            read_timeout: self.read_timeout,
            wake_on_drain: self.wake_on_drain,
            handles: Arc::clone(&self.handles),
        }
    }

    /// Says that we are done writing. Reading goes on.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn half_close(&self) -> io::Result<()> {
        self.socket.half_close()
    }

    /// Half-closes, and waits until the client has closed its side: the only
    /// proof that it has everything (RFC 9112 section 9.6). What it still sends
    /// is discarded.
    ///
    /// # Errors
    ///
    /// It did not, and was silent for [`Config::linger`](crate::Config::linger)
    /// or went on sending for [`Config::linger_max`](crate::Config::linger_max)
    /// (`TimedOut`); or the connection is broken.
    pub fn close(self) -> io::Result<()> {
        self.socket.close()
    }

    /// The stream as std has it, in blocking mode, and what the client had sent
    /// behind its request. Nothing wakes its reads when the server drains; while
    /// the function that got the connection runs, it is shut down at the
    /// deadline all the same.
    ///
    /// When the function has returned, the stream is yours alone: no stop waits
    /// for it, cuts it or counts it. As long as the [`StdStream`] exists, its
    /// connection takes one of
    /// [`Config::max_connections`](crate::Config::max_connections).
    ///
    /// # Errors
    ///
    /// [`share`](Self::share) has made other handles, and these still exist
    /// (`ResourceBusy`): blocking mode belongs to the socket, and would take
    /// their timeouts away. The system has no file descriptor left. The server
    /// has cut the connection (`BrokenPipe`). The error has the connection:
    /// [`IntoStdError::into_inner`].
    pub fn into_std(self) -> Result<(StdStream, Bytes), IntoStdError> {
        if Arc::strong_count(&self.handles) > 1 {
            let busy = "another handle of this connection is in use";
            let error = io::Error::new(io::ErrorKind::ResourceBusy, busy);
            return Err(IntoStdError {
                error,
                upgraded: Box::new(self),
            });
        }
        // No other handle can come: this is the only one, and it is ours.
        match self.socket.release() {
            Ok((stream, place)) => Ok((
                StdStream {
                    stream,
                    _place: place,
                },
                self.input,
            )),
            Err(error) => Err(IntoStdError {
                error,
                upgraded: Box::new(self),
            }),
        }
    }
}

/// An upgraded connection, as a [`TcpStream`] of std's:
/// [`Upgraded::into_std`] makes it.
///
/// It dereferences to the stream. As long as it exists, the connection counts
/// in [`Config::max_connections`](crate::Config::max_connections); a
/// [`try_clone`](TcpStream::try_clone) that outlives it does not.
pub struct StdStream {
    stream: TcpStream,
    _place: HeldPlace,
}

impl Deref for StdStream {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl DerefMut for StdStream {
    fn deref_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

impl Read for StdStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for StdStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl fmt::Debug for StdStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

/// Why a connection could not become a stream of std's. It has the connection.
#[derive(Debug)]
pub struct IntoStdError {
    error: io::Error,
    upgraded: Box<Upgraded>,
}

impl IntoStdError {
    /// The connection, as it was.
    pub fn into_inner(self) -> Upgraded {
        *self.upgraded
    }
}

impl fmt::Display for IntoStdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot hand out the stream: {}", self.error)
    }
}

impl std::error::Error for IntoStdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<IntoStdError> for io::Error {
    /// The error alone; the connection is dropped.
    fn from(error: IntoStdError) -> Self {
        error.error
    }
}

impl Read for Upgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if !self.input.is_empty() {
            let count = self.input.len().min(buffer.len());
            self.input.copy_to_slice(&mut buffer[..count]);
            return Ok(count);
        }
        let until = self
            .read_timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let wake = &mut self.wake_on_drain;
        let life = &self.life;
        self.socket.read(buffer, until, &mut || {
            let enough = *wake && life.phase() >= Phase::Draining;
            *wake &= !enough;
            enough
        })
    }
}

impl Write for Upgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    /// Nothing is held back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upgraded({})", self.peer)
    }
}
