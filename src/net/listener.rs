//! The listening socket: binding it, accepting from it, waking whoever waits
//! in it, and closing it without losing those whom the kernel has let in.

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

/// How long an accept waits at most, where that can be limited: a stop that
/// cannot knock (no loopback interface, a firewall) is not missed for longer.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(500);

/// How much the kernel may hold of an answer, per connection, that it cannot
/// send because the client does not read. It would take megabytes, and nobody
/// here would see that the client is slow. In bytes.
const UNSENT_MAX: u32 = 128 * 1024;

/// How long one knock may take to connect.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(250);

/// The listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// In blocking mode until the sweep. It is mio's because that makes accepted
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
    /// The backlog is empty: at once after [`Listener::sweep`], otherwise now
    /// and then.
    Nobody,
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
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Nobody,
            Err(error) => Accepted::Failed(error),
        }
    }

    /// From here on [`accept`](Self::accept) takes who is there, and waits for
    /// nobody.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        SockRef::from(&self.socket).set_nonblocking(true)
    }

    /// Has the kernel refuse new connections, and keep those that it holds.
    /// Where it cannot, new ones go on coming.
    pub(crate) fn close_door(&self) -> io::Result<()> {
        os::close_door(&SockRef::from(&self.socket), self.address)
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
pub(crate) struct Knocker {
    target: SocketAddr,
    /// Where our knocks come from. An address is entered before it connects,
    /// so that no acceptor can see a knock and not know it.
    from: Mutex<Vec<SocketAddr>>,
    /// Made in advance: when the server stops there may be no file left.
    spare: Mutex<Option<Socket>>,
}

impl Knocker {
    /// Will knock at `listener`: at the loopback address when it is bound to
    /// all.
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
            from: Mutex::default(),
            spare,
        })
    }

    /// Connects once. The stream is for keeping until the acceptor is awake.
    ///
    /// # Errors
    ///
    /// Refused: the door is closed already, and nobody waits. Timed out: the
    /// backlog is full, so the acceptor does not wait either.
    pub(crate) fn knock(&self) -> io::Result<Socket> {
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
        self.knocks().push(from);
        let connected = socket.connect_timeout(&self.target.into(), KNOCK_TIMEOUT);
        if let Err(error) = connected {
            // A real client may get this port next.
            self.knocks().retain(|&knock| knock != from);
            return Err(error);
        }
        Ok(socket)
    }

    /// Whether a connection from `peer` is one of our knocks.
    pub(crate) fn knows(&self, peer: SocketAddr) -> bool {
        self.knocks().contains(&peer)
    }

    fn knocks(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_knock_wakes_accept_and_is_known() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let listener = Listener::bind(address).unwrap();
            let knocker = Knocker::new(listener.address()).unwrap();
            let _knock = knocker.knock().unwrap();
            let Accepted::Connection(_, peer) = listener.accept() else {
                panic!("nobody knocked at {address}");
            };
            assert!(knocker.knows(peer), "{address}");
        }
    }

    #[test]
    fn what_is_let_in_waits_for_nothing() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let Accepted::Connection(stream, _) = listener.accept() else {
            panic!("nobody came");
        };
        assert_eq!(stream.read(&mut [0]), Received::Wait);
        assert!(stream.to_std().unwrap().nodelay().unwrap());
    }

    #[test]
    fn a_real_connection_is_no_knock() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let knocker = Knocker::new(listener.address()).unwrap();
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        let Accepted::Connection(_, peer) = listener.accept() else {
            panic!("nobody came");
        };
        assert!(!knocker.knows(peer));
    }
}
