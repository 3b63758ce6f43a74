//! `PUT`: the body becomes the file of the path (RFC 9110 section 9.3.4).

use std::path::Path;
use std::time::SystemTime;

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::failure::Failure;
use super::store::Store;
use super::store::Stored;
use super::store::Target;
use super::store::validators_of;
use crate::files::options::Options;
use crate::files::os;
use crate::files::path::Encoded;
use crate::files::path::FilePath;
use crate::files::root::Root;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::NoContent;
use crate::message::response::Response;

/// Stores the body as a file.
pub(super) fn answer(
    store: &Store,
    root: &Root,
    options: &Options,
    path: &str,
    request: &mut Request,
) -> Result<Response, Failure> {
    let path = FilePath::parse(path, options.serves_hidden)?;
    if path.is_folder {
        return Err(Failure::is_folder());
    }
    // A part of a file cannot be stored (RFC 9110 section 14.5).
    if request.headers().contains_key(header::CONTENT_RANGE) {
        let why = "a part of a file cannot be stored: send it whole, without Content-Range";
        return Err(Failure::new(StatusCode::BAD_REQUEST, why));
    }
    let length = request.body_mut().length();
    if length.is_some_and(|length| length > store.uploads.bytes_max) {
        return Err(Failure::too_large());
    }
    let whole = path.as_path();
    let parent = whole.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    let folder = store.open_folder(root, parent)?;
    let folder = folder.ok_or_else(Failure::no_folder)?;
    let name = whole.file_name().ok_or_else(Failure::is_folder)?;
    let conditions = request.headers().clone();
    let target = Target {
        root,
        folder: &folder,
        name: Path::new(name),
        path: whole.to_owned(),
        conditions: Some(&conditions),
    };
    store.check(&target)?;
    let mut file = store.receive(request.body_mut(), &folder)?;
    let stored = store.store(&mut file, &target)?;
    os::new_file::sync_folder(&folder)?;

    // The content is stored as it was sent, so the response may say what identifies it
    // (RFC 9110 section 9.3.4).
    let mut fields = HeaderMap::new();
    if let Ok(metadata) = file.file().metadata() {
        let validators = validators_of(metadata.modified().ok(), metadata.len());
        fields.insert(header::ETAG, validators.etag.value());
        if let Some(date) = validators.last_modified(SystemTime::now()) {
            fields.insert(header::LAST_MODIFIED, date);
        }
    }
    Ok(match stored {
        Stored::Replaced => (fields, NoContent).into_response(),
        Stored::Created => {
            // Relative to the path of the request, of which a proxy may have removed a part
            // (RFC 9110 section 10.2.2).
            let location = format!("./{}", Encoded(&os::name_bytes(name)));
            let location = HeaderValue::try_from(location);
            let location = location.expect("it is percent-encoded");
            fields.insert(header::LOCATION, location);
            (StatusCode::CREATED, fields).into_response()
        }
    })
}
