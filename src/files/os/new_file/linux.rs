//! Linux: a file can exist without a name, and a rename can refuse to replace.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;

use cap_std::fs::Dir;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

/// The permissions of a new file, before the umask.
const MODE: Mode = Mode::RUSR
    .union(Mode::WUSR)
    .union(Mode::RGRP)
    .union(Mode::WGRP)
    .union(Mode::ROTH)
    .union(Mode::WOTH);

/// Creates a file in a folder that has no name: the kernel frees it when it is closed,
/// also by the end of the process. `None` if the file system has no such files, or if
/// the process could not name it, for want of `/proc`.
pub(in crate::files) fn create_unnamed(folder: &Dir) -> io::Result<Option<File>> {
    static HAS_PROC: OnceLock<bool> = OnceLock::new();
    if !HAS_PROC.get_or_init(|| Path::new("/proc/self/fd").exists()) {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, ".", flags, MODE) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file without a name a name that is free; `AlreadyExists` if it is not.
pub(in crate::files) fn name_unnamed(file: &File, folder: &Dir, name: &Path) -> io::Result<()> {
    // `AT_EMPTY_PATH` would need a capability before Linux 6.10.
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, &*link, folder, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(())
}

/// Renames a file of the folder to a name that is free; `AlreadyExists` if it is not.
pub(in crate::files) fn rename_to_free(folder: &Dir, from: &Path, to: &Path) -> io::Result<()> {
    let renamed = rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE);
    match renamed {
        // The file system has no such rename, as NFS, or no such name, as vfat, which has
        // no links either.
        Err(refused @ (Errno::INVAL | Errno::NOSYS)) => {
            match folder.hard_link(from, folder, to) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
                    return Err(refused.into());
                }
                linked => linked?,
            }
            folder.remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn a_file_without_a_name_is_not_seen_until_it_gets_one() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        // The file system of the test may have no such files.
        let Some(mut file) = create_unnamed(&dir).unwrap() else {
            return;
        };
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        name_unnamed(&file, &dir, Path::new("a")).unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"new");
        let other = create_unnamed(&dir).unwrap().unwrap();
        let error = name_unnamed(&other, &dir, Path::new("a")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rename_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        for name in ["a", "b"] {
            dir.write(name, name).unwrap();
        }
        let error = rename_to_free(&dir, Path::new("a"), Path::new("b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(dir.read("b").unwrap(), b"b");
        rename_to_free(&dir, Path::new("a"), Path::new("c")).unwrap();
        assert_eq!(dir.read("c").unwrap(), b"a");
        assert!(!dir.exists("a"));
    }
}
