//! The handle by which a server shares its listening socket with another process, and the
//! ownership that both then have.

use std::fmt;
#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Weak;

use super::listener::SharedListener;
use super::ownership::Ownership;
use crate::error::Error;

/// Shares the listening socket of a server with another process, while the server runs;
/// [`Server::listener_handle`](crate::Server::listener_handle) returns it. It does not
/// keep the socket open.
///
/// A restart without a gap takes these steps. At no time does the kernel refuse a
/// connection, or reset one that waits in the accept queue:
///
/// 1. The old process passes a [`duplicate`](Self::duplicate) of the socket to the new
///    one, and goes on. If it is asked to stop now, the stop is one without a restart.
/// 2. The new process serves on it, with [`Ownership::Shared`], and says so.
/// 3. Told so by the old one, the new process takes the socket:
///    `set_ownership(Ownership::Sole)`, and says so. If that returns `false`, the new
///    process stops already, and the old one goes on.
/// 4. The old process leaves the socket to the new one:
///    `set_ownership(Ownership::Shared)`. If that returns `false`, the old process
///    stops already, and the new one has to stop too.
/// 5. The old process stops, with [`Trigger::Restart`](crate::Trigger::Restart).
///
/// At each moment one of the two, or both, have [`Ownership::Sole`]. So a stop that comes
/// in between loses no connection, whichever of them it asks to stop. If the new process
/// ends before step 4, the old one is what it was.
///
/// ```
/// use farewell::{Config, Ownership, Request, Server, Trigger};
/// use std::net::TcpListener;
///
/// let old = Server::bind("127.0.0.1:0", Config::default())?;
/// let listener = old.listener_handle();
/// let old = old.spawn(|_: Request| "old")?;
///
/// # #[cfg(unix)] {
/// // As in the new process, which gets the socket from the old one.
/// let socket = TcpListener::from(listener.duplicate()?);
/// let new = Server::from_listener(socket, Ownership::Shared, Config::default())?;
/// let takes = new.listener_handle();
/// let new = new.spawn(|_: Request| "new")?;
///
/// assert!(takes.set_ownership(Ownership::Sole)?);
/// assert!(listener.set_ownership(Ownership::Shared)?);
/// old.shutdown_handle().shutdown_by(Trigger::Restart);
/// assert!(old.join()?.all_answered());
/// # drop(new);
/// # }
/// # Ok::<(), farewell::Error>(())
/// ```
#[derive(Clone)]
pub struct ListenerHandle(Weak<SharedListener>);

impl ListenerHandle {
    pub(crate) fn new(listener: Weak<SharedListener>) -> Self {
        Self(listener)
    }

    /// Whether another process accepts from the socket too. `None` once the server has
    /// closed it.
    pub fn ownership(&self) -> Option<Ownership> {
        let listener = self.0.upgrade()?;
        Some(listener.ownership.get())
    }

    /// A second handle of the listening socket, to pass to another process. Only on Unix.
    /// It is closed when another program is executed (`FD_CLOEXEC`).
    ///
    /// While it is open, so is the socket: if this server stops with [`Ownership::Sole`],
    /// the kernel still refuses new connections (Linux), for every handle of the socket.
    ///
    /// # Errors
    ///
    /// The server stops, and has begun to drain its accept queue; the file of the unix
    /// socket was removed or replaced, so that clients do not reach this socket; or there is
    /// no file descriptor left.
    #[cfg(unix)]
    pub fn duplicate(&self) -> Result<OwnedFd, Error> {
        let listener = self.0.upgrade();
        let duplicate = match listener.filter(|listener| !listener.ownership.is_fixed()) {
            Some(listener) => listener.duplicate(),
            None => Err(io::Error::other("the server has stopped accepting")),
        };
        duplicate.map_err(|error| Error::io("cannot share the listener", error))
    }

    /// Says from now on whether another process accepts from the socket too. Returns
    /// `false` if the server has stopped accepting: then it has treated the connections
    /// in the accept queue by the ownership before, and nothing changes.
    ///
    /// With [`Ownership::Sole`], options of the socket are set that
    /// [`from_listener`](crate::Server::from_listener) would have set, except those that
    /// accepted sockets inherit.
    ///
    /// # Errors
    ///
    /// The options cannot be set. The ownership is as before.
    pub fn set_ownership(&self, ownership: Ownership) -> Result<bool, Error> {
        let Some(listener) = self.0.upgrade() else {
            return Ok(false);
        };
        let prepare = || match ownership {
            Ownership::Sole => listener.make_blocking(),
            Ownership::Shared => Ok(()),
        };
        let changed = listener.ownership.change(ownership, prepare);
        changed.map_err(|error| Error::io("cannot use the listener", error))
    }
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ownership = self.ownership();
        f.debug_tuple("ListenerHandle").field(&ownership).finish()
    }
}
