//! Unix: registrations with an epoll or the like. They belong to a descriptor, so
//! a handle that is shared can be registered too.

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

/// Has an epoll tell of the events of a socket.
pub(crate) fn register(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).register(registry, token, interest)
}

/// Changes what an epoll tells of.
pub(crate) fn reregister(
    socket: &mut Arc<TcpStream>,
    registry: &Registry,
    token: Token,
    interest: Interest,
) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).reregister(registry, token, interest)
}

/// Ends a registration, while the socket stays open.
pub(crate) fn deregister(socket: &mut Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).deregister(registry)
}
