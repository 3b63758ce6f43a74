//! What clients may upload.

/// What clients may upload to a [`Files`](crate::Files): see
/// [`Files::uploads`](crate::Files::uploads).
///
/// ```no_run
/// use farewell::{Files, Uploads};
///
/// let uploads = Uploads::new().overwrite(true).bytes_max(20 << 30);
/// let files = Files::new("inbox")?.uploads(uploads);
/// # let _ = files;
/// # Ok::<(), farewell::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "uploads are possible only for a `Files` that has them"]
pub struct Uploads {
    pub(super) overwrites: bool,
    pub(super) bytes_max: u64,
    pub(super) files_max: usize,
}

impl Uploads {
    /// New files of at most 1 GiB, at most 64 in one form; none replaces another.
    pub const fn new() -> Self {
        Self {
            overwrites: false,
            bytes_max: 1 << 30,
            files_max: 64,
        }
    }

    /// Lets an upload replace a file of its name. Default: no, such an upload is a 409.
    pub const fn overwrite(mut self, overwrites: bool) -> Self {
        self.overwrites = overwrites;
        self
    }

    /// Sets the largest file, in bytes. A larger one is a 413, before any of it is read if
    /// the client states its length. Default: 1 GiB. A form may have as much for each of
    /// its [files](Self::files_max).
    pub const fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Sets the most files of one form. More are a 413. Default: 64. A form holds a file
    /// descriptor for each of its files until all have arrived.
    pub const fn files_max(mut self, files: usize) -> Self {
        self.files_max = files;
        self
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Self::new()
    }
}
