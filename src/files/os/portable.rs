//! Every other system: names are text, and nothing that can be opened waits.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::str;

use cap_std::fs::Dir;
use cap_std::fs::OpenOptions;

/// The name that these bytes are. `None` if they are not UTF-8, or if they have a
/// backslash or a colon, which can separate names on other systems.
pub(in crate::files) fn name_of_bytes(bytes: &[u8]) -> Option<&OsStr> {
    let name = str::from_utf8(bytes).ok()?;
    (!name.contains(['\\', ':'])).then(|| OsStr::new(name))
}

/// The bytes of a name, as a URL has them.
pub(in crate::files) fn name_bytes(name: &OsStr) -> Cow<'_, [u8]> {
    match name.to_string_lossy() {
        Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
        Cow::Owned(name) => Cow::Owned(name.into_bytes()),
    }
}

pub(in crate::files) fn never_waits(_: &mut OpenOptions) {}

/// Opens a path that begins at the folder, and may lead anywhere. `path` is where the
/// folder was when it was opened.
pub(in crate::files) fn open_anywhere(_folder: &Dir, path: &Path, name: &Path) -> io::Result<File> {
    File::open(path.join(name))
}

/// Whether there is a regular file or a folder at such a path. Nothing is opened.
pub(in crate::files) fn is_servable_anywhere(_folder: &Dir, path: &Path, name: &Path) -> bool {
    let metadata = path.join(name).metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() || metadata.is_dir())
}

pub(in crate::files) fn is_out_of_descriptors(_: &io::Error) -> bool {
    false
}

pub(in crate::files) fn cannot_be_opened(_: &io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_without_separators() {
        assert_eq!(name_of_bytes("ü".as_bytes()), Some(OsStr::new("ü")));
        for name in [&b"\xff"[..], b"a\\b", b"c:", b"file::$DATA"] {
            assert_eq!(name_of_bytes(name), None);
        }
        assert_eq!(&*name_bytes(OsStr::new("a b")), b"a b");
    }

    #[test]
    fn a_path_may_lead_out_of_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("d")).unwrap();
        std::fs::write(outer.path().join("a"), "a").unwrap();
        let path = outer.path().join("d");
        let folder = Dir::open_ambient_dir(&path, cap_std::ambient_authority()).unwrap();
        assert!(open_anywhere(&folder, &path, Path::new("../a")).is_ok());
        assert!(open_anywhere(&folder, &path, Path::new("a")).is_err());
        assert!(is_servable_anywhere(&folder, &path, Path::new("../a")));
        assert!(!is_servable_anywhere(&folder, &path, Path::new("a")));
    }

    #[test]
    fn nothing_that_can_be_opened_waits_and_no_error_is_told_apart() {
        never_waits(&mut OpenOptions::new());
        assert!(!is_out_of_descriptors(&io::ErrorKind::NotFound.into()));
        assert!(!cannot_be_opened(&io::ErrorKind::NotFound.into()));
    }
}
