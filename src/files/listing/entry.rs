//! What a folder has, one by one.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::time;

use cap_std::fs::DirEntry;
use cap_std::fs::FileType;
use cap_std::fs::Metadata;
use cap_std::time::SystemTime;

/// A file or a folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: EntryKind,
    /// 0 for a folder.
    pub(super) bytes: u64,
    pub(super) modified: Option<time::SystemTime>,
}

/// In the order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKind {
    Folder,
    File,
}

impl Entry {
    /// `None` if it is nothing that is served, or has vanished.
    pub(super) fn read(
        found: &DirEntry,
        name: OsString,
        target: impl Fn(&OsStr) -> Option<fs::Metadata>,
    ) -> Option<Self> {
        let kind = found.file_type().ok()?;
        if !is_servable(kind) {
            return None;
        }
        let own = match kind.is_symlink() {
            true => None,
            false => Some(found.metadata().ok()?),
        };
        let metadata = match own {
            // Else the file system does not tell kinds with names, or the entry has just
            // been replaced.
            Some(own) if !own.is_symlink() => own,
            _ => Metadata::from_just_metadata(target(&name)?),
        };
        let (kind, bytes) = match (metadata.is_dir(), metadata.is_file()) {
            (true, _) => (EntryKind::Folder, 0),
            (_, true) => (EntryKind::File, metadata.len()),
            (false, false) => return None,
        };
        Some(Self {
            name,
            kind,
            bytes,
            modified: metadata.modified().ok().map(SystemTime::into_std),
        })
    }
}

/// Whether an entry may be a file or a folder, or lead to one: what a folder tells of its
/// entries costs no further call.
pub(super) fn is_servable(kind: FileType) -> bool {
    kind.is_file() || kind.is_dir() || kind.is_symlink() || kind == FileType::unknown()
}
