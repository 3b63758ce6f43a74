//! The socket of the supervisor that has started the program.

#[cfg(unix)]
pub(super) use self::unix::NotifySocket;

#[cfg(unix)]
mod unix {
    use std::env;
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::SocketAddr;
    use std::os::unix::net::UnixDatagram;
    use std::thread;
    use std::time::Duration;

    /// How often, and after which pause, a message that must not be lost is sent again.
    const ATTEMPTS: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(10);

    /// Where messages to the supervisor go.
    #[derive(Debug)]
    pub(in super::super) struct NotifySocket {
        socket: UnixDatagram,
        to: SocketAddr,
    }

    impl NotifySocket {
        /// `None` if there is no supervisor that wants messages.
        pub(in super::super) fn of_environment() -> Option<Self> {
            let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
            let opened = address(&name).and_then(|to| {
                let socket = UnixDatagram::unbound()?;
                // A supervisor that does not read holds up nothing.
                socket.set_nonblocking(true)?;
                Ok(Self { socket, to })
            });
            match opened {
                Ok(socket) => Some(socket),
                Err(error) => {
                    let name = name.display();
                    log::warn!("the supervisor at NOTIFY_SOCKET={name} is told nothing: {error}");
                    None
                }
            }
        }

        /// Sends the lines in one message. Returns whether the supervisor will get it.
        pub(in super::super) fn send(&self, lines: &str) -> bool {
            match self.socket.send_to_addr(lines.as_bytes(), &self.to) {
                Ok(_) => true,
                Err(error) => {
                    log::debug!("cannot tell the supervisor: {error}");
                    false
                }
            }
        }

        /// As [`send`](Self::send), several times if need be, for 200 ms at most.
        pub(in super::super) fn send_surely(&self, lines: &str) {
            for _ in 0..ATTEMPTS {
                if self.send(lines) {
                    return;
                }
                thread::sleep(PAUSE);
            }
            log::error!("the supervisor does not read its notifications: {lines} is lost");
        }
    }

    /// A path, or `@` and a name in Linux's abstract namespace.
    fn address(name: &OsStr) -> io::Result<SocketAddr> {
        match name.as_bytes() {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => {
                use std::os::linux::net::SocketAddrExt;

                SocketAddr::from_abstract_name(name)
            }
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => Err(io::Error::other(
                "it is neither a path nor an abstract name",
            )),
        }
    }
}

#[cfg(not(unix))]
pub(super) use self::none::NotifySocket;

#[cfg(not(unix))]
mod none {
    /// There is no supervisor that wants messages.
    #[derive(Debug)]
    pub(in super::super) enum NotifySocket {}

    impl NotifySocket {
        pub(in super::super) fn of_environment() -> Option<Self> {
            None
        }

        pub(in super::super) fn send(&self, _: &str) -> bool {
            match *self {}
        }

        pub(in super::super) fn send_surely(&self, _: &str) {
            match *self {}
        }
    }
}
