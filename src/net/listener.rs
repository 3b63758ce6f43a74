//! The listening socket: binding it, accepting from it, waking a thread that waits in
//! it, and closing it without losing the connections that the kernel has let in.

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
use crate::net::os;

/// Whose a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// Ours alone. When the server stops, the kernel refuses new connections,
    /// and everything that it has let in is served.
    Sole,
    /// Another process or another handle holds it too, and goes on with it:
    /// socket activation, a restart that hands the listener over. When the
    /// server stops it just stops accepting; the backlog is the other's.
    Shared,
}

/// How long an accept waits at most, where that can be limited: so an acceptor that
/// cannot be woken (no loopback interface, a firewall) sees a stop after that.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(500);

/// How much the kernel may hold of an answer, per connection, that it cannot
/// send because the client does not read. It would take megabytes, and nobody
/// here would see that the client is slow. In bytes.
const UNSENT_MAX: u32 = 128 * 1024;

/// How long the connection that wakes the acceptor may take.
const WAKE_TIMEOUT: Duration = Duration::from_millis(250);

/// The listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// In blocking mode until the backlog is drained. It is mio's because that makes accepted
    /// sockets non-blocking without one more system call for each.
    socket: mio::net::TcpListener,
    address: SocketAddr,
    ownership: Ownership,
    /// What it lets in has no Nagle's delay.
    nodelay: bool,
}

/// What [`Listener::accept`] gave.
#[derive(Debug)]
pub(crate) enum Accepted {
    Connection(Stream, SocketAddr),
    /// The backlog is empty. After [`Listener::set_nonblocking`] that is said at once,
    /// otherwise now and then.
    Empty,
    /// This one failed, or there are no resources at the moment. The listener
    /// is all right: back off and go on.
    Failed(io::Error),
}

impl Listener {
    pub(crate) fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::new(TcpListener::bind(address)?, Ownership::Sole)
    }

    pub(crate) fn new(socket: TcpListener, ownership: Ownership) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let mut nodelay = false;
        // All of this belongs to the socket, not to our handle of it, so another
        // holder's is left alone.
        if ownership == Ownership::Sole {
            socket.set_nonblocking(false)?;
            let options = SockRef::from(&socket);
            options.set_read_timeout(Some(ACCEPT_TIMEOUT))?;
            if let Err(error) = os::limit_unsent(&options, UNSENT_MAX) {
                log::debug!("what slow readers cost is up to the kernel: {error}");
            }
            nodelay = os::nodelay_is_inherited() && options.set_tcp_nodelay(true).is_ok();
        }
        Ok(Self {
            socket: mio::net::TcpListener::from_std(socket),
            address,
            ownership,
            nodelay,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// Waits for a connection, if not for ever.
    pub(crate) fn accept(&self) -> Accepted {
        match self.socket.accept() {
            Ok((socket, peer)) => match Stream::accepted(socket, self.nodelay) {
                Ok(stream) => Accepted::Connection(stream, peer),
                // It is gone already.
                Err(_) => Accepted::Failed(ErrorKind::ConnectionAborted.into()),
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Empty,
            Err(error) => Accepted::Failed(error),
        }
    }

    /// From here on [`accept`](Self::accept) takes what is in the backlog, and does not
    /// wait.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        SockRef::from(&self.socket).set_nonblocking(true)
    }

    /// Has the kernel refuse new connections, and keep those that it holds.
    /// Where it cannot, new ones go on coming.
    pub(crate) fn refuse_new_connections(&self) -> io::Result<()> {
        os::refuse_new_connections(&SockRef::from(&self.socket), self.address)
    }

    /// Whether handshakes with our port have begun and not ended. If nothing
    /// tells, there may be some.
    pub(crate) fn may_be_half_open(&self) -> bool {
        os::half_open(self.address) != Some(0)
    }
}

/// Wakes a thread that waits in [`Listener::accept`], by connecting to it, and
/// tells the connections made for that from real ones.
#[derive(Debug)]
pub(crate) struct AcceptorWaker {
    target: SocketAddr,
    /// Where our own connections come from. An address is entered before its socket
    /// connects, so that the acceptor knows every one of them.
    own: Mutex<Vec<SocketAddr>>,
    /// Made in advance: when the server stops there may be no file left.
    spare: Mutex<Option<Socket>>,
}

impl AcceptorWaker {
    /// Will connect to `listener`: at the loopback address when it is bound to all.
    pub(crate) fn new(listener: SocketAddr) -> io::Result<Self> {
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

    /// Connects once. The socket is to be kept until the acceptor is awake.
    ///
    /// # Errors
    ///
    /// Refused: new connections are refused already, so the acceptor does not wait.
    /// Timed out: the backlog is full, so the acceptor does not wait either.
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
            // A real client may get this port next.
            self.own().retain(|&own| own != from);
            return Err(error);
        }
        Ok(socket)
    }

    /// Whether a connection from `peer` is one of our own.
    pub(crate) fn is_own(&self, peer: SocketAddr) -> bool {
        self.own().contains(&peer)
    }

    fn own(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_socket(target: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(target), Type::STREAM, None)
}

/// How many connections may be open at a time without running out of files:
/// `wanted`, or what the limit on open files leaves for them. There are so many
/// shards, and at most so many handlers that wait for a request's body.
pub(crate) fn affordable_connections(wanted: usize, shards: usize, uploads: usize) -> usize {
    /// For the listener, standard streams, two pipes, and what handlers open.
    const OTHER_FILES: usize = 36;
    /// An epoll, another handle of it, and what wakes it.
    const FILES_A_SHARD: usize = 3;
    /// The ends of a pipe.
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
    fn a_wake_up_ends_accept_and_is_known() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let listener = Listener::bind(address).unwrap();
            let acceptor_waker = AcceptorWaker::new(listener.address()).unwrap();
            let _connection = acceptor_waker.wake().unwrap();
            let Accepted::Connection(_, peer) = listener.accept() else {
                panic!("no connection came to {address}");
            };
            assert!(acceptor_waker.is_own(peer), "{address}");
        }
    }

    #[test]
    fn what_is_let_in_waits_for_nothing() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let Accepted::Connection(stream, _) = listener.accept() else {
            panic!("no connection came");
        };
        assert_eq!(stream.read(&mut [0]), Received::Wait);
        assert!(stream.to_std().unwrap().nodelay().unwrap());
    }

    #[test]
    fn a_real_connection_is_no_wake_up() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let acceptor_waker = AcceptorWaker::new(listener.address()).unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let Accepted::Connection(_, peer) = listener.accept() else {
            panic!("no connection came");
        };
        assert!(!acceptor_waker.is_own(peer));
    }
}
