//! What differs between systems in how the program prints.

/// A standard stream of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// The longest text that one write takes from us. A pipe that says it is
/// writable takes as much without blocking (it is `PIPE_BUF` on Linux), and a
/// write that is longer than what a pipe has room for shows no progress before
/// its end.
pub(super) const WRITE_MAX: usize = 4096;

#[cfg(unix)]
mod system {
    use std::io;
    use std::io::IsTerminal;
    use std::os::fd::AsFd;
    use std::os::fd::BorrowedFd;
    use std::time::Duration;

    use rustix::event::PollFd;
    use rustix::event::PollFlags;
    use rustix::event::Timespec;
    use rustix::io::Errno;

    use super::Stream;

    pub(in super::super) const PROCESS_FILES_USED_UP: i32 = Errno::MFILE.raw_os_error();
    pub(in super::super) const SYSTEM_FILES_USED_UP: i32 = Errno::NFILE.raw_os_error();
    pub(in super::super) const THREADS_USED_UP: i32 = Errno::AGAIN.raw_os_error();

    fn with<T>(stream: Stream, use_it: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match stream {
            Stream::Stdout => use_it(io::stdout().as_fd()),
            Stream::Stderr => use_it(io::stderr().as_fd()),
        }
    }

    /// Writes what the stream takes. It goes past `std::io::Stdout` and its
    /// lock: std takes that lock at the end of the process, and a panic message
    /// takes stderr's.
    pub(in super::super) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
        with(stream, |fd| match rustix::io::write(fd, bytes) {
            // Another holder of a terminal has made it non-blocking.
            Err(Errno::AGAIN) => {
                wait_writable(stream, None);
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            written => Ok(written?),
        })
    }

    /// Waits until the stream takes [`WRITE_MAX`](super::WRITE_MAX) bytes
    /// without blocking, or has an error to tell; `false` if that takes longer
    /// than `timeout`.
    pub(in super::super) fn wait_writable(stream: Stream, timeout: Option<Duration>) -> bool {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        with(stream, |fd| {
            let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
            !matches!(rustix::event::poll(&mut polled, timeout.as_ref()), Ok(0))
        })
    }

    /// How many characters a line of the stream's terminal has; `None` if it is
    /// no terminal, or does not tell.
    pub(in super::super) fn columns(stream: Stream) -> Option<usize> {
        let size = with(stream, |fd| {
            fd.is_terminal().then(|| rustix::termios::tcgetwinsize(fd))
        });
        let columns = usize::from(size?.ok()?.ws_col);
        (columns > 0).then_some(columns)
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::io::Write;
    use std::time::Duration;

    use super::Stream;

    // Codes that no error has: here the system's own words have to do.
    pub(in super::super) const PROCESS_FILES_USED_UP: i32 = i32::MIN;
    pub(in super::super) const SYSTEM_FILES_USED_UP: i32 = i32::MIN + 1;
    pub(in super::super) const THREADS_USED_UP: i32 = i32::MIN + 2;

    pub(in super::super) fn write(stream: Stream, bytes: &[u8]) -> io::Result<usize> {
        let (mut stdout, mut stderr);
        let file: &mut dyn Write = match stream {
            Stream::Stdout => {
                stdout = io::stdout();
                &mut stdout
            }
            Stream::Stderr => {
                stderr = io::stderr();
                &mut stderr
            }
        };
        let written = file.write(bytes)?;
        file.flush()?;
        Ok(written)
    }

    pub(in super::super) fn wait_writable(_: Stream, _: Option<Duration>) -> bool {
        true
    }

    pub(in super::super) fn columns(_: Stream) -> Option<usize> {
        None
    }
}

pub(super) use self::system::PROCESS_FILES_USED_UP;
pub(super) use self::system::SYSTEM_FILES_USED_UP;
pub(super) use self::system::THREADS_USED_UP;
pub(super) use self::system::columns;
pub(super) use self::system::wait_writable;
pub(super) use self::system::write;

/// Whether the stream is a terminal that understands what moves its cursor.
pub(super) fn is_screen(stream: Stream) -> bool {
    use std::io::IsTerminal;

    let is_terminal = match stream {
        Stream::Stdout => std::io::stdout().is_terminal(),
        Stream::Stderr => std::io::stderr().is_terminal(),
    };
    is_terminal && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}
