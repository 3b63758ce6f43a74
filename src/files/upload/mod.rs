//! Uploads: `PUT` stores a file under its path, `POST` the files of a form in a folder.
//!
//! ```text
//!  the request is no other site's, and not for another folder   mod.rs
//!  body --> NewFile: without a name until it is complete         new_file.rs
//!  its content reaches the disk, then it gets its name, then
//!  the name reaches the disk                                     store.rs
//! ```
//!
//! No file ever has a part of its content under its name.

mod failure;
mod form;
mod methods;
mod name;
mod new_file;
pub(super) mod options;
mod put;
mod store;

use std::path::Path;

use http::HeaderMap;
use http::Method;
use http::header;

use self::failure::Failure;
use self::options::Uploads;
use self::store::Store;
use super::options::Options;
use super::path::FilePath;
use super::root::Root;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;
use crate::message::same_site;
use crate::route_table::body_limits::BodyLimits;

/// The bytes of a form beside its files: heads of parts, and fields that are not files.
const FORM_BYTES: u64 = 1024 * 1024;

/// The part of a [`Files`](crate::Files) that stores files.
#[derive(Debug)]
pub(super) struct Uploader {
    store: Store,
}

impl Uploader {
    /// Removes what earlier processes have left in the served folder.
    pub(super) fn new(uploads: Uploads, root: &Root) -> Self {
        let store = Store::new(uploads);
        // If the folder cannot be read, the first upload to it says so.
        let _ = store.open_folder(root, Path::new("."));
        Self { store }
    }

    /// The response to an upload; `None` for a method that uploads nothing.
    pub(super) fn answer(
        &self,
        root: &Root,
        options: &Options,
        request: &mut Request,
    ) -> Option<Response> {
        let answer = match *request.method() {
            Method::PUT => put::answer,
            Method::POST => form::answer,
            _ => return None,
        };
        let answered = check(request.headers()).and_then(|()| {
            let path = path(options, request)?;
            answer(&self.store, root, options, &path, request)
        });
        Some(answered.unwrap_or_else(IntoResponse::into_response))
    }

    /// The value of `Allow` for the path of this request.
    pub(super) fn methods(root: &Root, options: &Options, request: &Request) -> &'static str {
        let Ok(path) = path(options, request) else {
            return methods::OF_ALL;
        };
        let path = FilePath::parse(&path, options.serves_hidden);
        let is_folder = path.map(|path| {
            let found = || root.find(path.as_path());
            path.is_folder || found().is_ok_and(|found| found.metadata.is_dir())
        });
        match is_folder {
            Ok(true) => methods::OF_FOLDERS,
            Ok(false) => methods::OF_FILES,
            Err(_) => methods::OF_ALL,
        }
    }

    /// The largest request is a form of as many files as it may have.
    pub(super) fn body_limits(&self) -> BodyLimits {
        let Uploads {
            bytes_max,
            files_max,
            ..
        } = self.store.uploads;
        let files = bytes_max.saturating_mul(files_max.max(1) as u64);
        BodyLimits::new().bytes_max(files.saturating_add(FORM_BYTES))
    }
}

/// What follows the prefix in the path of the request.
fn path(options: &Options, request: &Request) -> Result<String, Failure> {
    let path = options.below_prefix(request.uri().path());
    let path = path.filter(|path| !path.is_empty());
    path.map(str::to_owned).ok_or_else(Failure::no_folder)
}

/// Checks what has nothing to do with the path.
fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let is_own = same_site::fetch_is_own(headers).unwrap_or_else(|| {
        let host = same_site::host(headers);
        same_site::origin_is(host.as_ref(), &["http", "https"], headers)
    });
    if !is_own {
        return Err(Failure::other_site());
    }
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    match codings.all(|coding| coding == "identity") {
        true => Ok(()),
        false => Err(Failure::encoded()),
    }
}
