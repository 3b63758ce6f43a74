//! Unix: a socket that listens already.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use farewell::Config;
use farewell::Error;
use farewell::Ownership;
use farewell::Server;
use rustix::net::AddressFamily;
use rustix::net::SocketType;
use rustix::net::sockopt;

/// A socket that listens already, of a kind that a server can use.
#[derive(Debug)]
pub(in super::super) enum InheritedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl InheritedSocket {
    /// # Errors
    ///
    /// It is not a TCP socket or a unix stream socket that listens.
    pub(in super::super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let is_stream = sockopt::socket_type(&socket)? == SocketType::STREAM;
        if !is_stream || !sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::other("it is not a stream socket that listens"));
        }
        match rustix::net::getsockname(&socket)?.address_family() {
            AddressFamily::INET | AddressFamily::INET6 => Ok(Self::Tcp(socket.into())),
            AddressFamily::UNIX => Ok(Self::Unix(socket.into())),
            _ => Err(io::Error::other("it is neither a TCP nor a unix socket")),
        }
    }

    /// A server on this socket, whose other holder goes on listening.
    pub(in super::super) fn server(self, config: Config) -> Result<Server, Error> {
        let unusable = |error: io::Error| {
            log::warn!("cannot make the inherited socket blocking: {error}");
        };
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(false).unwrap_or_else(unusable);
                Server::from_listener(listener, Ownership::Shared, config)
            }
            Self::Unix(listener) => {
                listener.set_nonblocking(false).unwrap_or_else(unusable);
                Server::from_unix_listener(listener, Ownership::Shared, config)
            }
        }
    }
}
