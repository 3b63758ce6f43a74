//! The length of a listener's accept queue.

use std::ffi::c_int;
use std::io;

use socket2::SockRef;

/// How many connections may wait in the accept queue. The standard library asks for 128
/// at a TCP socket, which a burst of clients fills in milliseconds: then Linux drops
/// handshakes, and each client tries again only after a second. The kernel cuts the value
/// to its own limit, which is 4096 on Linux too (`net.core.somaxconn`).
///
/// At a unix socket, the standard library asks for what the kernel allows.
const BACKLOG: c_int = 4096;

/// Sets the length of the accept queue of a socket that listens already, by a second
/// call of `listen`. A system that ignores the second call keeps the length of the first.
pub(crate) fn lengthen_backlog(listener: &SockRef<'_>) -> io::Result<()> {
    listener.listen(BACKLOG)
}
