//! The file of the program, for a new process of it.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// How this process was started.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The path by which the program was found, with its symbolic links. So a new process
    /// is of the file that is there then: a new version, or the one that a link leads to.
    pub(super) path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be called when the program starts, while its file is still there.
    pub(super) fn of_this_process() -> Option<Self> {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_default();
        let file = env::current_exe().ok()?;
        let found = by_name(&name, &file);
        Some(Self {
            path: found.unwrap_or(file),
            name,
            arguments: arguments.collect(),
        })
    }

    /// The command with the same arguments, the same environment and the same folder.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.arguments);
        command
    }
}

/// The path by which a shell has found the file under this name. `None` if the name was
/// made up, as by `exec -a`.
fn by_name(name: &OsStr, file: &Path) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| is_same(path, file);
    if name.as_bytes().contains(&b'/') {
        return path::absolute(name).ok().filter(is_it);
    }
    let folders = env::var_os("PATH")?;
    let paths = env::split_paths(&folders).map(|folder| folder.join(name));
    paths
        .filter_map(|path| path::absolute(path).ok())
        .find(is_it)
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| {
        Some(fs::metadata(path).ok())
            .flatten()
            .map(|file| (file.dev(), file.ino()))
    };
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_kept_and_a_made_up_name_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = env::current_exe().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(by_name(link.as_os_str(), &file), Some(link));
        assert_eq!(by_name(OsStr::new("/no/such/file"), &file), None);
        assert_eq!(by_name(OsStr::new("made-up"), &file), None);
        assert_eq!(by_name(OsStr::new(""), &file), None);
    }
}
