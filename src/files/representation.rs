//! What is sent for a file: the file itself, or its precompressed sibling, with the fields
//! that describe it (RFC 9110 section 8).

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use http::HeaderMap;
use http::HeaderValue;
use http::header;

use super::cache_control;
use super::content_type;
use super::encoding;
use super::encoding::Coding;
use super::options::Options;
use super::preconditions::Validators;
use super::root::Opened;
use super::root::Root;
use crate::message::body::Body;
use crate::message::body::read_at::read_at;

/// The largest file that is read into memory, so that head and body go out in one write, in
/// bytes. The kernel sends larger ones from its page cache.
const IN_MEMORY_BYTES_MAX: u64 = 16 * 1024;

/// An open file, and what its response says of it.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) validators: Validators,
    last_modified: Option<HeaderValue>,
    coding: Option<Coding>,
}

impl Representation {
    /// The representation of the file at `path` that the client prefers.
    pub(super) fn choose(
        opened: Opened,
        path: &Path,
        headers: &HeaderMap,
        root: &Root,
        options: &Options,
    ) -> Self {
        if options.serves_precompressed {
            for coding in encoding::acceptable(headers) {
                let mut sibling = path.as_os_str().to_owned();
                sibling.push(".");
                sibling.push(coding.extension());
                // A sibling that cannot be opened does not keep the file from its client.
                if let Ok(sibling) = root.find(Path::new(&sibling))
                    && sibling.metadata.is_file()
                {
                    return Self::of(sibling, Some(coding));
                }
            }
        }
        Self::of(opened, None)
    }

    fn of(opened: Opened, coding: Option<Coding>) -> Self {
        let Opened { file, metadata } = opened;
        let (length, now) = (metadata.len(), SystemTime::now());
        let mut validators = Validators::new(metadata.modified().ok(), length, now);
        if let Some(coding) = coding {
            validators.etag = validators.etag.with_suffix(coding.token());
        }
        Self {
            file,
            length,
            last_modified: validators.last_modified(now),
            validators,
            coding,
        }
    }

    /// The fields that a 200, a 206 and a 304 have in common (RFC 9110 section 15.4.5).
    pub(super) fn fields(&self, name: &[u8], options: &Options) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(10);
        fields.insert(header::ETAG, self.validators.etag.value());
        if let Some(date) = &self.last_modified {
            fields.insert(header::LAST_MODIFIED, date.clone());
        }
        if let Some(value) = cache_control::of_name(name, options) {
            fields.insert(header::CACHE_CONTROL, value);
        }
        if options.serves_precompressed {
            let value = HeaderValue::from_static("accept-encoding");
            fields.insert(header::VARY, value);
        }
        fields
    }

    /// Adds the fields that describe a content. `name` is that of the file, also if its
    /// sibling is sent.
    pub(super) fn describe(&self, fields: &mut HeaderMap, name: &[u8]) {
        fields.insert(header::CONTENT_TYPE, content_type::of_name(name));
        fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let nosniff = HeaderValue::from_static("nosniff");
        fields.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        if let Some(coding) = self.coding {
            let value = HeaderValue::from_static(coding.token());
            fields.insert(header::CONTENT_ENCODING, value);
        }
    }

    /// A part of the file, as a body. A file that has become shorter makes a body that
    /// fails, so that its client can tell.
    pub(super) fn into_body(self, offset: u64, length: u64) -> Body {
        if length <= IN_MEMORY_BYTES_MAX
            && let Ok(Some(bytes)) = read(&self.file, offset, length)
        {
            return bytes.into();
        }
        Body::file_part(self.file, offset, length)
    }
}

/// Reads a small part of a file. `None` if the file has become shorter.
fn read(file: &File, offset: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let mut filled = 0;
    while filled < bytes.len() {
        match read_at(file, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => return Ok(None),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(bytes))
}
