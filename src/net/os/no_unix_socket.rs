//! Systems without unix sockets: no value of these types exists.

use std::io;

use socket2::SockAddr;
use socket2::SockRef;

use crate::address::LocalAddr;

/// A unix socket that listens.
#[derive(Debug)]
pub(crate) enum UnixSocket {}

/// The file that is the address of a socket.
#[derive(Clone, Debug)]
pub(crate) enum SocketFile {}

impl UnixSocket {
    pub(crate) fn address(&self) -> &LocalAddr {
        match *self {}
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        match *self {}
    }

    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match *self {}
    }

    pub(crate) fn accept(&self) -> io::Result<mio::net::TcpStream> {
        match *self {}
    }
}

impl SocketFile {
    pub(crate) fn is_there(&self) -> bool {
        match *self {}
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match *self {}
    }
}

/// Whether a socket has an address of its own.
pub(crate) fn is_named(_: &SockAddr) -> bool {
    true
}
