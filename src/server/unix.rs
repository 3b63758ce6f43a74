//! Servers on unix sockets.

use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::config::Config;
use crate::error::Error;
use crate::net::listener::Listener;
use crate::net::os::UnixSocket;
use crate::net::ownership::Ownership;
use crate::server::Server;

impl Server {
    /// Creates a unix socket at `path`, and listens on it. Only on Unix.
    ///
    /// ```
    /// # use farewell::{Config, PeerAddr, Request, Server};
    /// # use std::io::{Read, Write};
    /// # use std::net::Shutdown;
    /// # use std::os::unix::net::UnixStream;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("hello.sock");
    /// let server = Server::bind_unix(&path, Config::default())?;
    /// assert_eq!(server.local_addr().to_string(), format!("unix:{}", path.display()));
    /// let server = server.spawn(|request: Request| format!("hello {}", request.peer_addr()))?;
    ///
    /// let mut client = UnixStream::connect(&path)?;
    /// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    /// let mut response = String::new();
    /// client.read_to_string(&mut response)?;
    /// assert!(response.ends_with("hello unix socket"));
    /// # drop(client);
    ///
    /// server.shutdown_handle().shutdown();
    /// assert!(server.join()?.all_answered());
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The file has the permissions that the umask leaves. They decide which users can
    /// connect: to change them, call [`std::fs::set_permissions`] before
    /// [`serve`](Self::serve), or put the socket into a folder that only these users
    /// can enter. A client that connects before that waits in the backlog.
    ///
    /// A socket file at `path` that a dead server has left is replaced. A file of a
    /// server that listens is not, nor is anything that is not a socket.
    ///
    /// When the server stops, or is dropped, it removes the file, unless another file
    /// has taken its place: first the file goes, then the kernel refuses new
    /// connections (Linux), and then the backlog is served. So a successor can bind to
    /// `path` while this server still drains. A process that is killed leaves its file.
    ///
    /// As many connections may wait in the accept queue as the system allows:
    /// `net.core.somaxconn` on Linux, which is 4096 by default. `connect` of further
    /// clients waits, or fails with `EAGAIN` on a non-blocking socket.
    ///
    /// `path` is made absolute, so that a change of the working directory does no harm.
    /// What differs from TCP:
    ///
    /// - Clients have no address ([`PeerAddr::Unix`](crate::PeerAddr::Unix)), and
    ///   [`Config::connections_per_peer`] does not count them.
    /// - A unix socket cannot be reset. A client whose answer is cut sees EOF, and
    ///   notices by the length or the missing last chunk; an answer to HTTP/1.0
    ///   without a length seems to be whole.
    ///
    /// # Errors
    ///
    /// A value in `config` is invalid ([`Error::is_config`] is true); another server
    /// listens at `path` (`AddrInUse`), or it is a file that is not a socket
    /// (`AlreadyExists`); the path is too long (on Linux, 107 bytes are allowed) or
    /// contains a NUL byte; or the file cannot be created.
    pub fn bind_unix(path: impl AsRef<Path>, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let path = path.as_ref();
        let listener = UnixSocket::bind(path)
            .and_then(|socket| Listener::unix(socket, Ownership::Sole))
            .map_err(|error| {
                Error::io(format!("cannot listen on unix:{}", path.display()), error)
            })?;
        Ok(Self::assemble(listener, config))
    }

    /// Serves on a unix socket that listens already, in blocking mode, such as one that
    /// a supervisor has passed to the program. Only on Unix. `ownership` says whether
    /// another process or handle goes on accepting from it.
    ///
    /// With [`Ownership::Sole`], the server removes the socket's file when it stops, as
    /// after [`bind_unix`](Self::bind_unix). It takes the file for the socket's that is
    /// at the socket's path now. With [`Ownership::Shared`], it does not touch the
    /// file. A socket with a name in Linux's abstract namespace has none.
    ///
    /// ```no_run
    /// # use farewell::{Config, Ownership, Server};
    /// # use std::os::{linux::net::SocketAddrExt, unix::net::{SocketAddr, UnixListener}};
    /// let name = SocketAddr::from_abstract_name("hello")?;
    /// let listener = UnixListener::bind_addr(&name)?;
    /// let server = Server::from_unix_listener(listener, Ownership::Sole, Config::default())?;
    /// assert_eq!(server.local_addr().to_string(), "unix:@hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A value in `config` is invalid, or the socket cannot be used.
    pub fn from_unix_listener(
        listener: UnixListener,
        ownership: Ownership,
        config: Config,
    ) -> Result<Self, Error> {
        config.validate()?;
        let listener = UnixSocket::new(listener)
            .and_then(|socket| Listener::unix(socket, ownership))
            .map_err(|error| Error::io("cannot use the listener", error))?;
        Ok(Self::assemble(listener, config))
    }
}
