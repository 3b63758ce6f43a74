//! The socket of one accepted connection, which never blocks.

use std::borrow::Borrow;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::PipeReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use mio::Interest;
use mio::Registry;
use mio::Token;
use socket2::SockAddr;
use socket2::SockRef;

use crate::net::os;
use crate::net::os::Ready;

/// How many bytes of an answer the kernel takes, for each connection, that it
/// cannot send because the client does not read. Without this limit it takes
/// megabytes, and the server does not see that the client is slow.
pub(super) const UNSENT_MAX: u32 = 128 * 1024;

/// The same for a connection that sends a large file to a client that reads fast. This is as much as the kernel's
/// send buffer may hold for a client that reads fast.
const LARGE_UNSENT_MAX: u32 = 4 * 1024 * 1024;

/// A stream socket in non-blocking mode: of TCP, or a unix socket.
#[derive(Debug)]
pub(crate) struct Stream {
    /// A unix socket too is in this type, because all calls that are made here are the
    /// same for both. Those that only TCP knows have no effect on a unix socket.
    /// A thread that waits for the socket or sends a file shares it for a while.
    socket: Arc<mio::net::TcpStream>,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// The number of bytes read, at least one.
    Bytes(usize),
    /// The client has closed its side, and sends nothing more.
    Eof,
    /// No byte has arrived yet.
    Wait,
    /// The connection is broken.
    Gone,
}

/// The result of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The number of bytes that the kernel took.
    Bytes(usize),
    /// The kernel's send buffer is full.
    Wait,
    /// The connection is broken.
    Gone,
}

impl Stream {
    /// From a socket that mio has accepted. `nodelay`: it has `TCP_NODELAY`
    /// already. Answers are written whole, so Nagle's algorithm could only delay
    /// their last segment.
    pub(super) fn accepted(socket: mio::net::TcpStream, nodelay: bool) -> io::Result<Self> {
        if !os::accepted_is_nonblocking() {
            SockRef::from(&socket).set_nonblocking(true)?;
        }
        if !nodelay {
            socket.set_nodelay(true)?;
        }
        Ok(Self {
            socket: Arc::new(socket),
        })
    }

    /// From a unix socket that mio has accepted.
    pub(super) fn accepted_unix(socket: mio::net::TcpStream) -> io::Result<Self> {
        // A unix socket sends at once.
        Self::accepted(socket, true)
    }

    /// From a socket in any mode.
    #[cfg(any(test, fuzzing, feature = "internals"))]
    pub(crate) fn of(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = mio::net::TcpStream::from_std(socket);
        Ok(Self {
            socket: Arc::new(socket),
        })
    }

    /// For TCP only.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn peer_addr(&self) -> io::Result<SockAddr> {
        SockRef::from(&*self.socket).peer_addr()
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> Received {
        debug_assert!(!buffer.is_empty(), "an empty buffer would look like EOF");
        received(at_once(|| (&*self.socket).read(buffer)))
    }

    /// Whether the result of a read into `room` bytes shows that no more bytes
    /// were there. Then bytes that arrive later cause an event of their own.
    pub(crate) fn has_given_all(&self, received: &Received, room: usize) -> bool {
        match received {
            Received::Bytes(count) => os::short_read_means_empty() && *count < room,
            Received::Wait => true,
            Received::Eof | Received::Gone => false,
        }
    }

    /// What a read would return, without reading.
    pub(crate) fn look(&self) -> Received {
        received(at_once(|| self.socket.peek(&mut [0])))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Sent {
        sent(at_once(|| (&*self.socket).write(bytes)))
    }

    /// Writes bytes which more bytes follow at once. The kernel may keep them until then,
    /// for less than a second.
    pub(crate) fn write_before_more(&self, bytes: &[u8]) -> Sent {
        let socket = SockRef::from(&*self.socket);
        sent(at_once(|| os::send_before_more(&socket, bytes)))
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> Sent {
        sent(at_once(|| (&*self.socket).write_vectored(slices)))
    }

    /// Sets how many bytes the kernel takes that it cannot send yet: many, or as many as
    /// on every other connection.
    pub(crate) fn take_large_pieces(&self, takes: bool) {
        let bytes = if takes { LARGE_UNSENT_MAX } else { UNSENT_MAX };
        // It fails on a unix socket, which has no such limit.
        let _ = os::limit_unsent(&SockRef::from(&*self.socket), bytes);
    }

    /// Writes a part of a file. Writes 0 bytes at the file's end.
    ///
    /// # Errors
    ///
    /// The file cannot be read. `Unsupported`: it can be read, but the kernel
    /// cannot send it.
    pub(crate) fn send_file(&self, file: &File, offset: u64, length: u64) -> io::Result<Sent> {
        let socket = SockRef::from(&*self.socket);
        match at_once(|| os::send_file(&socket, file, offset, length)) {
            Ok(Some(count)) => Ok(Sent::Bytes(count)),
            Ok(None) => Ok(Sent::Wait),
            Err(error) => match error.kind() {
                ErrorKind::BrokenPipe
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::NotConnected
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::TimedOut => Ok(Sent::Gone),
                _ => Err(error),
            },
        }
    }

    /// Closes our side of the connection. Reading goes on.
    ///
    /// # Errors
    ///
    /// The connection is broken, which the next read finds too.
    pub(crate) fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Closes both sides, for every handle of this socket.
    pub(crate) fn shut_down(&self) {
        // It fails only on a broken connection.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Ends every read with EOF, also of a thread that waits. The client does not
    /// notice it.
    pub(crate) fn stop_reading(&self) {
        // It fails only on a broken connection.
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// Makes the close reset the connection, so that the client does not take a
    /// part of an answer for the whole. A unix socket cannot be reset: the client of
    /// one sees EOF.
    pub(crate) fn reset_on_close(&self) {
        // It fails only on a broken connection.
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
    }

    /// A handle of the same socket as a stream of std's. It is still in
    /// non-blocking mode, because the mode belongs to the socket.
    pub(crate) fn to_std(&self) -> io::Result<TcpStream> {
        let socket = SockRef::from(&*self.socket).try_clone()?;
        // It has inherited the listener's timeout, which is for accept.
        socket.set_read_timeout(None)?;
        Ok(socket.into())
    }

    /// Waits until the socket may be ready, until `until`, or until one of the
    /// pipes is closed. Whatever ended the wait, the caller tries again.
    ///
    /// # Errors
    ///
    /// The system is out of memory.
    pub(crate) fn wait(
        &self,
        ready: Ready,
        until: Option<Instant>,
        pipes: &[impl Borrow<PipeReader>],
    ) -> io::Result<()> {
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        let pipes: Vec<&PipeReader> = pipes.iter().map(Borrow::borrow).collect();
        os::wait_until_ready(&SockRef::from(&*self.socket), ready, timeout, &pipes)
    }

    /// Another handle of the same socket, for a thread that waits for it or sends
    /// a file to it.
    pub(crate) fn share(&self) -> Self {
        Self {
            socket: Arc::clone(&self.socket),
        }
    }

    /// Whether a thread has another handle. Then a drop of this one does not close
    /// the socket.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.socket) > 1
    }

    /// Registers this socket with an epoll.
    pub(crate) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        os::register(&mut self.socket, registry, token, interest)
    }

    /// Changes the events for which this socket is registered.
    pub(crate) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        os::reregister(&mut self.socket, registry, token, interest)
    }

    /// Ends the registration of this socket.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        os::deregister(&mut self.socket, registry)
    }
}

/// Makes a call that does not wait, again if a signal interrupts it. `None` if it
/// would have to wait.
fn at_once(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn sent(result: io::Result<Option<usize>>) -> Sent {
    match result {
        Ok(Some(count)) => Sent::Bytes(count),
        Ok(None) => Sent::Wait,
        Err(_) => Sent::Gone,
    }
}

fn received(result: io::Result<Option<usize>>) -> Received {
    match result {
        Ok(Some(0)) => Received::Eof,
        Ok(Some(count)) => Received::Bytes(count),
        Ok(None) => Received::Wait,
        Err(_) => Received::Gone,
    }
}
