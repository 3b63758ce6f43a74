//! Listening sockets that the process has when it starts: from a supervisor that listens
//! for it (`LISTEN_FDS`, as systemd does), or from the process before, in a restart.

#[cfg(unix)]
mod listen_fds;
#[cfg(not(unix))]
mod no_sockets;
#[cfg(unix)]
mod socket;

use farewell::ListenerHandle;

use super::failure::Failure;
use super::restart;
use super::restart::Predecessor;

#[cfg(not(unix))]
pub(super) use self::no_sockets::InheritedSocket;
#[cfg(unix)]
pub(super) use self::socket::InheritedSocket;

/// Which server a socket is for. Its name is that in `LISTEN_FDNAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The server of `--listen`.
    Main,
    /// The server for the operator.
    Admin,
}

impl Role {
    #[cfg(unix)]
    const ALL: [Self; 2] = [Self::Main, Self::Admin];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Admin => "admin",
        }
    }

    /// The role with exactly this name.
    #[cfg(unix)]
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Sockets, each with what it is for.
pub(super) type Sockets = Vec<(Role, InheritedSocket)>;

/// The sockets that no server has taken yet.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    sockets: Sockets,
    /// What the log says about sockets that are not used.
    warning: Option<String>,
    /// The process that has passed them on, in a restart.
    pub(super) predecessor: Option<Predecessor>,
}

impl Inherited {
    /// Takes the sockets of the process. To be called first, and once: it changes the
    /// environment, which is safe only while the process has one thread.
    pub(super) fn take() -> Result<Self, Failure> {
        if let Some((predecessor, sockets)) = restart::predecessor()? {
            return Ok(Self {
                sockets,
                warning: None,
                predecessor: Some(predecessor),
            });
        }
        #[cfg(unix)]
        return listen_fds::take();
        #[cfg(not(unix))]
        Ok(Self::default())
    }

    /// The socket for this server.
    pub(super) fn socket(&mut self, role: Role) -> Option<InheritedSocket> {
        let place = self.sockets.iter().position(|(of, _)| *of == role)?;
        Some(self.sockets.swap_remove(place).1)
    }

    /// Closes the sockets that no server has taken, and says so.
    pub(super) fn close_unused(&mut self) {
        if let Some(warning) = self.warning.take() {
            log::warn!("{warning}");
        }
        for (role, _socket) in self.sockets.drain(..) {
            log::warn!(
                "the inherited socket '{}' is closed: no server is configured for it{}",
                role.name(),
                match role {
                    Role::Main => "",
                    Role::Admin => " (--admin ADDR is not set)",
                }
            );
        }
    }
}

/// A server's listener, with what it is for.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) role: Role,
    pub(super) listener: ListenerHandle,
}
