//! `POST` to a folder: the files of a form are stored in it (RFC 7578).
//!
//! All files of a form are received before the first gets its name, so that nothing is
//! stored if the form breaks off, and the same form can be sent again.

use std::collections::HashSet;
use std::path::Path;

use cap_std::fs::Dir;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::failure::Failure;
use super::methods;
use super::new_file::NewFile;
use super::store::Store;
use super::store::Target;
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

/// Stores the files of a form.
pub(super) fn answer(
    store: &Store,
    root: &Root,
    options: &Options,
    path: &str,
    request: &mut Request,
) -> Result<Response, Failure> {
    let path = FilePath::parse(path, options.serves_hidden)?;
    let nothing = || Failure::new(StatusCode::NOT_FOUND, "the folder does not exist");
    let folder = match root.find(path.as_path()) {
        Err(OpenError::NotFound) => return Err(nothing()),
        _ => store.open_folder(root, path.as_path())?,
    };
    let folder = match folder {
        Some(folder) => folder,
        None if path.is_folder => return Err(nothing()),
        None => {
            let why = "method not allowed: forms are sent to a folder, and this is a file";
            return Err(Failure::not_allowed(methods::OF_FILES, why));
        }
    };
    let files_max = store.uploads.files_max;
    let limits = MultipartLimits {
        parts_max: files_max.saturating_add(FIELDS_MAX),
        ..MultipartLimits::default()
    };
    let mut form = request.multipart(limits)?;
    let mut names = HashSet::new();
    let mut received: Vec<(String, NewFile<'_>)> = Vec::new();
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
            true => check_name(&name, options.serves_hidden),
            false => Err(Failure::bad_name("the form has two files of this name")),
        };
        let file = file
            .and_then(|()| store.check(&target(root, &path, &folder, &name)))
            .and_then(|()| store.receive(&mut part, &folder))
            .map_err(|failure| failure.of_file(&name, 0))?;
        received.push((name, file));
    }
    if received.is_empty() {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "the form has no file",
        ));
    }
    for (stored, (name, file)) in received.iter_mut().enumerate() {
        let named = store.store(file, &target(root, &path, &folder, name));
        named.map_err(|failure| failure.of_file(name, stored))?;
    }
    os::new_file::sync_folder(&folder)?;

    let mut location = format!("{}/{}", options.prefix, Encoded(path.as_bytes()));
    if !location.ends_with('/') {
        location.push('/');
    }
    let names = received.iter().map(|(name, _)| name.as_str());
    Ok(respond(request, location, names))
}

/// Where a file of this name is stored.
fn target<'a>(root: &'a Root, path: &FilePath<'_>, folder: &'a Dir, name: &'a str) -> Target<'a> {
    Target {
        root,
        folder,
        name: Path::new(name),
        path: path.as_path().join(name),
        conditions: None,
    }
}

/// The response to a form whose files are stored.
fn respond<'a>(
    request: &Request,
    folder: String,
    names: impl Iterator<Item = &'a str>,
) -> Response {
    let headers = request.headers();
    if accepts(headers, b"text/html") {
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
    let (content_type, text) = match accepts(headers, b"application/json") {
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

/// Checks a name that a client has chosen freely.
fn check_name(name: &str, serves_hidden: bool) -> Result<(), Failure> {
    if name.starts_with('.') && !serves_hidden {
        return Err(Failure::hidden_name());
    }
    let is_odd = name.contains(|c: char| c.is_control()) || matches!(name, "." | "..");
    match is_odd || name.contains('/') || os::name_of_bytes(name.as_bytes()).is_none() {
        true => Err(Failure::bad_name("no file can have this name")),
        false => Ok(()),
    }
}

/// Whether `Accept` names this type.
fn accepts(headers: &HeaderMap, media_type: &[u8]) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        let mut windows = value.as_bytes().windows(media_type.len());
        windows.any(|part| part.eq_ignore_ascii_case(media_type))
    })
}
