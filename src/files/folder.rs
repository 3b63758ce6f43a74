//! What a folder is to a client: its `index.html`, or its listing.

use std::ffi::OsStr;
use std::time::SystemTime;

use cap_std::fs::Dir;
use http::StatusCode;

use super::Files;
use super::listing;
use super::listing::Listing;
use super::miss::Miss;
use super::pages;
use super::path::FilePath;
use super::preconditions;
use super::preconditions::Precondition;
use super::preconditions::Validators;
use super::root::OpenError;
use super::root::Opened;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

impl Files {
    /// The response to a request for a folder: its `index.html`, or its listing. A folder
    /// with an index need not be readable.
    pub(super) fn folder(&self, request: &Request, path: &FilePath<'_>) -> Result<Response, Miss> {
        let index = path.as_path().join("index.html");
        match self.root.find(&index) {
            Ok(opened) if opened.metadata.is_file() => {
                return Ok(self.file(request, &index, opened));
            }
            Ok(_) | Err(OpenError::NotFound) if self.options.lists_folders => {}
            Ok(_) | Err(OpenError::NotFound) => return Err(Miss::Nothing),
            Err(error) => return Err(error.into()),
        }
        let folder = self.root.find(path.as_path())?;
        match folder.metadata.is_dir() {
            true => self.list(request, path, folder),
            false => Err(Miss::Nothing),
        }
    }

    /// The response to a request for a folder without `index.html`.
    fn list(
        &self,
        request: &Request,
        path: &FilePath<'_>,
        folder: Opened,
    ) -> Result<Response, Miss> {
        // A listing has no validator: no tag of a request is its own.
        let validators = Validators::new(None, 0, SystemTime::now());
        match preconditions::check(request.method(), request.headers(), Some(&validators)) {
            Precondition::Holds => {}
            Precondition::NotModified => return Ok(StatusCode::NOT_MODIFIED.into_response()),
            Precondition::Failed => return Err(Miss::Rejected(preconditions::failed())),
        }
        let options = listing::Options {
            shows_hidden: self.options.serves_hidden,
            takes_uploads: self.uploader.is_some(),
            ..listing::Options::default()
        };
        // A link is listed as what a request for it would get.
        let target = |name: &OsStr| self.root.metadata(&path.as_path().join(name));
        let names = path.names().map(<[u8]>::to_vec).collect();
        let folder = Dir::from_std_file(folder.file);
        let listing = Listing::read(&folder, names, options, target);
        let listing = listing.map_err(OpenError::from)?;
        let response = listing.respond(request.uri().query(), request.headers());
        let (parts, body) = response.into_parts();
        let held = body
            .into_bytes(usize::MAX)
            .map(|page| self.pages.hold(page));
        match held.map_err(OpenError::from)? {
            Some(page) => Ok(Response::from_parts(parts, page.into())),
            None => Err(Miss::Rejected(pages::too_many())),
        }
    }
}
