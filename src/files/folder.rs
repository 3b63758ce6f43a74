//! What a folder is to a client: its `index.html`, or its listing.

use std::ffi::OsStr;

use cap_std::fs::Dir;

use super::Files;
use super::listing;
use super::listing::Listing;
use super::miss::Miss;
use super::path::FilePath;
use super::root::OpenError;
use super::root::Opened;
use crate::message::request::Request;
use crate::message::response::Response;

impl Files {
    /// The response to a request for a folder: its `index.html`, or its listing.
    pub(super) fn folder(
        &self,
        request: &Request,
        path: &FilePath<'_>,
        folder: Opened,
    ) -> Result<Response, Miss> {
        let index = path.as_path().join("index.html");
        match self.root.find(&index) {
            Ok(opened) if opened.metadata.is_file() => Ok(self.file(request, &index, opened)),
            Ok(_) | Err(OpenError::NotFound) if self.options.lists_folders => {
                self.list(request, path, folder)
            }
            Ok(_) | Err(OpenError::NotFound) => Err(Miss::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// The response to a request for a folder without `index.html`.
    fn list(
        &self,
        request: &Request,
        path: &FilePath<'_>,
        folder: Opened,
    ) -> Result<Response, Miss> {
        let options = listing::Options {
            shows_hidden: self.options.serves_hidden,
            takes_uploads: self.uploader.is_some(),
            ..listing::Options::default()
        };
        // A link is listed as what a request for it would get.
        let target = |name: &OsStr| {
            let link = self.root.find(&path.as_path().join(name));
            link.ok().map(|opened| opened.metadata)
        };
        let names = path.names().map(<[u8]>::to_vec).collect();
        let folder = Dir::from_std_file(folder.file);
        let listing = Listing::read(&folder, names, options, target);
        let listing = listing.map_err(OpenError::from)?;
        Ok(listing.respond(request.uri().query(), request.headers()))
    }
}
