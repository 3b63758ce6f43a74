//! Unix: a name is any bytes, and opening a FIFO can wait.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cap_std::fs::Dir;
use cap_std::fs::OpenOptions;
use cap_std::fs::OpenOptionsExt;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::openat;
use rustix::fs::statat;

/// The name that these bytes are. `None` if the system has no such name.
pub(in crate::files) fn name_of_bytes(bytes: &[u8]) -> Option<&OsStr> {
    Some(OsStr::from_bytes(bytes))
}

/// The bytes of a name, as a URL has them.
pub(in crate::files) fn name_bytes(name: &OsStr) -> Cow<'_, [u8]> {
    Cow::Borrowed(name.as_bytes())
}

/// Has the open return at once for a FIFO without a writer, and a terminal not become that
/// of the process.
pub(in crate::files) fn never_waits(options: &mut OpenOptions) {
    options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
}

/// Opens a path that begins at the folder, and may lead anywhere. `_path` is where the
/// folder was when it was opened.
pub(in crate::files) fn open_anywhere(folder: &Dir, _path: &Path, name: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(openat(folder, name, flags, Mode::empty())?.into())
}

/// Whether there is a regular file or a folder at such a path. Nothing is opened.
pub(in crate::files) fn is_servable_anywhere(folder: &Dir, _path: &Path, name: &Path) -> bool {
    statat(folder, name, AtFlags::empty()).is_ok_and(|stat| {
        let kind = FileType::from_raw_mode(stat.st_mode);
        kind.is_file() || kind.is_dir()
    })
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
