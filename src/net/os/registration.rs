//! Unix: registrations with an epoll or the like. A registration belongs to the
//! file descriptor, so a shared handle can be registered too.

#![allow(
    clippy::needless_pass_by_ref_mut,
    reason = "the same functions on other systems need it"
)]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::Interest;
use mio::Registry;
use mio::Token;
use mio::event::Source;
use mio::net::TcpStream;
use mio::unix::SourceFd;

/// Registers a socket with an epoll.
pub(crate) fn register(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).register(registry, token, interest)
}

/// Changes the events for which a socket is registered.
pub(crate) fn reregister(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).reregister(registry, token, interest)
}

/// Ends a registration. The socket stays open.
pub(crate) fn deregister(socket: &mut Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).deregister(registry)
}
