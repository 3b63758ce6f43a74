//! Every other system: no file is known to be abandoned, and none is removed.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;

pub(in crate::files) fn lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

pub(in crate::files) fn has_name(_: &File) -> io::Result<bool> {
    Ok(true)
}

pub(in crate::files) fn open_abandoned(_: &Dir, _: &Path) -> Option<File> {
    None
}

pub(in crate::files) fn sync_folder(_: &Dir) -> io::Result<()> {
    Ok(())
}

/// `None`: there is nothing to look for in any folder.
pub(in crate::files) fn folder_id(_: &Dir) -> Option<(u64, u64)> {
    None
}

pub(in crate::files) fn is_name_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidFilename
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn no_file_is_taken_for_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let file = dir.create("a").unwrap().into_std();
        assert!(lock(&file).unwrap() && has_name(&file).unwrap());
        drop(file);
        assert!(open_abandoned(&dir, Path::new("a")).is_none());
        assert!(folder_id(&dir).is_none());
        sync_folder(&dir).unwrap();
        assert!(!is_name_refused(&io::ErrorKind::NotFound.into()));
        assert!(is_name_refused(&io::ErrorKind::InvalidFilename.into()));
    }
}
