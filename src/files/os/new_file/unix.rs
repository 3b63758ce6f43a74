//! Unix: a lock says whether the process that stores a file lives, and a folder can be
//! written to the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cap_std::fs::Dir;
use cap_std::fs::OpenOptions;
use cap_std::fs::OpenOptionsExt;
use rustix::fs::FlockOperation;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Marks a file as that of a living process, until it is closed. False if a process that
/// removes abandoned files has taken it for one of those.
pub(in crate::files) fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        // Without locks, nothing is taken for abandoned either.
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether a file has a name.
pub(in crate::files) fn has_name(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 0)
}

/// Opens a file with a temporary name whose process has ended. Its lock is held until it
/// is closed. `None` if its process lives, or if it is no regular file.
pub(in crate::files) fn open_abandoned(folder: &Dir, name: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    // On NFS, only a file that is open for writing can be locked exclusively.
    options.write(true).custom_flags(flags.bits().cast_signed());
    let file = folder.open_with(name, &options).ok()?.into_std();
    let is_regular = file.metadata().ok()?.is_file();
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    (is_regular && locked.is_ok()).then_some(file)
}

/// Has the names in a folder reach the disk.
pub(in crate::files) fn sync_folder(folder: &Dir) -> io::Result<()> {
    match rustix::fs::fsync(folder) {
        // The file system cannot do so for a folder.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        synced => Ok(synced?),
    }
}

/// What tells a folder from every other of the system.
pub(in crate::files) fn folder_id(folder: &Dir) -> Option<(u64, u64)> {
    use cap_std::fs::MetadataExt;

    let metadata = folder.dir_metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether the file system has no such name: it is too long, or has a character that the
/// file system does not take.
pub(in crate::files) fn is_name_refused(error: &io::Error) -> bool {
    let refused = [Errno::NAMETOOLONG, Errno::INVAL, Errno::ILSEQ];
    Errno::from_io_error(error).is_some_and(|errno| refused.contains(&errno))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn an_abandoned_file_is_open_for_writing_and_locked() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        fs::write(folder.path().join("a"), "left").unwrap();
        let mut abandoned = open_abandoned(&dir, Path::new("a")).unwrap();
        assert!(open_abandoned(&dir, Path::new("a")).is_none());
        abandoned.write_all(b"LE").unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"LEft");
        drop(abandoned);
        assert!(open_abandoned(&dir, Path::new("a")).is_some());
    }
}
