//! A file that is being stored: it has no name, or a temporary one, until it is complete.
//!
//! ```text
//!  Unnamed ------------- take_free_name ---> Stored
//!     |                                        ^
//!     | replace                                |
//!     v                                        |
//!  Temporary --- take_free_name, replace ------+
//! ```
//!
//! Where the file system has files without names, only `replace` goes by a temporary name,
//! for a moment. Elsewhere each file begins with one. The process holds a lock on a file
//! with a temporary name. A file without that lock is left by a process that has been
//! killed, and [`Leftovers`] removes it.

use std::collections::HashSet;
use std::fs::File;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use cap_std::fs::Dir;
use cap_std::fs::OpenOptions;

use crate::files::os;

/// How many temporary names are tried.
const ATTEMPTS: usize = 8;

/// How many folders are remembered.
const FOLDERS_MAX: usize = 1024;

const PREFIX: &str = ".farewell-";
const SUFFIX: &str = ".part";

/// The hexadecimal digits between them.
const DIGITS: usize = 16;

/// See the module. The drop of a file that is not stored frees it.
#[derive(Debug)]
pub(super) struct NewFile<'f> {
    folder: &'f Dir,
    name: Name,
    /// Its close gives the lock back: fields are dropped after the drop of the whole.
    file: File,
}

#[derive(Debug)]
enum Name {
    Unnamed,
    Temporary(String),
    Stored,
}

impl<'f> NewFile<'f> {
    pub(super) fn create(folder: &'f Dir) -> io::Result<Self> {
        match os::new_file::create_unnamed(folder)? {
            Some(file) => Ok(Self {
                folder,
                name: Name::Unnamed,
                file,
            }),
            None => Self::create_named(folder),
        }
    }

    fn create_named(folder: &'f Dir) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let name = temporary_name();
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            let file = match folder.open_with(&name, &options) {
                Ok(file) => file.into_std(),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let file = Self {
                folder,
                name: Name::Temporary(name),
                file,
            };
            // Between its creation and the lock, another process can take the file for
            // abandoned: then that process holds the lock, or has removed the file.
            if os::new_file::lock(&file.file)? && os::new_file::has_name(&file.file)? {
                return Ok(file);
            }
        }
        Err(no_name_free())
    }

    /// Has the content reach the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name; `AlreadyExists` if the name is taken. The kernel decides,
    /// so of several files exactly one gets the name.
    pub(super) fn take_free_name(&mut self, name: &Path) -> io::Result<()> {
        match &self.name {
            Name::Unnamed => os::new_file::name_unnamed(&self.file, self.folder, name)?,
            Name::Temporary(temporary) => {
                os::new_file::rename_to_free(self.folder, Path::new(temporary), name)?;
            }
            Name::Stored => {}
        }
        self.name = Name::Stored;
        Ok(())
    }

    /// Gives the file its name in place of the file that has it, which is not opened. The
    /// name is never free meanwhile.
    pub(super) fn replace(&mut self, name: &Path) -> io::Result<()> {
        if matches!(self.name, Name::Unnamed) {
            self.name_temporarily()?;
        }
        if let Name::Temporary(temporary) = &self.name {
            self.folder.rename(temporary, self.folder, name)?;
        }
        self.name = Name::Stored;
        Ok(())
    }

    fn name_temporarily(&mut self) -> io::Result<()> {
        // Before it has the name, so that the file is never taken for abandoned.
        os::new_file::lock(&self.file)?;
        for _ in 0..ATTEMPTS {
            let name = temporary_name();
            match os::new_file::name_unnamed(&self.file, self.folder, Path::new(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                named => {
                    named?;
                    self.name = Name::Temporary(name);
                    return Ok(());
                }
            }
        }
        Err(no_name_free())
    }
}

fn no_name_free() -> io::Error {
    io::Error::other("no temporary name is free")
}

impl Write for NewFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if let Name::Temporary(name) = &self.name {
            // If it cannot be removed, it is left for `Leftovers`.
            let _ = self.folder.remove_file(name);
        }
    }
}

fn temporary_name() -> String {
    // The keys of each state differ, and are random.
    let random = RandomState::new().hash_one(PREFIX);
    format!("{PREFIX}{random:0DIGITS$x}{SUFFIX}")
}

/// Whether this is the name of a file that is being stored.
pub(super) fn is_temporary(name: &[u8]) -> bool {
    let random = name.strip_prefix(PREFIX.as_bytes());
    let random = random.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    random.is_some_and(|random| random.len() == DIGITS && random.iter().all(u8::is_ascii_hexdigit))
}

/// Removes what processes that were killed have left: files with temporary names that no
/// living process has locked. It looks into each folder once.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// The folders that it has looked into.
    folders: Mutex<HashSet<(u64, u64)>>,
}

impl Leftovers {
    pub(super) fn remove_from(&self, folder: &Dir) {
        let Some(id) = os::new_file::folder_id(folder) else {
            return;
        };
        {
            let folders = self.folders.lock();
            let mut folders = folders.unwrap_or_else(PoisonError::into_inner);
            if folders.len() == FOLDERS_MAX {
                folders.clear();
            }
            if !folders.insert(id) {
                return;
            }
        }
        let Ok(entries) = folder.entries() else {
            return;
        };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            if is_temporary(&os::name_bytes(&name)) {
                // The file is open, and so locked, until it is removed.
                let abandoned = os::new_file::open_abandoned(folder, Path::new(&name));
                if abandoned.is_some() {
                    let _ = folder.remove_file(&name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cap_std::ambient_authority;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        (folder, dir)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    type Create = for<'f> fn(&'f Dir) -> io::Result<NewFile<'f>>;
    const BOTH: [Create; 2] = [|dir| NewFile::create(dir), |dir| NewFile::create_named(dir)];

    #[test]
    fn a_file_takes_a_free_name_and_no_other() {
        for create in BOTH {
            let (folder, dir) = folder();
            let mut first = create(&dir).unwrap();
            let mut second = create(&dir).unwrap();
            first.write_all(b"first").unwrap();
            second.write_all(b"second").unwrap();
            first.sync().unwrap();
            first.take_free_name(Path::new("a")).unwrap();
            let error = second.take_free_name(Path::new("a")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            drop((first, second));
            assert_eq!(names(&folder), ["a"]);
            assert_eq!(dir.read("a").unwrap(), b"first");
        }
    }

    #[test]
    fn a_file_replaces_another_or_a_link_and_not_what_the_link_leads_to() {
        for create in BOTH {
            let (folder, dir) = folder();
            dir.write("a", "old").unwrap();
            dir.write("kept", "kept").unwrap();
            #[cfg(unix)]
            dir.symlink("kept", "link").unwrap();
            for name in ["a", "link"] {
                let mut new = create(&dir).unwrap();
                new.write_all(b"new").unwrap();
                new.replace(Path::new(name)).unwrap();
            }
            assert_eq!(names(&folder), ["a", "kept", "link"]);
            assert_eq!(dir.read("a").unwrap(), b"new");
            assert_eq!(dir.read("kept").unwrap(), b"kept");
            assert!(dir.symlink_metadata("link").unwrap().is_file());
        }
    }

    #[test]
    fn a_file_that_is_not_stored_leaves_nothing() {
        for create in BOTH {
            let (folder, dir) = folder();
            dir.create_dir("full").unwrap();
            dir.write("full/file", "").unwrap();
            let mut new = create(&dir).unwrap();
            new.write_all(b"new").unwrap();
            assert!(new.replace(Path::new("full")).is_err());
            drop(new);
            drop(create(&dir).unwrap());
            assert_eq!(names(&folder), ["full"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_the_permissions_of_the_umask() {
        use std::os::unix::fs::PermissionsExt;

        let (folder, dir) = folder();
        fs::write(folder.path().join("usual"), "").unwrap();
        for (name, create) in ["a", "b"].into_iter().zip(BOTH) {
            create(&dir)
                .unwrap()
                .take_free_name(Path::new(name))
                .unwrap();
        }
        let mode = |name| {
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
        };
        assert_eq!([mode("a"), mode("b")], [mode("usual"); 2]);
    }

    #[cfg(unix)]
    #[test]
    fn files_of_killed_processes_are_removed_and_no_others() {
        let (folder, dir) = folder();
        let living = NewFile::create_named(&dir).unwrap();
        let abandoned = temporary_name();
        let others = [
            ".farewell-.part".to_owned(),
            format!("x{abandoned}"),
            abandoned.replace("part", "full"),
        ];
        for name in others.iter().chain([&abandoned]) {
            dir.write(name, "").unwrap();
        }
        let link = temporary_name();
        dir.symlink("elsewhere", &link).unwrap();
        let is_folder = temporary_name();
        dir.create_dir(&is_folder).unwrap();
        let leftovers = Leftovers::default();
        leftovers.remove_from(&dir);
        assert!(!dir.exists(&abandoned));
        assert_eq!(
            names(&folder).len(),
            3 + others.len(),
            "{:?}",
            names(&folder)
        );
        // A folder is looked into once.
        dir.write(&abandoned, "").unwrap();
        leftovers.remove_from(&dir);
        assert!(dir.exists(&abandoned));
        Leftovers::default().remove_from(&dir);
        drop(living);
        assert_eq!(
            names(&folder).len(),
            2 + others.len(),
            "{:?}",
            names(&folder)
        );
    }

    #[test]
    fn temporary_names_differ_and_are_known() {
        assert_ne!(temporary_name(), temporary_name());
        assert!(is_temporary(temporary_name().as_bytes()));
        for name in [
            "",
            "a.part",
            ".farewell-0123.part",
            ".farewell-zzzzzzzzzzzzzzzz.part",
        ] {
            assert!(!is_temporary(name.as_bytes()), "{name}");
        }
    }
}
