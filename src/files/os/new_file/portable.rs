//! Every other system: each file has a name.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;

pub(in crate::files) fn create_unnamed(_: &Dir) -> io::Result<Option<File>> {
    Ok(None)
}

/// Is not called: there are no such files.
pub(in crate::files) fn name_unnamed(_: &File, _: &Dir, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Renames a file of the folder to a name that is free; `AlreadyExists` if it is not.
/// For a moment the file has both names.
pub(in crate::files) fn rename_to_free(folder: &Dir, from: &Path, to: &Path) -> io::Result<()> {
    folder.hard_link(from, folder, to)?;
    folder.remove_file(from)
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn a_rename_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        for name in ["a", "b"] {
            dir.write(name, name).unwrap();
        }
        let error = rename_to_free(&dir, Path::new("a"), Path::new("b")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        rename_to_free(&dir, Path::new("a"), Path::new("c")).unwrap();
        assert_eq!(dir.read("c").unwrap(), b"a");
        assert!(!dir.exists("a"));
        assert!(create_unnamed(&dir).unwrap().is_none());
        let file = dir.open("c").unwrap().into_std();
        assert!(name_unnamed(&file, &dir, Path::new("d")).is_err());
    }
}
