//! One accepted connection's socket, which nobody ever waits on.

use std::io;
use std::io::ErrorKind;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;

use mio::event::Source;

/// A TCP stream in non-blocking mode.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: mio::net::TcpStream,
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
    /// Takes over an accepted socket. Answers are written whole, so Nagle's
    /// delay could only hold back the last segment of one.
    pub(crate) fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket: mio::net::TcpStream::from_std(socket),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Received {
        debug_assert!(!buffer.is_empty(), "no room would look like EOF");
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return Received::Eof,
                Ok(count) => return Received::Bytes(count),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Received::Wait,
                    ErrorKind::Interrupted => {}
                    _ => return Received::Gone,
                },
            }
        }
    }

    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> Sent {
        loop {
            match self.socket.write_vectored(slices) {
                Ok(count) => return Sent::Bytes(count),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Sent::Wait,
                    ErrorKind::Interrupted => {}
                    _ => return Sent::Gone,
                },
            }
        }
    }

    /// Says that we are done writing; reading goes on.
    pub(crate) fn half_close(&self) {
        // It fails only on a connection that is broken, which the next read finds.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// What an epoll registers.
    pub(crate) fn source(&mut self) -> &mut impl Source {
        &mut self.socket
    }
}
