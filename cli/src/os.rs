//! What differs between operating systems.

use std::process::Command;

/// A standard stream of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandardStream {
    Stdout,
    Stderr,
}

/// Most bytes in one write. A pipe that polls as writable accepts as many
/// without blocking (`PIPE_BUF` on Linux). A longer write could block with a
/// part of it written, and would not show that progress.
pub(super) const WRITE_MAX: usize = 4096;

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::fs::Metadata;
    use std::fs::OpenOptions;
    use std::io;
    use std::io::IsTerminal;
    use std::os::fd::AsFd;
    use std::os::fd::BorrowedFd;
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::OpenOptionsExt;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use rustix::event::PollFd;
    use rustix::event::PollFlags;
    use rustix::event::Timespec;
    use rustix::fs::Access;
    use rustix::fs::Mode;
    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use super::StandardStream;

    pub(in super::super) const PROCESS_FILES_EXHAUSTED: i32 = Errno::MFILE.raw_os_error();
    pub(in super::super) const SYSTEM_FILES_EXHAUSTED: i32 = Errno::NFILE.raw_os_error();
    pub(in super::super) const THREADS_EXHAUSTED: i32 = Errno::AGAIN.raw_os_error();
    /// A FIFO is opened for writing, and no process has it open for reading.
    pub(in super::super) const NO_READER: i32 = Errno::NXIO.raw_os_error();

    fn with<T>(stream: StandardStream, use_it: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        match stream {
            StandardStream::Stdout => use_it(io::stdout().as_fd()),
            StandardStream::Stderr => use_it(io::stderr().as_fd()),
        }
    }

    /// Writes as many bytes as the stream accepts. It bypasses
    /// `std::io::Stdout` and its lock: std takes that lock when the process
    /// ends, and stderr's for a panic message.
    pub(in super::super) fn write(stream: StandardStream, bytes: &[u8]) -> io::Result<usize> {
        with(stream, |fd| match rustix::io::write(fd, bytes) {
            // Another process has made the terminal non-blocking.
            Err(Errno::AGAIN) => {
                wait_writable(stream, None);
                Ok(0)
            }
            Err(Errno::INTR) => Ok(0),
            written => Ok(written?),
        })
    }

    /// Waits until the stream accepts [`WRITE_MAX`](super::WRITE_MAX) bytes
    /// without blocking, or has an error. Returns `false` on timeout.
    pub(in super::super) fn wait_writable(
        stream: StandardStream,
        timeout: Option<Duration>,
    ) -> bool {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        with(stream, |fd| {
            let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
            !matches!(rustix::event::poll(&mut polled, timeout.as_ref()), Ok(0))
        })
    }

    /// Runs `create` so that the files and unix sockets that it creates are for the user of
    /// the program alone. For the start of the program: the mask is that of the process.
    pub(in super::super) fn with_private_files<T>(create: impl FnOnce() -> T) -> T {
        let mask = rustix::process::umask(Mode::XUSR | Mode::RWXG | Mode::RWXO);
        let created = create();
        rustix::process::umask(mask);
        created
    }

    /// Whether each user of this machine may read the file.
    pub(in super::super) fn is_readable_by_all(file: &Metadata) -> bool {
        file.is_file() && file.mode() & 0o004 != 0
    }

    /// Opens a file for lines at its end. A new one can be read by its group, and by no
    /// other users.
    pub(in super::super) fn open_log(path: &Path) -> io::Result<File> {
        let nonblocking = OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            // Without it, the program would wait here for a process that reads a FIFO.
            .custom_flags(nonblocking.bits() as i32)
            .open(path)?;
        if !file.metadata()?.is_file() {
            let flags = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, flags - nonblocking)?;
        }
        Ok(file)
    }

    /// Whether a file can be created in the folder.
    pub(in super::super) fn check_can_create_in(folder: &Path) -> io::Result<()> {
        // That it is a folder, too.
        let folder = folder.join(".");
        Ok(rustix::fs::access(
            &folder,
            Access::WRITE_OK | Access::EXEC_OK,
        )?)
    }

    /// Whether each user of this machine may change the file. A device is no such file.
    pub(in super::super) fn is_writable_by_all(file: &Metadata) -> bool {
        let kind = file.file_type();
        (kind.is_file() || kind.is_socket()) && file.mode() & 0o002 != 0
    }

    /// Keeps Ctrl+C, which the terminal sends to the whole group, from the program that
    /// the command starts.
    pub(in super::super) fn leave_group(command: &mut Command) {
        command.process_group(0);
    }

    /// The width of the terminal; `None` if the stream is not a terminal or its
    /// width is unknown.
    pub(in super::super) fn columns(stream: StandardStream) -> Option<usize> {
        let size = with(stream, |fd| {
            fd.is_terminal().then(|| rustix::termios::tcgetwinsize(fd))
        });
        let columns = usize::from(size?.ok()?.ws_col);
        (columns > 0).then_some(columns)
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::fs::Metadata;
    use std::fs::OpenOptions;
    use std::io;
    use std::io::Write;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::StandardStream;

    // No error has these codes, so no advice is added on this system.
    pub(in super::super) const PROCESS_FILES_EXHAUSTED: i32 = i32::MIN;
    pub(in super::super) const SYSTEM_FILES_EXHAUSTED: i32 = i32::MIN + 1;
    pub(in super::super) const THREADS_EXHAUSTED: i32 = i32::MIN + 2;
    pub(in super::super) const NO_READER: i32 = i32::MIN + 3;

    pub(in super::super) fn write(stream: StandardStream, bytes: &[u8]) -> io::Result<usize> {
        let (mut stdout, mut stderr);
        let file: &mut dyn Write = match stream {
            StandardStream::Stdout => {
                stdout = io::stdout();
                &mut stdout
            }
            StandardStream::Stderr => {
                stderr = io::stderr();
                &mut stderr
            }
        };
        let written = file.write(bytes)?;
        file.flush()?;
        Ok(written)
    }

    pub(in super::super) fn wait_writable(_: StandardStream, _: Option<Duration>) -> bool {
        true
    }

    pub(in super::super) fn with_private_files<T>(create: impl FnOnce() -> T) -> T {
        create()
    }

    pub(in super::super) fn is_readable_by_all(_: &Metadata) -> bool {
        false
    }

    pub(in super::super) fn check_can_create_in(folder: &Path) -> io::Result<()> {
        folder.join(".").metadata().map(drop)
    }

    pub(in super::super) fn is_writable_by_all(_: &Metadata) -> bool {
        false
    }

    pub(in super::super) fn open_log(path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(path)
    }

    pub(in super::super) fn leave_group(_: &mut Command) {}

    pub(in super::super) fn columns(_: StandardStream) -> Option<usize> {
        None
    }
}

pub(super) use self::system::NO_READER;
pub(super) use self::system::PROCESS_FILES_EXHAUSTED;
pub(super) use self::system::SYSTEM_FILES_EXHAUSTED;
pub(super) use self::system::THREADS_EXHAUSTED;
pub(super) use self::system::check_can_create_in;
pub(super) use self::system::columns;
pub(super) use self::system::is_readable_by_all;
pub(super) use self::system::is_writable_by_all;
pub(super) use self::system::open_log;
pub(super) use self::system::wait_writable;
pub(super) use self::system::with_private_files;
pub(super) use self::system::write;

/// Whether the stream is a terminal that supports escape sequences.
pub(super) fn is_ansi_terminal(stream: StandardStream) -> bool {
    use std::io::IsTerminal;

    let is_terminal = match stream {
        StandardStream::Stdout => std::io::stdout().is_terminal(),
        StandardStream::Stderr => std::io::stderr().is_terminal(),
    };
    is_terminal && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// The command that opens a URL in the browser of the user.
pub(super) fn browser(url: &str) -> Command {
    let (program, arguments): (_, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        // The first argument in quotes would be the title of a window.
        "windows" => ("cmd", &["/C", "start", ""]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(url);
    system::leave_group(&mut command);
    command
}
