//! One accepted connection's socket, which nobody ever waits on.

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
use socket2::SockRef;

use crate::net::os;
use crate::net::os::Ready;

/// A TCP stream in non-blocking mode.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Shared for a while with a thread that waits for the socket, or sends a file.
    socket: Arc<mio::net::TcpStream>,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes; never none.
    Bytes(usize),
    /// The client has closed its side: nothing more will come.
    Eof,
    /// Nothing yet.
    Wait,
    /// The connection is broken.
    Gone,
}

/// What a write did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The kernel took so many bytes.
    Bytes(usize),
    /// There is no room yet.
    Wait,
    /// The connection is broken.
    Gone,
}

impl Stream {
    /// Takes over what mio's accept gave. `nodelay`: it has no Nagle's delay,
    /// which could only hold back the last segment of an answer, because answers
    /// are written whole.
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

    /// Takes over a socket of any kind.
    #[cfg(any(test, fuzzing, feature = "internals"))]
    pub(crate) fn of(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = mio::net::TcpStream::from_std(socket);
        Ok(Self {
            socket: Arc::new(socket),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> Received {
        debug_assert!(!buffer.is_empty(), "no room would look like EOF");
        received(at_once(|| (&*self.socket).read(buffer)))
    }

    /// Whether a read with so much room shows that nothing more was there. Where
    /// it does, what comes later is an event of its own.
    pub(crate) fn has_given_all(&self, received: &Received, room: usize) -> bool {
        match received {
            Received::Bytes(count) => os::short_read_means_empty() && *count < room,
            Received::Wait => true,
            Received::Eof | Received::Gone => false,
        }
    }

    /// What a read would give, without reading it.
    pub(crate) fn look(&self) -> Received {
        received(at_once(|| self.socket.peek(&mut [0])))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Sent {
        sent(at_once(|| (&*self.socket).write(bytes)))
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> Sent {
        sent(at_once(|| (&*self.socket).write_vectored(slices)))
    }

    /// Writes a part of a file; no bytes at the file's end.
    ///
    /// # Errors
    ///
    /// The file cannot be read; `Unsupported` if it can, but not so.
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

    /// Says that we are done writing; reading goes on.
    ///
    /// # Errors
    ///
    /// The connection is broken, which the next read finds too.
    pub(crate) fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Ends both ways, for everyone who has this socket.
    pub(crate) fn shut_down(&self) {
        // It fails only on a connection that is gone.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Wakes whoever reads, with EOF. Nothing is said to the client.
    pub(crate) fn stop_reading(&self) {
        // It fails only on a connection that is gone.
        let _ = self.socket.shutdown(Shutdown::Read);
    }

    /// Has the close reset the connection, so that nobody takes what came for
    /// the whole.
    pub(crate) fn reset_on_close(&self) {
        // It fails only on a connection that is gone.
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
    }

    /// The same socket as a stream of std's. It is in non-blocking mode still:
    /// the mode belongs to the socket, and so to every handle of it.
    pub(crate) fn to_std(&self) -> io::Result<TcpStream> {
        let socket = SockRef::from(&*self.socket).try_clone()?;
        // It has the listener's, which is about accepting.
        socket.set_read_timeout(None)?;
        Ok(socket.into())
    }

    /// Waits until the socket may be ready, until `until`, or until one
    /// of the pipes is closed. The caller tries again, whatever ended the wait.
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

    /// Another handle of the same socket, for a thread that waits for it or sends a
    /// file to it.
    pub(crate) fn share(&self) -> Self {
        Self {
            socket: Arc::clone(&self.socket),
        }
    }

    /// Whether a thread has another handle: then to drop this one closes nothing.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.socket) > 1
    }

    /// Has an epoll tell of this socket.
    pub(crate) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        os::register(&mut self.socket, registry, token, interest)
    }

    /// Has an epoll that tells of this socket tell of other events.
    pub(crate) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        os::reregister(&mut self.socket, registry, token, interest)
    }

    /// Has an epoll tell no more of this socket.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        os::deregister(&mut self.socket, registry)
    }
}

/// What can be done without waiting; `None` if nothing can. A signal in between
/// is no reason to give up.
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
