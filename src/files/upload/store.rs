//! Storing one file: what is under its name before, and how it gets the name.

use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use cap_std::fs::Dir;
use http::HeaderMap;
use http::Method;

use super::failure::Failure;
use super::name;
use super::new_file::Leftovers;
use super::new_file::NewFile;
use super::new_file::is_temporary;
use super::options::Uploads;
use crate::files::os;
use crate::files::preconditions;
use crate::files::preconditions::Precondition;
use crate::files::preconditions::Validators;
use crate::files::root::OpenError;
use crate::files::root::Root;
use crate::message::rejection::Rejection;

/// How much of a file is in memory, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// How often a name is looked at anew that other programs create and remove.
const ATTEMPTS: usize = 8;

/// What all uploads to a [`Files`](crate::Files) have in common.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) uploads: Uploads,
    pub(super) leftovers: Leftovers,
    /// Held while a file is compared with the conditions of a request and replaced, so
    /// that of two requests with the same condition only one replaces it.
    replacing: Mutex<()>,
}

/// Where a file is to be stored.
pub(super) struct Target<'a> {
    pub(super) root: &'a Root,
    /// The open folder of the file.
    pub(super) folder: &'a Dir,
    pub(super) name: &'a Path,
    /// The path of the file beneath the served folder.
    pub(super) path: PathBuf,
    /// The fields of the request, if it is for this file. A form is for the folder, and its
    /// conditions are not about its files.
    pub(super) conditions: Option<&'a HeaderMap>,
}

/// What is under a name.
enum Existing {
    Nothing,
    /// A folder, or a link to one.
    Folder,
    /// A file, or a link to what is no folder. Without validators, if the link leads to
    /// nothing that can be read.
    File(Option<Validators>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Created,
    Replaced,
}

impl Store {
    pub(super) fn new(uploads: Uploads) -> Self {
        Self {
            uploads,
            leftovers: Leftovers::default(),
            replacing: Mutex::new(()),
        }
    }

    /// Opens the folder at `path` beneath the served folder. `None` if it is no folder.
    pub(super) fn open_folder(&self, root: &Root, path: &Path) -> Result<Option<Dir>, OpenError> {
        let opened = root.find(path)?;
        if !opened.metadata.is_dir() {
            return Ok(None);
        }
        let folder = Dir::from_std_file(opened.file);
        self.leftovers.remove_from(&folder);
        Ok(Some(folder))
    }

    /// Refuses a file that cannot be stored, before its content is read.
    pub(super) fn check(&self, target: &Target<'_>) -> Result<(), Failure> {
        let name = os::name_bytes(target.name.as_os_str());
        if is_temporary(&name) {
            return Err(Failure::hidden_name());
        }
        name::check(&name)?;
        let existing = target.look_up()?;
        self.may_store(target, &existing)
    }

    fn may_store(&self, target: &Target<'_>, existing: &Existing) -> Result<(), Failure> {
        let current = match existing {
            Existing::Nothing => None,
            Existing::Folder if target.conditions.is_some() => return Err(Failure::is_folder()),
            Existing::Folder => return Err(Failure::folder_exists()),
            // The conditions of a request that is refused without them do not matter (RFC
            // 9110 section 13.2.1).
            Existing::File(_) if !self.uploads.overwrites => return Err(Failure::exists()),
            Existing::File(validators) => validators.as_ref(),
        };
        let Some(conditions) = target.conditions else {
            return Ok(());
        };
        match preconditions::check(&Method::PUT, conditions, current) {
            Precondition::Holds => Ok(()),
            Precondition::NotModified | Precondition::Failed => Err(preconditions::failed().into()),
        }
    }

    /// Reads a content to its end, into a file that has no name yet, and has it reach the
    /// disk.
    pub(super) fn receive<'f>(
        &self,
        content: &mut dyn Read,
        folder: &'f Dir,
    ) -> Result<NewFile<'f>, Failure> {
        let mut file = NewFile::create(folder)?;
        copy(content, &mut file, self.uploads.bytes_max)?;
        file.sync()?;
        Ok(file)
    }

    /// Gives a file its name.
    pub(super) fn store(
        &self,
        file: &mut NewFile<'_>,
        target: &Target<'_>,
    ) -> Result<Stored, Failure> {
        if !self.uploads.overwrites {
            file.take_free_name(target.name)?;
            return Ok(Stored::Created);
        }
        let replacing = self.replacing.lock();
        let _replacing = replacing.unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            let existing = target.look_up()?;
            self.may_store(target, &existing)?;
            match existing {
                Existing::File(validators) => {
                    file.replace(target.name)?;
                    // A link that leads to nothing is replaced, but a GET of it was a 404: a
                    // representation is created (RFC 9110 section 9.3.4).
                    return Ok(match validators {
                        Some(_) => Stored::Replaced,
                        None => Stored::Created,
                    });
                }
                // Refused above.
                Existing::Folder => return Err(Failure::folder_exists()),
                Existing::Nothing => match file.take_free_name(target.name) {
                    // Another program has created it.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    taken => return Ok(taken.map(|()| Stored::Created)?),
                },
            }
        }
        Err(Failure::exists())
    }
}

impl Target<'_> {
    /// Looks at what is under the name, without opening it.
    fn look_up(&self) -> Result<Existing, Failure> {
        let metadata = match self.folder.symlink_metadata(self.name) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::Nothing),
            Err(error) => return Err(error.into()),
        };
        if metadata.is_dir() {
            return Ok(Existing::Folder);
        }
        if metadata.is_file() {
            let modified = metadata.modified().ok().map(|time| time.into_std());
            let validators = validators_of(modified, metadata.len());
            return Ok(Existing::File(Some(validators)));
        }
        if !metadata.is_symlink() {
            return Err(Failure::no_file());
        }
        // The link itself is replaced, and the conditions are about what it leads to.
        match self.root.find(&self.path) {
            Ok(opened) if opened.metadata.is_dir() => Ok(Existing::Folder),
            Ok(opened) => {
                let modified = opened.metadata.modified().ok();
                let validators = validators_of(modified, opened.metadata.len());
                Ok(Existing::File(Some(validators)))
            }
            Err(OpenError::NotFound | OpenError::Forbidden) => Ok(Existing::File(None)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What identifies a file, which is not encoded.
pub(super) fn validators_of(modified: Option<SystemTime>, length: u64) -> Validators {
    Validators::new(modified, length, SystemTime::now())
}

/// Copies a content of at most `bytes_max` bytes.
fn copy(content: &mut dyn Read, file: &mut dyn Write, bytes_max: u64) -> Result<(), Failure> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0_u64;
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // Of the body, and not of the file.
            Err(error) => return Err(Rejection::from(error).into()),
        };
        bytes += count as u64;
        if bytes > bytes_max {
            return Err(Failure::too_large());
        }
        file.write_all(&buffer[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::response::IntoResponse;

    fn status(copied: Result<(), Failure>) -> Option<u16> {
        let failure = copied.err()?;
        Some(failure.into_response().status().as_u16())
    }

    #[test]
    fn a_content_is_copied_up_to_its_limit() {
        let content = vec![b'x'; BUFFER_BYTES + 1];
        let length = content.len() as u64;
        let mut file = Vec::new();
        assert_eq!(status(copy(&mut &*content, &mut file, length)), None);
        assert_eq!(file, content);
        let copied = copy(&mut &*content, &mut Vec::new(), length - 1);
        assert_eq!(status(copied), Some(413));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_a_507() {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let copied = copy(&mut &b"x"[..], &mut full.unwrap(), 1);
        assert_eq!(status(copied), Some(507));
    }
}
