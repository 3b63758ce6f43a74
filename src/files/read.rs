//! What a GET or a HEAD gets: a file, a part of one, a folder, or nothing.

use std::fmt;
use std::path;
use std::path::Path;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use super::Files;
use super::accept;
use super::accept::Wish;
use super::byteranges;
use super::content_type;
use super::miss::Miss;
use super::os;
use super::path::Encoded;
use super::path::FilePath;
use super::preconditions;
use super::preconditions::Precondition;
use super::ranges;
use super::ranges::Selected;
use super::representation::Representation;
use super::root::Opened;
use crate::message::body::Body;
use crate::message::redirect::Redirect;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

impl Files {
    /// The response to a GET or a HEAD.
    pub(super) fn read(&self, request: &Request) -> Response {
        // What is not under the prefix has no part in this folder, its `404.html` neither.
        let Some(below) = self.options.below_prefix(request.uri().path()) else {
            return not_found();
        };
        match self.find(request, below) {
            Ok(response) => response,
            Err(Miss::Nothing) => self.nothing(request),
            Err(Miss::Rejected(rejection)) => rejection.into_response(),
        }
    }

    /// `below`: the path of the request without the prefix.
    fn find(&self, request: &Request, below: &str) -> Result<Response, Miss> {
        if below.is_empty() {
            let last = self.options.prefix.rsplit('/').next();
            return Ok(redirect(last.unwrap_or_default(), request));
        }
        let path = FilePath::parse(below, self.options.serves_hidden)?;
        if path.is_folder {
            return self.folder(request, &path);
        }
        let opened = self.root.find(path.as_path())?;
        if opened.metadata.is_dir() {
            let name = path.names().last().unwrap_or_default();
            return Ok(redirect(Encoded(name), request));
        }
        Ok(self.file(request, path.as_path(), opened))
    }

    /// The response to a request for this file.
    pub(super) fn file(&self, request: &Request, path: &Path, opened: Opened) -> Response {
        let headers = request.headers();
        let path_bytes = os::name_bytes(path.as_os_str());
        let name = last_name(&path_bytes);
        let chosen = Representation::choose(opened, path, headers, &self.root, &self.options);
        let mut fields = chosen.fields(name, &self.options);
        match preconditions::check(request.method(), headers, Some(&chosen.validators)) {
            Precondition::Holds => {}
            Precondition::NotModified => {
                return respond(StatusCode::NOT_MODIFIED, fields, Body::empty());
            }
            Precondition::Failed => {
                return preconditions::failed().into_response();
            }
        }
        chosen.describe(&mut fields, name);
        let length = chosen.length;
        // A range is defined for GET only (RFC 9110 section 14.2).
        let selected = match *request.method() == Method::GET
            && preconditions::range_applies(headers, &chosen.validators)
        {
            true => ranges::select(headers, length),
            false => Selected::Whole,
        };
        let (status, body) = match selected {
            // The length is all that the response to a HEAD needs.
            Selected::Whole if *request.method() == Method::HEAD => {
                (StatusCode::OK, Body::file_part(chosen.file, 0, length))
            }
            Selected::Whole => (StatusCode::OK, chosen.into_body(0, length)),
            Selected::One(range) => {
                let value = ranges::content_range(&range, length);
                fields.insert(header::CONTENT_RANGE, value);
                let body = chosen.into_body(range.start, range.end - range.start);
                (StatusCode::PARTIAL_CONTENT, body)
            }
            Selected::Several(ranges) => {
                let part_type = content_type::of_name(name);
                let part_type = part_type.to_str().unwrap_or_default();
                let (content_type, body) = byteranges::body(chosen.file, ranges, part_type, length);
                fields.insert(header::CONTENT_TYPE, content_type);
                (StatusCode::PARTIAL_CONTENT, body)
            }
            Selected::Unsatisfiable => return unsatisfiable(length),
        };
        respond(status, fields, body)
    }

    /// The response where there is nothing.
    fn nothing(&self, request: &Request) -> Response {
        let is_page = self.options.is_single_page && asks_for_a_page(request);
        let mut response = self.instead(request, is_page);
        if self.options.is_single_page {
            let accept = HeaderValue::from_static("accept");
            response.headers_mut().append(header::VARY, accept);
        }
        response
    }

    /// The page of an application, `404.html`, or a line of text.
    fn instead(&self, request: &Request, is_page: bool) -> Response {
        let regular = |name: &str| {
            let opened = self.root.find(Path::new(name)).ok();
            opened.filter(|opened| opened.metadata.is_file())
        };
        if is_page && let Some(opened) = regular("index.html") {
            return self.file(request, Path::new("index.html"), opened);
        }
        let Some(opened) = regular("404.html") else {
            return not_found();
        };
        let length = opened.metadata.len();
        let nosniff = HeaderValue::from_static("nosniff");
        let fields = [
            (header::CONTENT_TYPE, content_type::of_name(b"404.html")),
            (header::X_CONTENT_TYPE_OPTIONS, nosniff),
        ];
        let body = Body::file_part(opened.file, 0, length);
        (StatusCode::NOT_FOUND, fields, body).into_response()
    }
}

fn not_found() -> Response {
    Rejection::new(StatusCode::NOT_FOUND, "not found").into_response()
}

/// A response of these parts. Unlike the conversion of a tuple, it copies no field.
fn respond(status: StatusCode, fields: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// The last name of a path, which has no separator at its end.
fn last_name(path: &[u8]) -> &[u8] {
    let is_separator = |&byte: &u8| path::is_separator(byte.into());
    let names = path.rsplit(is_separator).next();
    names.unwrap_or_default()
}

/// A redirect of a folder to its path with a slash, with the same query. The location is
/// relative to the path of the request (RFC 9110 section 10.2.2): a proxy may have removed
/// a prefix of it. `./` keeps a name with a colon from being a scheme.
fn redirect(name: impl fmt::Display, request: &Request) -> Response {
    let mut location = format!("./{name}/");
    if let Some(query) = request.uri().query() {
        location.push('?');
        location.push_str(query);
    }
    // 308 would be as right for a GET. Old clients know only 301.
    let status = StatusCode::MOVED_PERMANENTLY;
    (status, Redirect::permanent(location)).into_response()
}

/// The file has none of the bytes that the request asks for (RFC 9110 section 15.5.17).
fn unsatisfiable(length: u64) -> Response {
    let text = format!("the file has {length} bytes, and none of the range");
    Rejection::new(StatusCode::RANGE_NOT_SATISFIABLE, text)
        .with_header(header::CONTENT_RANGE, ranges::unsatisfied_range(length))
        .into_response()
}

/// Whether the client would show a page.
fn asks_for_a_page(request: &Request) -> bool {
    let path = request.uri().path();
    let last = path.rsplit('/').next().unwrap_or_default();
    Wish::of(request.headers(), accept::HTML).is_named() || !last.contains('.')
}
