//! The served folder, and how files beneath it are opened.
//!
//! The folder is opened once. Every file is opened relative to it, by the kernel, which
//! refuses a path that leads out of it: by `..`, or by a symbolic link, also by one that
//! replaces a file at this very moment (`openat2` with `RESOLVE_BENEATH`; where the system
//! has no such call, cap-std opens one name after another). No comparison of strings
//! decides what is beneath the folder.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cap_std::fs::OpenOptions;
use http::StatusCode;

use super::os;
use crate::message::rejection::Rejection;

/// An open folder, and whether symbolic links may lead out of it.
#[derive(Debug)]
pub(super) struct Root {
    folder: Dir,
    /// The path of the folder, if links may lead out of it.
    followed_from: Option<PathBuf>,
    path: PathBuf,
}

/// Something that is open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

/// Why nothing was opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// There is nothing, or nothing that is served: a path that leads out, a device.
    NotFound,
    /// The program may not read it.
    Forbidden,
    /// The process has no file descriptor left.
    OutOfDescriptors,
    Failed(io::Error),
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        Ok(Self {
            folder: Dir::open_ambient_dir(&path, ambient_authority())?,
            followed_from: None,
            path,
        })
    }

    /// Lets symbolic links lead out of the folder, or not.
    pub(super) fn follow_symlinks(&mut self, follows: bool) {
        self.followed_from = follows.then(|| self.path.clone());
    }

    /// Opens a regular file or a folder.
    pub(super) fn find(&self, path: &Path) -> Result<Opened, OpenError> {
        let mut options = OpenOptions::new();
        options.read(true);
        os::never_waits(&mut options);
        let file = match &self.followed_from {
            None => self.folder.open_with(path, &options)?.into_std(),
            Some(folder) => open_anywhere(&folder.join(path), &options)?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(OpenError::NotFound);
        }
        Ok(Opened { file, metadata })
    }
}

fn open_anywhere(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let file = cap_std::fs::File::open_ambient_with(path, options, ambient_authority())?;
    Ok(file.into_std())
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename => Self::NotFound,
            // The error of cap-std for a path that leads out has no number of the system.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => Self::NotFound,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            _ if os::cannot_be_opened(&error) => Self::NotFound,
            _ if os::is_out_of_descriptors(&error) => Self::OutOfDescriptors,
            _ => Self::Failed(error),
        }
    }
}

impl OpenError {
    /// `None`: there is nothing.
    pub(super) fn rejection(self) -> Option<Rejection> {
        match self {
            Self::NotFound => None,
            Self::Forbidden => Some(Rejection::new(
                StatusCode::FORBIDDEN,
                "reading this is not permitted",
            )),
            Self::OutOfDescriptors => Some(Rejection::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many files are open: try again",
            )),
            Self::Failed(error) => Some(Rejection::internal(error)),
        }
    }
}
