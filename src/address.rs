//! Addresses of the two ends of a connection.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::option;
use std::path::Path;
use std::sync::Arc;

/// The address of a client, or of the proxy before the server.
///
/// ```
/// # use farewell::PeerAddr;
/// # use std::net::SocketAddr;
/// let peer = PeerAddr::from(SocketAddr::from(([127, 0, 0, 1], 4711)));
/// assert_eq!(peer.to_string(), "127.0.0.1:4711");
/// assert_eq!(PeerAddr::Unix.to_string(), "unix socket");
/// assert_eq!(PeerAddr::Unix.ip(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddr {
    /// A TCP connection.
    Inet(SocketAddr),
    /// A connection of a unix socket. Its client has no address: the program that
    /// connects runs on this machine, and the permissions of the socket's file let it
    /// in.
    Unix,
}

impl PeerAddr {
    /// The IP address. `None` for a unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// IP address and port. `None` for a unix socket.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match *self {
            Self::Inet(address) => Some(address),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix => f.pad("unix socket"),
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl PartialEq<SocketAddr> for PeerAddr {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.socket_addr() == Some(*other)
    }
}

/// The address on which a server listens, or the server's end of a connection.
///
/// It is shown as `127.0.0.1:8081` or as `unix:/run/hello.sock`. A client can connect
/// to it, if it is not that of a unix socket: it implements [`ToSocketAddrs`].
///
/// ```
/// # use farewell::{Config, Server};
/// # use std::net::TcpStream;
/// let server = Server::bind("127.0.0.1:0", Config::default())?;
/// let address = server.local_addr();
/// assert_eq!(address.to_string(), format!("127.0.0.1:{}", address.port().unwrap()));
/// let client = TcpStream::connect(address)?;
/// # drop(client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocalAddr {
    /// A TCP socket.
    Inet(SocketAddr),
    /// A unix socket: its absolute path, `@` and the name for a name in Linux's
    /// abstract namespace, or an empty path for a socket without a name.
    Unix(Arc<Path>),
}

impl LocalAddr {
    /// The IP address. `None` for a unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// The port. `None` for a unix socket.
    pub fn port(&self) -> Option<u16> {
        self.socket_addr().map(|address| address.port())
    }

    /// IP address and port. `None` for a unix socket.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match *self {
            Self::Inet(address) => Some(address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for LocalAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for LocalAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl PartialEq<SocketAddr> for LocalAddr {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.socket_addr() == Some(*other)
    }
}

impl ToSocketAddrs for LocalAddr {
    type Iter = option::IntoIter<SocketAddr>;

    /// # Errors
    ///
    /// `InvalidInput`: it is the address of a unix socket.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let not_inet = || {
            let text = format!("{self} is not an internet address");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        };
        let address = self.socket_addr().ok_or_else(not_inet)?;
        Ok(Some(address).into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_written() {
        let inet: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(PeerAddr::from(inet).to_string(), "[::1]:80");
        assert_eq!(LocalAddr::from(inet).to_string(), "[::1]:80");
        assert_eq!(PeerAddr::Unix.to_string(), "unix socket");
        let unix = LocalAddr::Unix(Path::new("/run/a.sock").into());
        assert_eq!(unix.to_string(), "unix:/run/a.sock");
    }

    #[test]
    fn a_unix_socket_has_no_internet_address() {
        let inet: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let unix = LocalAddr::Unix(Path::new("/run/a.sock").into());
        assert_eq!((unix.ip(), unix.port()), (None, None));
        assert!(unix != inet && PeerAddr::Unix != inet);
        let error = unix.to_socket_addrs().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unix:/run/a.sock is not an internet address"
        );
        let found: Vec<_> = LocalAddr::from(inet).to_socket_addrs().unwrap().collect();
        assert_eq!(found, [inet]);
    }

    /// Every request has both.
    #[test]
    fn addresses_are_small() {
        assert_eq!(size_of::<PeerAddr>(), size_of::<SocketAddr>());
        assert!(size_of::<LocalAddr>() <= 40);
    }
}
