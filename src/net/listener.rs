//! The listening socket: to bind it, accept from it, wake the thread that waits in
//! accept, and close it without losing the connections in its backlog.

use std::io;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::net::ToSocketAddrs;
#[cfg(unix)]
use std::os::fd::AsFd;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use socket2::SockRef;

use super::acceptor_waker::AcceptorWaker;
use super::ownership::ListenerOwnership;
use super::ownership::Ownership;
use super::stream::Stream;
use super::stream::UNSENT_MAX;
use crate::address::LocalAddr;
use crate::address::PeerAddr;
use crate::net::os;

/// How long one accept waits at most, at a listener that is ours alone. So an
/// acceptor that cannot be woken (no loopback interface, a firewall) sees a stop
/// after that.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(500);

/// The listening socket. Its drop closes it.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Arc<SharedListener>,
    address: LocalAddr,
}

/// What the listener shares with its handles, which keep it only while they use it.
#[derive(Debug)]
pub(crate) struct SharedListener {
    socket: ListeningSocket,
    pub(crate) ownership: ListenerOwnership,
}

/// In blocking mode until [`Listener::set_nonblocking`]. The sockets are mio's because
/// that makes accepted sockets non-blocking without one more system call for each.
#[derive(Debug)]
enum ListeningSocket {
    Tcp {
        socket: mio::net::TcpListener,
        /// Accepted sockets have `TCP_NODELAY` already.
        nodelay: bool,
    },
    Unix(os::UnixSocket),
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
        let socket = TcpListener::bind(address)?;
        // With a shorter queue the server works too.
        if let Err(error) = os::lengthen_backlog(&SockRef::from(&socket)) {
            log::debug!("cannot lengthen the accept queue: {error}");
        }
        Self::new(socket, Ownership::Sole)
    }

    pub(crate) fn new(socket: TcpListener, ownership: Ownership) -> io::Result<Self> {
        let address = socket.local_addr()?.into();
        let options = SockRef::from(&socket);
        // The options belong to the socket, not to our handle of it, so a socket
        // that another holder uses too is left as it is.
        if ownership == Ownership::Sole {
            make_blocking(&options)?;
            if let Err(error) = os::limit_unsent(&options, UNSENT_MAX) {
                log::debug!("cannot limit the unsent bytes of slow clients: {error}");
            }
            if let Err(error) = options.set_tcp_nodelay(true) {
                log::debug!("cannot set TCP_NODELAY for all clients: {error}");
            }
        }
        let nodelay = os::nodelay_is_inherited() && options.tcp_nodelay().unwrap_or(false);
        let socket = mio::net::TcpListener::from_std(socket);
        let socket = ListeningSocket::Tcp { socket, nodelay };
        Ok(Self::assemble(socket, address, ownership))
    }

    /// From a unix socket. The kernel takes about 200 kB for a client of it that does
    /// not read, which needs no further limit.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no unix sockets"))]
    pub(crate) fn unix(socket: os::UnixSocket, ownership: Ownership) -> io::Result<Self> {
        if ownership == Ownership::Sole {
            make_blocking(&socket.options())?;
        }
        let address = socket.address().clone();
        let socket = ListeningSocket::Unix(socket);
        Ok(Self::assemble(socket, address, ownership))
    }

    fn assemble(socket: ListeningSocket, address: LocalAddr, ownership: Ownership) -> Self {
        let ownership = ListenerOwnership::new(ownership);
        Self {
            shared: Arc::new(SharedListener { socket, ownership }),
            address,
        }
    }

    /// What handles of the listener hold.
    pub(crate) fn downgrade(&self) -> Weak<SharedListener> {
        Arc::downgrade(&self.shared)
    }

    pub(crate) fn address(&self) -> &LocalAddr {
        &self.address
    }

    pub(crate) fn ownership(&self) -> Ownership {
        self.shared.ownership.get()
    }

    /// The ownership by which the stop of the server treats the backlog. From here on it
    /// does not change.
    pub(crate) fn stop_accepting(&self) -> Ownership {
        self.shared.ownership.fix()
    }

    /// What wakes the thread that waits in [`accept`](Self::accept).
    pub(crate) fn acceptor_waker(&self) -> io::Result<AcceptorWaker> {
        match &self.shared.socket {
            ListeningSocket::Tcp { socket, .. } => AcceptorWaker::tcp(socket.local_addr()?),
            ListeningSocket::Unix(socket) => AcceptorWaker::unix(socket),
        }
    }

    /// Waits for a connection, for `ACCEPT_TIMEOUT` at most if the listener is
    /// ours alone.
    pub(crate) fn accept(&self) -> Accepted {
        let accepted = match &self.shared.socket {
            ListeningSocket::Tcp { socket, nodelay } => socket
                .accept()
                .map(|(socket, peer)| (Stream::accepted(socket, *nodelay), peer.into())),
            ListeningSocket::Unix(socket) => socket
                .accept()
                .map(|socket| (Stream::accepted_unix(socket), PeerAddr::Unix)),
        };
        match accepted {
            Ok((Ok(stream), peer)) => Accepted::Connection(stream, peer),
            // The client has reset it already.
            Ok((Err(_), _)) => Accepted::Failed(ErrorKind::ConnectionAborted.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Empty,
            Err(error) => Accepted::Failed(error),
        }
    }

    /// From here on [`accept`](Self::accept) takes the connections in the backlog,
    /// and does not wait.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        self.shared.options().set_nonblocking(true)
    }

    /// Removes the file of a unix socket that is ours alone. New clients find no
    /// server there, and a successor can bind to the path. The backlog stays.
    ///
    /// This comes before the listener stops listening: see `SocketFile::remove`.
    pub(crate) fn remove_file(&self) -> io::Result<()> {
        match (&self.shared.socket, self.ownership()) {
            (ListeningSocket::Unix(socket), Ownership::Sole) => {
                socket.file().map_or(Ok(()), os::SocketFile::remove)
            }
            _ => Ok(()),
        }
    }

    /// Closes the listener without having served its backlog. Returns whether this resets
    /// connections: the backlog of a shared listener is left to the other holder.
    pub(crate) fn close_unserved(self) -> bool {
        self.stop_accepting() == Ownership::Sole
            && self.set_nonblocking().is_ok()
            && matches!(self.accept(), Accepted::Connection(..))
    }

    /// Has the kernel refuse new connections, and keep the backlog.
    ///
    /// # Errors
    ///
    /// The system has no call for it. New connections still arrive.
    pub(crate) fn refuse_new_connections(&self) -> io::Result<()> {
        match self.address {
            LocalAddr::Inet(address) => os::refuse_new_connections(&self.shared.options(), address),
            LocalAddr::Unix(_) => os::refuse_new_unix_connections(&self.shared.options()),
        }
    }

    /// Whether handshakes with our port have begun and not ended. `true` if the
    /// system does not tell. A unix socket has no handshake.
    pub(crate) fn may_be_half_open(&self) -> bool {
        let address = self.address.socket_addr();
        address.is_some_and(|address| os::half_open(address) != Some(0))
    }
}

impl SharedListener {
    fn options(&self) -> SockRef<'_> {
        match &self.socket {
            ListeningSocket::Tcp { socket, .. } => SockRef::from(socket),
            ListeningSocket::Unix(socket) => socket.options(),
        }
    }

    /// Makes the socket one that only this server accepts from.
    pub(crate) fn make_blocking(&self) -> io::Result<()> {
        make_blocking(&self.options())
    }

    /// A second handle of the socket, for another process.
    ///
    /// # Errors
    ///
    /// `NotFound`: the path of the unix socket does not lead to it any more.
    #[cfg(unix)]
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            ListeningSocket::Tcp { socket, .. } => socket.as_fd().try_clone_to_owned(),
            ListeningSocket::Unix(socket) => socket.duplicate(),
        }
    }
}

/// The file of a unix socket is removed before the socket is closed, also if the server
/// never served.
impl Drop for Listener {
    fn drop(&mut self) {
        self.stop_accepting();
        // Without the right to remove it, the file stays. The next server replaces it.
        let _ = self.remove_file();
    }
}

fn make_blocking(listener: &SockRef<'_>) -> io::Result<()> {
    listener.set_nonblocking(false)?;
    listener.set_read_timeout(Some(ACCEPT_TIMEOUT))
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
            let acceptor_waker = listener.acceptor_waker().unwrap();
            let _connection = acceptor_waker.wake().unwrap();
            let Accepted::Connection(stream, _) = listener.accept() else {
                panic!("no connection at {address}");
            };
            assert!(acceptor_waker.is_own(&stream), "{address}");
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
        let acceptor_waker = listener.acceptor_waker().unwrap();
        let _own = acceptor_waker.wake().unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let is_own = [(); 2].map(|()| match listener.accept() {
            Accepted::Connection(stream, _) => acceptor_waker.is_own(&stream),
            other => panic!("no connection was accepted: {other:?}"),
        });
        assert_eq!(is_own, [true, false]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_that_wakes_accept_at_a_unix_socket_is_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener =
            Listener::unix(os::UnixSocket::bind(&path).unwrap(), Ownership::Sole).unwrap();
        let acceptor_waker = listener.acceptor_waker().unwrap();
        let _own = acceptor_waker.wake().unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let is_own = [(); 2].map(|()| match listener.accept() {
            Accepted::Connection(stream, _) => acceptor_waker.is_own(&stream),
            other => panic!("no connection was accepted: {other:?}"),
        });
        assert_eq!(is_own, [true, false]);
        // Not to a server that has taken the path.
        std::fs::remove_file(&path).unwrap();
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(
            acceptor_waker.wake().unwrap_err().kind(),
            ErrorKind::NotFound
        );
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
