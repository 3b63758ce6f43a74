//! What wakes the thread that waits in accept: a connection to the listener.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use super::stream::Stream;
use crate::net::os;

/// How long the connection that wakes the acceptor may take to open.
const WAKE_TIMEOUT: Duration = Duration::from_millis(250);

/// Wakes the thread that waits in accept by connecting to the listener, and tells these connections from those of clients.
#[derive(Debug)]
pub(crate) struct AcceptorWaker {
    target: SockAddr,
    /// The listener has clients of this machine only.
    is_local: bool,
    /// The file at a unix target. If the path leads to another server, no connection
    /// is made.
    file: Option<os::SocketFile>,
    /// What our own connections are bound to, so that each gets an address.
    from: SockAddr,
    /// The local addresses of our own connections. An address is added before its
    /// socket connects, so the acceptor knows each one that it accepts.
    own: Mutex<Vec<SockAddr>>,
    /// Created in advance: when the server stops, there may be no file descriptor
    /// left.
    spare: Mutex<Option<Socket>>,
}

impl AcceptorWaker {
    /// For the listener with this address. It connects to the loopback address if
    /// the listener is bound to all addresses.
    pub(crate) fn tcp(listener: SocketAddr) -> io::Result<Self> {
        let ip = match listener.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let (mut target, mut from) = (listener, listener);
        target.set_ip(ip);
        from.set_ip(ip);
        from.set_port(0);
        Ok(Self {
            is_local: listener.ip().to_canonical().is_loopback(),
            ..Self::new(target.into(), None, from.into())?
        })
    }

    pub(crate) fn unix(listener: &os::UnixSocket) -> io::Result<Self> {
        let target = listener.options().local_addr()?;
        // Linux gives a socket that is bound to the empty path a name of its own.
        let from = SockAddr::unix("")?;
        Self::new(target, listener.file().cloned(), from)
    }

    fn new(target: SockAddr, file: Option<os::SocketFile>, from: SockAddr) -> io::Result<Self> {
        let spare = Mutex::new(Some(new_socket(&target)?));
        Ok(Self {
            target,
            is_local: true,
            file,
            from,
            own: Mutex::default(),
            spare,
        })
    }

    /// The longest round trip to a client that is connected. Zero on a unix socket and on
    /// a loopback address, and where the system does not tell.
    pub(crate) fn longest_round_trip(&self) -> Duration {
        let listener = self.target.as_socket();
        listener
            .filter(|_| !self.is_local)
            .and_then(os::longest_round_trip)
            .unwrap_or_default()
    }

    /// Connects once. The caller keeps the socket until the acceptor is awake.
    ///
    /// # Errors
    ///
    /// The connection is refused if the kernel refuses new ones already: then the
    /// acceptor is awake. It times out if the backlog is full: then the acceptor
    /// does not wait either. The file of a unix socket is not there: then the acceptor
    /// of a listener that is ours alone wakes up by itself.
    pub(crate) fn wake(&self) -> io::Result<Socket> {
        if self.file.as_ref().is_some_and(|file| !file.is_there()) {
            return Err(ErrorKind::NotFound.into());
        }
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let socket = match spare {
            Some(socket) => socket,
            None => new_socket(&self.target)?,
        };
        let bound = socket.bind(&self.from);
        // Systems other than Linux give a unix socket no name. There the connection
        // counts as one of a client.
        if !self.target.is_unix() {
            bound?;
        }
        let from = socket.local_addr()?;
        if os::is_named(&from) {
            self.own().push(from.clone());
        }
        let connected = socket.connect_timeout(&self.target, WAKE_TIMEOUT);
        if let Err(error) = connected {
            // A client may get this port next.
            self.own().retain(|own| *own != from);
            return Err(error);
        }
        Ok(socket)
    }

    /// Whether [`wake`](Self::wake) made this connection.
    pub(crate) fn is_own(&self, stream: &Stream) -> bool {
        let own = self.own();
        !own.is_empty() && stream.peer_addr().is_ok_and(|peer| own.contains(&peer))
    }

    fn own(&self) -> MutexGuard<'_, Vec<SockAddr>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_socket(target: &SockAddr) -> io::Result<Socket> {
    Socket::new(target.domain(), Type::STREAM, None)
}
