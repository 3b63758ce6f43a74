//! The listing of a folder: a page without scripts, or JSON for a client that prefers it.
//!
//! ```text
//!  folder --> Listing --> Order::sort --> page.rs   text/html
//!                                     \-> json.rs   application/json
//! ```
//!
//! A name in a folder is chosen by any program that may write to the folder, and is any
//! bytes. On the page it is text that is escaped, with what is invisible made visible
//! (`text.rs`), and a link that is percent-encoded and begins with `./`, so that no name is
//! a scheme.

mod entry;
mod json;
mod order;
mod page;
#[cfg(test)]
mod tests;
mod text;
mod units;

use std::ffi::OsStr;
use std::fs;
use std::io;

use cap_std::fs::Dir;
use http::HeaderMap;
use http::HeaderValue;
use http::header;

use self::entry::Entry;
use self::entry::is_servable;
use self::order::Order;
use super::accept;
use crate::message::body::Body;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// The most entries of a folder that are read for a listing. Beyond
/// [`Options::entries_max`] they are only counted, beyond this number not even that.
const READ_MAX: usize = 100_000;

/// What a listing shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Whether names that begin with a dot are shown. Default: no.
    pub(super) shows_hidden: bool,
    /// Whether the page has a form for uploads: a `multipart/form-data` that is posted to
    /// the folder, with files named `file`. Default: no.
    pub(super) takes_uploads: bool,
    /// The most entries that are shown. Default: 10 000.
    pub(super) entries_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shows_hidden: false,
            takes_uploads: false,
            entries_max: 10_000,
        }
    }
}

/// What a folder has, as far as it is shown.
#[derive(Debug)]
pub(super) struct Listing {
    /// The names of the folders from the served folder to this one. The served folder
    /// itself has none.
    path: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    /// How many more entries there are that are shown in a listing, at least.
    omitted: usize,
    /// Whether there are exactly so many.
    omitted_is_exact: bool,
    order: Order,
    takes_uploads: bool,
}

impl Listing {
    /// Reads a folder.
    ///
    /// `target` finds what a symbolic link in the folder leads to. `None`: the link is not
    /// served. Such a link is left out, and so are devices, FIFOs, sockets, and an entry
    /// that vanishes meanwhile. Each entry costs one call for its metadata.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub(super) fn read(
        folder: &Dir,
        path: Vec<Vec<u8>>,
        options: Options,
        target: impl Fn(&OsStr) -> Option<fs::Metadata>,
    ) -> io::Result<Self> {
        let mut listing = Self {
            path,
            entries: Vec::new(),
            omitted: 0,
            omitted_is_exact: true,
            order: Order::default(),
            takes_uploads: options.takes_uploads,
        };
        for (number, found) in folder.entries()?.enumerate() {
            let found = found?;
            if number == READ_MAX {
                listing.omitted_is_exact = false;
                break;
            }
            let name = found.file_name();
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if is_hidden && !options.shows_hidden {
                continue;
            }
            if listing.entries.len() < options.entries_max {
                let entry = Entry::read(&found, name, &target);
                listing.entries.extend(entry);
            } else {
                match found.file_type() {
                    Ok(kind) if kind.is_file() || kind.is_dir() => listing.omitted += 1,
                    // What a link leads to, and whether it is served, would cost a call.
                    Ok(kind) if is_servable(kind) => listing.omitted_is_exact = false,
                    _ => {}
                }
            }
        }
        Ok(listing)
    }

    /// The response: the page, or JSON, sorted as the query says.
    pub(super) fn respond(mut self, query: Option<&str>, headers: &HeaderMap) -> Response {
        self.order = Order::of_query(query.unwrap_or_default());
        self.order.sort(&mut self.entries);
        let mut fields = HeaderMap::with_capacity(8);
        let body: Body = if accept::prefers_json(headers) {
            let json = HeaderValue::from_static("application/json");
            fields.insert(header::CONTENT_TYPE, json);
            self.to_json().into()
        } else {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            fields.insert(header::CONTENT_TYPE, html);
            let policy = page::content_security_policy(self.takes_uploads);
            fields.insert(header::CONTENT_SECURITY_POLICY, policy);
            self.to_html().into()
        };
        for (name, value) in [
            (header::VARY, "accept"),
            // A folder has no validator that changes with the files in it.
            (header::CACHE_CONTROL, "no-cache"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // The names of folders are nothing for the sites that a file links to. With
            // `no-referrer`, though, a browser posts the form with `Origin: null` (Fetch,
            // "append a request `Origin` header"), and the upload is refused as that of
            // another site.
            (header::REFERRER_POLICY, "same-origin"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        (fields, body).into_response()
    }

    /// The bytes of all files that are shown.
    fn bytes(&self) -> u64 {
        let bytes = self.entries.iter().map(|entry| entry.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// The folders, and the files. The entries are sorted.
    fn groups(&self) -> (&[Entry], &[Entry]) {
        self.entries.split_at(order::folders(&self.entries))
    }
}
