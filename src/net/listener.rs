//! The listening socket: to bind it, accept from it, wake the thread that waits in
//! accept, and close it without losing the connections in its backlog.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use super::stream::Stream;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::net::os;

/// Whether the server shares its listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// Only this server has the listener. When it stops, the kernel refuses new
    /// connections, and the server serves those in the backlog.
    Sole,
    /// Another process or another handle has the listener too, and goes on
    /// accepting: with socket activation, or in a restart that passes the listener
    /// on. When the server stops, it only stops accepting. The backlog is left to
    /// the other holder.
    Shared,
}

/// How long one accept waits at most, at a listener that is ours alone. So an
/// acceptor that cannot be woken (no loopback interface, a firewall) sees a stop
/// after that.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(500);

/// How many bytes of an answer the kernel takes, for each connection, that it
/// cannot send because the client does not read. Without this limit it takes
/// megabytes, and the server does not see that the client is slow.
const UNSENT_MAX: u32 = 128 * 1024;

/// How long the connection that wakes the acceptor may take to open.
const WAKE_TIMEOUT: Duration = Duration::from_millis(250);

/// The listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// In blocking mode until [`set_nonblocking`](Self::set_nonblocking). It is
    /// mio's because that makes accepted sockets non-blocking without one more
    /// system call for each.
    socket: mio::net::TcpListener,
    address: LocalAddr,
    ownership: Ownership,
    /// Accepted sockets have `TCP_NODELAY` already.
    nodelay: bool,
}

/// The result of [`Listener::accept`].
#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(Stream, PeerAddr),
    /// The backlog is empty. Before [`Listener::set_nonblocking`], this is the
    /// result only after a timeout.
    Empty,
    /// This connection failed, or there are no resources at the moment. The
    /// listener still works: back off and go on.
    Failed(io::Error),
}

impl Listener {
    pub(crate) fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::new(TcpListener::bind(address)?, Ownership::Sole)
    }

    pub(crate) fn new(socket: TcpListener, ownership: Ownership) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let mut nodelay = false;
        // The options belong to the socket, not to our handle of it, so a socket
        // that another holder uses too is left as it is.
        if ownership == Ownership::Sole {
            socket.set_nonblocking(false)?;
            let options = SockRef::from(&socket);
            options.set_read_timeout(Some(ACCEPT_TIMEOUT))?;
            if let Err(error) = os::limit_unsent(&options, UNSENT_MAX) {
                log::debug!("cannot limit the unsent bytes of slow clients: {error}");
            }
            nodelay = os::nodelay_is_inherited() && options.set_tcp_nodelay(true).is_ok();
        }
        Ok(Self {
            socket: mio::net::TcpListener::from_std(socket),
            address: address.into(),
            ownership,
            nodelay,
        })
    }

    pub(crate) fn address(&self) -> &LocalAddr {
        &self.address
    }

    pub(crate) fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Waits for a connection, for `ACCEPT_TIMEOUT` at most if the listener is
    /// ours alone.
    pub(crate) fn accept(&self) -> Accepted {
        match self.socket.accept() {
            Ok((socket, peer)) => match Stream::accepted(socket, self.nodelay) {
                Ok(stream) => Accepted::Connection(stream, peer.into()),
                // The client has reset it already.
                Err(_) => Accepted::Failed(ErrorKind::ConnectionAborted.into()),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Empty,
            Err(error) => Accepted::Failed(error),
        }
    }

    /// From here on [`accept`](Self::accept) takes the connections in the backlog,
    /// and does not wait.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        SockRef::from(&self.socket).set_nonblocking(true)
    }

    /// Has the kernel refuse new connections, and keep the backlog.
    ///
    /// # Errors
    ///
    /// The system has no call for it. New connections still arrive.
    pub(crate) fn refuse_new_connections(&self) -> io::Result<()> {
        let address = self.address.socket_addr().ok_or(ErrorKind::Unsupported)?;
        os::refuse_new_connections(&SockRef::from(&self.socket), address)
    }

    /// Whether handshakes with our port have begun and not ended. `true` if the
    /// system does not tell.
    pub(crate) fn may_be_half_open(&self) -> bool {
        self.address.socket_addr().and_then(os::half_open) != Some(0)
    }
}

/// Wakes the thread that waits in [`Listener::accept`] by connecting to the
/// listener, and tells these connections from those of clients.
#[derive(Debug)]
pub(crate) struct AcceptorWaker {
    target: SocketAddr,
    /// The local addresses of our own connections. An address is added before its
    /// socket connects, so the acceptor knows each one that it accepts.
    own: Mutex<Vec<SocketAddr>>,
    /// Created in advance: when the server stops, there may be no file descriptor
    /// left.
    spare: Mutex<Option<Socket>>,
}

impl AcceptorWaker {
    /// For the listener with this address. It connects to the loopback address if
    /// the listener is bound to all addresses.
    pub(crate) fn new(listener: &LocalAddr) -> io::Result<Self> {
        let listener = listener.socket_addr().ok_or(ErrorKind::Unsupported)?;
        let ip = match listener.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let mut target = listener;
        target.set_ip(ip);
        let spare = Mutex::new(Some(new_socket(target)?));
        Ok(Self {
            target,
            own: Mutex::default(),
            spare,
        })
    }

    /// Connects once. The caller keeps the socket until the acceptor is awake.
    ///
    /// # Errors
    ///
    /// The connection is refused if the kernel refuses new ones already: then the
    /// acceptor is awake. It times out if the backlog is full: then the acceptor
    /// does not wait either.
    pub(crate) fn wake(&self) -> io::Result<Socket> {
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let socket = match spare {
            Some(socket) => socket,
            None => new_socket(self.target)?,
        };
        let mut from = self.target;
        from.set_port(0);
        socket.bind(&from.into())?;
        let from = socket.local_addr()?.as_socket();
        let from = from.ok_or(ErrorKind::AddrNotAvailable)?;
        self.own().push(from);
        let connected = socket.connect_timeout(&self.target.into(), WAKE_TIMEOUT);
        if let Err(error) = connected {
            // A client may get this port next.
            self.own().retain(|&own| own != from);
            return Err(error);
        }
        Ok(socket)
    }

    /// Whether [`wake`](Self::wake) made the connection from `peer`.
    pub(crate) fn is_own(&self, peer: PeerAddr) -> bool {
        peer.socket_addr()
            .is_some_and(|peer| self.own().contains(&peer))
    }

    fn own(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_socket(target: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(target), Type::STREAM, None)
}

/// How many connections may be open at a time: `wanted`, or fewer if the limit on
/// open files leaves less. `uploads` is how many handlers may wait for a request's
/// body at a time.
pub(crate) fn affordable_connections(wanted: usize, shards: usize, uploads: usize) -> usize {
    /// For the listener, the standard streams, two pipes, and the files of
    /// handlers.
    const OTHER_FILES: usize = 36;
    /// An epoll, a second handle of it, and its waker.
    const FILES_A_SHARD: usize = 3;
    /// The two ends of a pipe.
    const FILES_AN_UPLOAD: usize = 2;

    match os::open_files_max() {
        Some(limit) => {
            let others = OTHER_FILES + FILES_A_SHARD * shards + FILES_AN_UPLOAD * uploads;
            wanted.min(limit.saturating_sub(others).max(1))
        }
        None => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::Received;
    use super::*;

    #[test]
    fn a_connection_that_wakes_accept_is_own() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let listener = Listener::bind(address).unwrap();
            let acceptor_waker = AcceptorWaker::new(listener.address()).unwrap();
            let _connection = acceptor_waker.wake().unwrap();
            let Accepted::Connection(_, peer) = listener.accept() else {
                panic!("no connection at {address}");
            };
            assert!(acceptor_waker.is_own(peer), "{address}");
        }
    }

    #[test]
    fn an_accepted_socket_waits_for_nothing() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let Accepted::Connection(stream, _) = listener.accept() else {
            panic!("no connection was accepted");
        };
        assert_eq!(stream.read(&mut [0]), Received::Wait);
        assert!(stream.to_std().unwrap().nodelay().unwrap());
    }

    #[test]
    fn a_connection_of_a_client_is_not_own() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let acceptor_waker = AcceptorWaker::new(listener.address()).unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let Accepted::Connection(_, peer) = listener.accept() else {
            panic!("no connection was accepted");
        };
        assert!(!acceptor_waker.is_own(peer));
    }
}
