//! Unix: a listening unix socket, and the file that is its address.
//!
//! What the kernel does with the backlog of a unix socket (Linux, `net/unix/af_unix.c`;
//! `tests/it/unix_sockets.rs` shows it):
//!
//! - `connect` puts a complete connection into the backlog. There is no handshake, so
//!   none can be half open. The client may write at once.
//! - The close of the listener resets every connection in its backlog.
//! - Once the file is removed, `connect` fails with `ENOENT`. But a client that has
//!   looked the file up before may still get into the backlog, until the close.
//! - `shutdown` for reading makes `connect` fail with `ECONNREFUSED`. `connect` checks it
//!   under the lock under which it enters the backlog, so no connection gets into the
//!   backlog after `shutdown` has returned. The backlog stays, and can be accepted.
//!   There is no way back.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use socket2::Domain;
use socket2::SockAddr;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use crate::address::LocalAddr;

/// The longest wait for another server that binds in the same folder.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How often the lock on the folder is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// A unix socket that listens.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    socket: mio::net::UnixListener,
    address: LocalAddr,
    file: Option<SocketFile>,
}

/// The file that is the address of a socket. Until the socket is closed, the kernel
/// keeps the file's inode, also if the file is removed. So the inode of another
/// server's socket at the same path has another number.
#[derive(Clone, Debug)]
pub(crate) struct SocketFile {
    path: Arc<Path>,
    device: u64,
    inode: u64,
}

impl UnixSocket {
    /// Creates the file, and listens. A file that a dead server has left is replaced.
    ///
    /// # Errors
    ///
    /// `AddrInUse`: another server listens there. `AlreadyExists`: the file is not a
    /// socket. `InvalidInput`: the path is empty or too long, or contains a NUL byte.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let path = path::absolute(path)?;
        // Without the lock, two servers that start at the same time could both find the
        // file of a dead server, and one of them would remove the file of the other.
        let _lock = path.parent().and_then(lock_folder);
        let socket = match UnixListener::bind(&path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                remove_stale(&path)?;
                UnixListener::bind(&path)?
            }
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                let text = invalid(path.as_os_str().as_bytes());
                return Err(io::Error::new(ErrorKind::InvalidInput, text));
            }
            bound => bound?,
        };
        Self::new(socket)
    }

    /// From a socket that listens.
    pub(crate) fn new(socket: UnixListener) -> io::Result<Self> {
        let name = SockRef::from(&socket).local_addr()?;
        let path: Arc<Path> = match (name.as_pathname(), name.as_abstract_namespace()) {
            (Some(path), _) => path::absolute(path)?.into(),
            (_, Some(name)) => Path::new(&format!("@{}", String::from_utf8_lossy(name))).into(),
            _ => Path::new("").into(),
        };
        let file = match name.as_pathname() {
            Some(_) => SocketFile::at(&path),
            None => None,
        };
        Ok(Self {
            socket: mio::net::UnixListener::from_std(socket),
            address: LocalAddr::Unix(path),
            file,
        })
    }

    pub(crate) fn address(&self) -> &LocalAddr {
        &self.address
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }

    /// `None` for a name in Linux's abstract namespace.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// A second handle of the socket, for another process.
    ///
    /// # Errors
    ///
    /// `NotFound`: clients that connect to the path do not reach this socket.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        if self.file.as_ref().is_some_and(|file| !file.is_there()) {
            let text = "the file of the unix socket was removed or replaced";
            return Err(io::Error::new(ErrorKind::NotFound, text));
        }
        self.socket.as_fd().try_clone_to_owned()
    }

    /// The connection, as a stream of the type that serves both kinds: system calls
    /// that read and write are the same.
    pub(crate) fn accept(&self) -> io::Result<mio::net::TcpStream> {
        let (stream, _) = self.socket.accept()?;
        Ok(OwnedFd::from(stream).into())
    }
}

impl SocketFile {
    /// The socket at this path.
    fn at(path: &Arc<Path>) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        found.file_type().is_socket().then(|| Self {
            path: Arc::clone(path),
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Whether the path still leads to this file.
    pub(crate) fn is_there(&self) -> bool {
        Self::at(&self.path)
            .is_some_and(|found| (found.device, found.inode) == (self.device, self.inode))
    }

    /// Removes the file, unless the path leads to another one, such as the socket of
    /// the server's successor.
    ///
    /// A file that replaces this one between the check and the removal is removed. No
    /// call of the system closes this gap. [`UnixSocket::bind`] replaces no file of a
    /// server that listens, so it never gets into the gap if the file is removed
    /// before the server stops listening.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match self.is_there() {
            true => fs::remove_file(&self.path),
            false => Ok(()),
        }
    }
}

/// Says why no socket can have this path.
fn invalid(path: &[u8]) -> String {
    match path.contains(&0) {
        true => "the path contains a NUL byte".to_owned(),
        false => format!(
            "the path is too long for a unix socket: {} bytes",
            path.len()
        ),
    }
}

/// Whether a socket has an address of its own.
pub(crate) fn is_named(address: &SockAddr) -> bool {
    !address.is_unnamed()
}

/// Removes the socket at this path if no server listens there.
fn remove_stale(path: &Path) -> io::Result<()> {
    let path = Arc::from(path);
    let Some(found) = SocketFile::at(&path) else {
        // A server that stops has removed its file meanwhile.
        if fs::symlink_metadata(&path).is_err_and(is_not_found) {
            return Ok(());
        }
        let text = "the file exists and is not a socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    };
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A connect that blocks would wait while the other server's backlog is full.
    probe.set_nonblocking(true)?;
    let Err(error) = probe.connect(&SockAddr::unix(&*path)?) else {
        return Err(in_use());
    };
    match error.kind() {
        ErrorKind::ConnectionRefused => found.remove(),
        ErrorKind::NotFound => Ok(()),
        // The backlog is full.
        ErrorKind::WouldBlock => Err(in_use()),
        kind => {
            let text = format!("the file exists, and a connection to it fails: {error}");
            Err(io::Error::new(kind, text))
        }
    }
}

fn is_not_found(error: io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

fn in_use() -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, "another server listens there")
}

/// Locks a folder against other servers of this library. `None` if it cannot be
/// locked: it is not readable, or another program holds the lock for long.
fn lock_folder(folder: &Path) -> Option<Flock<File>> {
    let mut folder = File::open(folder).ok()?;
    let until = Instant::now() + LOCK_TIMEOUT;
    loop {
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err((unlocked, Errno::EWOULDBLOCK)) if Instant::now() < until => folder = unlocked,
            Err(_) => return None,
        }
        thread::sleep(LOCK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_stale_file_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let live = UnixSocket::bind(&path).unwrap();
        let error = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), "another server listens there");
        // The check has connected.
        live.accept().unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        live.accept().unwrap();
    }

    #[test]
    fn a_live_server_with_a_full_backlog_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(1).unwrap();
        // The third connection would block.
        let errors = (0..3).map(|_| UnixSocket::bind(&path).unwrap_err().kind());
        assert_eq!(errors.collect::<Vec<_>>(), [ErrorKind::AddrInUse; 3]);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "text").unwrap();
        let error = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"text");
        // A link to a socket, too.
        let socket = folder.path().join("socket");
        drop(UnixListener::bind(&socket).unwrap());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let error = UnixSocket::bind(&link).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn an_invalid_path_is_an_error_that_says_why() {
        let long = format!("/tmp/{}", "x".repeat(200));
        for (path, expected) in [
            (&*long, "the path is too long for a unix socket: 205 bytes"),
            ("/tmp/a\0b", "the path contains a NUL byte"),
        ] {
            let error = UnixSocket::bind(Path::new(path)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn only_the_sockets_own_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let first = UnixSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = UnixSocket::bind(&path).unwrap();
        first.file().unwrap().remove().unwrap();
        assert!(!first.file().unwrap().is_there());
        assert!(second.file().unwrap().is_there());
        second.file().unwrap().remove().unwrap();
        assert!(!path.exists());
    }
}
