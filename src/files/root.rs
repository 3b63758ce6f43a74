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
    path: PathBuf,
    follows_symlinks: bool,
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
            path,
            follows_symlinks: false,
        })
    }

    /// Lets symbolic links lead out of the folder, or not.
    pub(super) fn follow_symlinks(&mut self, follows: bool) {
        self.follows_symlinks = follows;
    }

    /// What is at a path, without opening it: opening a FIFO has effects on its writer.
    /// `None` if it cannot be found, or is not served.
    pub(super) fn metadata(&self, path: &Path) -> Option<Metadata> {
        let is_served = match self.follows_symlinks {
            false => {
                let metadata = self.folder.metadata(path).ok()?;
                metadata.is_file() || metadata.is_dir()
            }
            true => os::is_servable_anywhere(&self.folder, &self.path, path),
        };
        let opened = is_served.then(|| self.find(path).ok())??;
        Some(opened.metadata)
    }

    /// Opens a regular file or a folder.
    pub(super) fn find(&self, path: &Path) -> Result<Opened, OpenError> {
        let file = match self.follows_symlinks {
            false => {
                let mut options = OpenOptions::new();
                options.read(true);
                os::never_waits(&mut options);
                self.folder.open_with(path, &options)?.into_std()
            }
            true => os::open_anywhere(&self.folder, &self.path, path)?,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(OpenError::NotFound);
        }
        Ok(Opened { file, metadata })
    }
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
