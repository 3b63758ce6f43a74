//! Upgraded connections: HTTP ends with the head of the response. Then code of the
//! application reads and writes the connection, on a thread of its own.

use std::any::Any;
use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Buf;
use bytes::Bytes;

use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::phase::Phase;

/// The function of the application that gets the connection.
pub(crate) type UpgradeFn = Box<dyn FnOnce(Upgraded) + Send>;

/// An upgraded connection ([`Body::upgrade`](crate::Body::upgrade)): the raw bytes,
/// without HTTP.
///
/// Reads and writes block. Bytes that the client has sent behind its request are
/// read first. [`share`](Self::share) makes another handle, so that one thread can
/// read while another writes. When the function that got the connection returns, the
/// server half-closes the connection and waits for the client's EOF, as after every
/// response.
///
/// **When the server stops**, [`phase`](Self::phase) says so, and
/// [`wake_on_drain`](Self::wake_on_drain) makes a blocked read return. At the
/// [`deadline`](Self::deadline) the server shuts the connection down: reads return
/// EOF, and writes fail. A function that returns before the deadline is counted as
/// `upgraded`, any other as cut.
#[doc(alias = "hijack")]
#[doc(alias = "take_over")]
pub struct Upgraded {
    socket: Arc<dyn BlockingSocket>,
    input: Bytes,
    peer: PeerAddr,
    local: LocalAddr,
    life: Arc<Lifecycle>,
    read_timeout: Option<Duration>,
    wake_on_drain: bool,
    /// Its strong count is the number of handles of this connection.
    handles: Arc<()>,
}

/// The connection's share of the limits of the server, until this is dropped.
pub(crate) type HeldPlace = Arc<dyn Any + Send + Sync>;

/// A socket on which a thread can wait.
pub(crate) trait BlockingSocket: Send + Sync {
    /// Waits for bytes or EOF. Fails with `TimedOut` at `until`, and with
    /// `WouldBlock` once `enough` returns true.
    fn read(
        &self,
        buffer: &mut [u8],
        until: Option<Instant>,
        enough: &mut dyn FnMut() -> bool,
    ) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn half_close(&self) -> io::Result<()>;
    /// Half-closes, and discards input until EOF. Fails with `TimedOut` at the end of
    /// the server's linger time.
    fn close(&self) -> io::Result<()>;
    /// The socket as a std stream in blocking mode, which no epoll of the server
    /// watches any more, and what to hold while the stream is open.
    fn release(&self) -> io::Result<(TcpStream, HeldPlace)>;
}

impl Upgraded {
    pub(crate) fn new(
        socket: Arc<dyn BlockingSocket>,
        input: Bytes,
        peer: PeerAddr,
        local: LocalAddr,
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

    /// The client's address, or that of the proxy before the server.
    pub fn peer_addr(&self) -> PeerAddr {
        self.peer
    }

    /// The server's address on this connection.
    pub fn local_addr(&self) -> LocalAddr {
        self.local.clone()
    }

    /// The current phase of the server.
    pub fn phase(&self) -> Phase {
        self.life.phase()
    }

    /// When the server will cut the connection; `None` until the server is asked to
    /// stop.
    pub fn deadline(&self) -> Option<Instant> {
        self.life.deadline()
    }

    /// Whether a blocked read fails with [`WouldBlock`](io::ErrorKind::WouldBlock)
    /// when the server begins to drain, once for each handle. Default: no.
    ///
    /// A protocol with a close message, such as a WebSocket's close frame with code
    /// 1001, sends it then and reads on. If the client sends without a pause, no read
    /// blocks: check [`phase`](Self::phase) between reads too.
    pub fn wake_on_drain(&mut self, wake: bool) {
        self.wake_on_drain = wake;
    }

    /// How long a read blocks before it fails with
    /// [`TimedOut`](io::ErrorKind::TimedOut). Default: without limit.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Another handle of the same connection. Bytes that the client has sent behind
    /// its request stay with this handle.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            socket: Arc::clone(&self.socket),
            input: Bytes::new(),
            peer: self.peer,
            local: self.local.clone(),
            life: Arc::clone(&self.life),
            read_timeout: self.read_timeout,
            wake_on_drain: self.wake_on_drain,
            handles: Arc::clone(&self.handles),
        }
    }

    /// Closes the sending side of the connection. Reads go on.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn half_close(&self) -> io::Result<()> {
        self.socket.half_close()
    }

    /// Half-closes, and waits until the client closes its side: the only proof that
    /// the client has everything (RFC 9112 section 9.6). Bytes that it still sends are
    /// discarded.
    ///
    /// # Errors
    ///
    /// `TimedOut`: the client has not closed its side, and has sent nothing for
    /// [`Config::linger`](crate::Config::linger) or has gone on sending for
    /// [`Config::linger_max`](crate::Config::linger_max). Or the connection is
    /// broken.
    pub fn close(self) -> io::Result<()> {
        self.socket.close()
    }

    /// The connection as a std stream in blocking mode, and the bytes that the client
    /// has sent behind its request. A drain does not wake the stream's reads. While
    /// the function that got the connection runs, the server still shuts the stream
    /// down at the deadline.
    ///
    /// After the function has returned, the stream is independent of the server: no
    /// stop waits for it, cuts it or counts it. As long as the [`StdStream`] exists,
    /// it counts in [`Config::max_connections`](crate::Config::max_connections).
    ///
    /// # Errors
    ///
    /// - `ResourceBusy`: other handles made by [`share`](Self::share) exist. Blocking
    ///   mode belongs to the socket, and would disable their timeouts.
    /// - `BrokenPipe`: the server has cut the connection.
    /// - The process has no file descriptor left.
    ///
    /// [`IntoStdError::into_inner`] returns the connection.
    pub fn into_std(self) -> Result<(StdStream, Bytes), IntoStdError> {
        if Arc::strong_count(&self.handles) > 1 {
            let busy = "another handle of the connection exists: drop it first";
            let error = io::Error::new(io::ErrorKind::ResourceBusy, busy);
            return Err(IntoStdError {
                error,
                upgraded: Box::new(self),
            });
        }
        // `self` is the only handle, and taken by value, so no other can be made.
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

/// An upgraded connection as a std [`TcpStream`]: see [`Upgraded::into_std`].
///
/// It dereferences to the stream. As long as it exists, the connection counts in
/// [`Config::max_connections`](crate::Config::max_connections). A
/// [`try_clone`](TcpStream::try_clone) that outlives it does not count.
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

/// Why a connection could not become a std stream, with the connection itself.
#[derive(Debug)]
pub struct IntoStdError {
    error: io::Error,
    upgraded: Box<Upgraded>,
}

impl IntoStdError {
    /// The connection, unchanged.
    pub fn into_inner(self) -> Upgraded {
        *self.upgraded
    }
}

impl fmt::Display for IntoStdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot make a std stream: {}", self.error)
    }
}

impl std::error::Error for IntoStdError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<IntoStdError> for io::Error {
    /// Returns the error alone, and drops the connection.
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

    /// Does nothing: writes are not buffered.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upgraded({})", self.peer)
    }
}
