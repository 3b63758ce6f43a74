//! Unix: the end of a registration with a poll.

use std::io;
use std::os::fd::AsRawFd;

use mio::Registry;
use mio::event::Source;
use mio::net::TcpStream;
use mio::unix::SourceFd;

/// Ends a socket's registration with a poll, while the socket stays open. The
/// registration belongs to the open socket and not to one descriptor: closing
/// ours would leave it to the other handles.
pub(crate) fn deregister(registry: &Registry, socket: &TcpStream) -> io::Result<()> {
    SourceFd(&socket.as_raw_fd()).deregister(registry)
}
