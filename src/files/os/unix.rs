//! Unix: a name is any bytes, and opening a FIFO can wait.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use cap_std::fs::OpenOptions;
use cap_std::fs::OpenOptionsExt;
use nix::errno::Errno;
use nix::fcntl::OFlag;

/// The name that these bytes are. `None` if the system has no such name.
pub(in crate::files) fn name_of_bytes(bytes: &[u8]) -> Option<&OsStr> {
    Some(OsStr::from_bytes(bytes))
}

/// The bytes of a name, as a URL has them.
pub(in crate::files) fn name_bytes(name: &OsStr) -> Cow<'_, [u8]> {
    Cow::Borrowed(name.as_bytes())
}

/// Has the open return at once for a FIFO without a writer.
pub(in crate::files) fn never_waits(options: &mut OpenOptions) {
    options.custom_flags(OFlag::O_NONBLOCK.bits());
}

/// Whether the process or the system has no file descriptor left.
pub(in crate::files) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let out = [Errno::EMFILE, Errno::ENFILE].map(|errno| errno as i32);
    error.raw_os_error().is_some_and(|code| out.contains(&code))
}

/// Whether a path has more symbolic links than the kernel follows, or is a socket or a
/// device without a driver, which cannot be opened.
pub(in crate::files) fn cannot_be_opened(error: &io::Error) -> bool {
    let loops = [Errno::ELOOP, Errno::ENXIO, Errno::ENODEV].map(|errno| errno as i32);
    error
        .raw_os_error()
        .is_some_and(|code| loops.contains(&code))
}

/// Reads from a position of the file.
pub(in crate::files) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}
