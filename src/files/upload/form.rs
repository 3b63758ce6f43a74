//! `POST` to a folder: the files of a form are stored in it (RFC 7578).
//!
//! All files of a form are received before the first gets its name, so that nothing is
//! stored if the form breaks off, and the same form can be sent again.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use cap_std::fs::Dir;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::failure::Failure;
use super::methods;
use super::name;
use super::new_file::NewFile;
use super::store::Store;
use super::store::Target;
use crate::files::accept;
use crate::files::accept::Wish;
use crate::files::options::Options;
use crate::files::os;
use crate::files::path::Encoded;
use crate::files::path::FilePath;
use crate::files::root::OpenError;
use crate::files::root::Root;
use crate::message::multipart::MultipartLimits;
use crate::message::redirect::Redirect;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// The most parts of a form that are no files.
const FIELDS_MAX: usize = 64;

/// The folder that a form is for.
struct Folder<'a> {
    root: &'a Root,
    path: &'a FilePath<'a>,
    opened: Dir,
}

/// A file of a form, complete but without its name.
type Received<'f> = (String, NewFile<'f>);

/// Stores the files of a form.
pub(super) fn answer(
    store: &Store,
    root: &Root,
    options: &Options,
    path: &str,
    request: &mut Request,
) -> Result<Response, Failure> {
    let path = FilePath::parse(path, options.serves_hidden)?;
    let folder = Folder::open(store, root, &path)?;
    let mut received = receive(store, options, &folder, request)?;
    let store = |name: &str, file: &mut NewFile<'_>| {
        store.store(file, &folder.target(name))?;
        Ok(())
    };
    let sync = || os::new_file::sync_folder(&folder.opened);
    give_names(&mut received, store, sync)?;
    let names = received.iter().map(|(name, _)| name.as_str());
    Ok(respond(request, folder.reference(), names))
}

impl<'a> Folder<'a> {
    fn open(store: &Store, root: &'a Root, path: &'a FilePath<'a>) -> Result<Self, Failure> {
        let nothing = || Failure::new(StatusCode::NOT_FOUND, "the folder does not exist");
        match store.open_folder(root, path.as_path()) {
            Ok(Some(opened)) => Ok(Self { root, path, opened }),
            Ok(None) if !path.is_folder => {
                let why = "method not allowed: forms are sent to a folder, and this is a file";
                Err(Failure::not_allowed(methods::OF_FILES, why))
            }
            Ok(None) | Err(OpenError::NotFound) => Err(nothing()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where a file of this name is stored.
    fn target<'t>(&'t self, name: &'t str) -> Target<'t> {
        Target {
            root: self.root,
            folder: &self.opened,
            name: Path::new(name),
            path: self.path.as_path().join(name),
            conditions: None,
        }
    }

    /// The folder, relative to the path of the request, of which a proxy may have removed a
    /// part (RFC 9110 section 10.2.2).
    fn reference(&self) -> String {
        match self.path.names().last() {
            Some(name) if !self.path.is_folder => format!("./{}/", Encoded(name)),
            _ => "./".to_owned(),
        }
    }
}

/// Reads the form to its end.
fn receive<'f>(
    store: &Store,
    options: &Options,
    folder: &'f Folder<'_>,
    request: &mut Request,
) -> Result<Vec<Received<'f>>, Failure> {
    let files_max = store.uploads.files_max;
    let limits = MultipartLimits {
        parts_max: files_max.saturating_add(FIELDS_MAX),
        ..MultipartLimits::default()
    };
    let mut form = request.multipart(limits)?;
    let mut names = HashSet::new();
    let mut received = Vec::new();
    while let Some(mut part) = form.next_part()? {
        // A field without a file, or a field for files for which the user has chosen none.
        let Some(name) = part.file_name().filter(|name| !name.is_empty()) else {
            continue;
        };
        let name = name.to_owned();
        if received.len() == files_max {
            let why = format!("the form has more than {files_max} files");
            return Err(Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, why).into());
        }
        let is_first = names.insert(name.clone());
        let file = match is_first {
            true => name::check_of_form(&name, options.serves_hidden),
            false => Err(Failure::bad_name("the form has two files of this name")),
        };
        let file = file
            .and_then(|()| store.check(&folder.target(&name)))
            .and_then(|()| store.receive(&mut part, &folder.opened))
            .map_err(|failure| failure.of_file(&name, 0))?;
        received.push((name, file));
    }
    match received.is_empty() {
        true => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "the form has no file",
        )),
        false => Ok(received),
    }
}

/// Gives each file its name, up to the first that cannot have it. The names that are given
/// then reach the disk too, because the response says that their files are stored.
fn give_names<F>(
    received: &mut [(String, F)],
    mut store: impl FnMut(&str, &mut F) -> Result<(), Failure>,
    sync: impl FnOnce() -> io::Result<()>,
) -> Result<(), Failure> {
    let mut stored = 0;
    let named = received.iter_mut().try_for_each(|(name, file)| {
        store(name, file).map_err(|failure| failure.of_file(name, stored))?;
        stored += 1;
        Ok(())
    });
    if stored > 0 {
        sync()?;
    }
    named
}

/// The response to a form whose files are stored.
fn respond<'a>(
    request: &Request,
    folder: String,
    names: impl Iterator<Item = &'a str>,
) -> Response {
    let html = Wish::of(request.headers(), accept::HTML);
    let json = Wish::of(request.headers(), accept::JSON);
    if html.is_named() && html >= json {
        let query = request.uri().query();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        return Redirect::see_other(folder + &query).into_response();
    }
    let paths: Vec<String> = names
        .map(|name| format!("{folder}{}", Encoded(name.as_bytes())))
        .collect();
    let location = match &paths[..] {
        [path] => path,
        _ => &folder,
    };
    let location = HeaderValue::try_from(location);
    let location = location.expect("it is percent-encoded");
    let (content_type, text) = match json.is_named() {
        true => (
            "application/json",
            serde_json::json!({ "stored": paths }).to_string(),
        ),
        false => {
            let lines = paths.iter().map(|path| format!("{path}\n")).collect();
            ("text/plain; charset=utf-8", lines)
        }
    };
    let content_type = HeaderValue::from_static(content_type);
    let fields = [
        (header::LOCATION, location),
        (header::CONTENT_TYPE, content_type),
    ];
    (StatusCode::CREATED, fields, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the client is told if the files from `refused` on cannot have their names, and
    /// whether the names of the others have reached the disk.
    fn named(refused: usize) -> (u16, bool) {
        let mut received: Vec<(String, usize)> = (0..3).map(|at| (at.to_string(), at)).collect();
        let mut is_synced = false;
        let store = |_: &str, at: &mut usize| match *at < refused {
            true => Ok(()),
            false => Err(Failure::exists()),
        };
        let sync = || {
            is_synced = true;
            Ok(())
        };
        let status = match give_names(&mut received, store, sync) {
            Ok(()) => 201,
            Err(failure) => failure.into_response().status().as_u16(),
        };
        (status, is_synced)
    }

    #[test]
    fn the_names_before_one_that_is_taken_reach_the_disk() {
        assert_eq!(named(3), (201, true));
        assert_eq!(named(2), (409, true));
        assert_eq!(named(1), (409, true));
        assert_eq!(named(0), (409, false));
    }

    #[test]
    fn no_file_is_said_to_be_stored_if_the_folder_is_not_synced() {
        let mut received = [("a".to_owned(), ()), ("b".to_owned(), ())];
        let store = |name: &str, &mut (): &mut ()| match name {
            "a" => Ok(()),
            _ => Err(Failure::exists()),
        };
        let failed = give_names(&mut received, store, || {
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().into_response().status(), 507);
    }
}
