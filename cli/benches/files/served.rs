//! The folder that all servers serve.

use std::fs;
use std::fs::File;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::Result;

/// How many entries the folder has that is listed.
const LISTED: usize = 1_000;

/// The length of the file that slow clients read, in bytes.
pub(crate) const LARGE_BYTES: u64 = 100 << 20;

/// A temporary folder.
#[derive(Debug)]
pub(crate) struct Served {
    folder: TempDir,
}

impl Served {
    /// # Errors
    ///
    /// The folder cannot be created, or the disk is full.
    pub(crate) fn create() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        for (name, bytes) in [("1k", 1 << 10), ("64k", 64 << 10), ("10m", 10 << 20)] {
            fs::write(path.join(name), vec![b'x'; bytes])?;
        }
        // A hole, which takes no room on the disk.
        File::create(path.join("100m"))?.set_len(LARGE_BYTES)?;
        fs::create_dir(path.join("many"))?;
        for number in 0..LISTED {
            fs::write(path.join(format!("many/file-{number}.txt")), "x")?;
        }
        Ok(Self { folder })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}
