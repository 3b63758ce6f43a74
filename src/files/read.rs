//! What a GET or a HEAD gets: a file, a part of one, a folder, or nothing.

use std::path::Path;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use super::Files;
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
        match self.find(request) {
            Ok(response) => response,
            Err(Miss::Nothing) => self.nothing(request),
            Err(Miss::Rejected(rejection)) => rejection.into_response(),
        }
    }

    fn find(&self, request: &Request) -> Result<Response, Miss> {
        let path = request.uri().path();
        let below = path.strip_prefix(&*self.options.prefix);
        let below = below.ok_or(Miss::Nothing)?;
        if below.is_empty() {
            return Ok(redirect(format!("{path}/"), request));
        }
        let path = FilePath::parse(below, self.options.serves_hidden)?;
        let opened = self.root.find(path.as_path())?;
        match (opened.metadata.is_dir(), path.is_folder) {
            (true, true) => self.folder(request, &path, opened),
            (true, false) => {
                let names = Encoded(path.as_bytes());
                let location = format!("{}/{names}/", self.options.prefix);
                Ok(redirect(location, request))
            }
            (false, true) => Err(Miss::Nothing),
            (false, false) => Ok(self.file(request, path.as_path(), opened)),
        }
    }

    /// The response to a request for this file.
    pub(super) fn file(&self, request: &Request, path: &Path, opened: Opened) -> Response {
        let headers = request.headers();
        let name = os::name_bytes(path.file_name().unwrap_or_default());
        let chosen =
            Representation::choose(opened, path, &name, headers, &self.root, &self.options);
        let mut fields = chosen.fields(&name, &self.options);
        match preconditions::check(request.method(), headers, Some(&chosen.validators)) {
            Precondition::Holds => {}
            Precondition::NotModified => {
                return respond(StatusCode::NOT_MODIFIED, fields, Body::empty());
            }
            Precondition::Failed => {
                let text = "the file is not as the request's conditions say";
                return Rejection::new(StatusCode::PRECONDITION_FAILED, text).into_response();
            }
        }
        chosen.describe(&mut fields);
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
                let part_type = chosen.content_type.to_str().unwrap_or_default();
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
        if self.options.is_single_page && asks_for_a_page(request) {
            let index = Path::new("index.html");
            if let Ok(opened) = self.root.find(index)
                && opened.metadata.is_file()
            {
                return self.file(request, index, opened);
            }
        }
        let page = Path::new("404.html");
        match self.root.find(page) {
            Ok(opened) if opened.metadata.is_file() => {
                let length = opened.metadata.len();
                let fields = [(header::CONTENT_TYPE, content_type::of_name(b"404.html"))];
                let body = Body::file_part(opened.file, 0, length);
                (StatusCode::NOT_FOUND, fields, body).into_response()
            }
            _ => Rejection::new(StatusCode::NOT_FOUND, "not found").into_response(),
        }
    }
}

/// A response of these parts. Unlike the conversion of a tuple, it copies no field.
fn respond(status: StatusCode, fields: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// A redirect to the same query at another path.
fn redirect(mut location: String, request: &Request) -> Response {
    if let Some(query) = request.uri().query() {
        location.push('?');
        location.push_str(query);
    }
    let status = StatusCode::MOVED_PERMANENTLY;
    (status, Redirect::permanent(location)).into_response()
}

/// The file has none of the bytes that the request asks for (RFC 9110 section 15.5.17).
fn unsatisfiable(length: u64) -> Response {
    let text = format!("the file has {length} bytes, and none of the range");
    let rejection = Rejection::new(StatusCode::RANGE_NOT_SATISFIABLE, text);
    let fields = [(header::CONTENT_RANGE, ranges::unsatisfied_range(length))];
    (fields, rejection).into_response()
}

/// Whether the client would show a page.
fn asks_for_a_page(request: &Request) -> bool {
    let accept = request.headers().get_all(header::ACCEPT);
    let names_html = |value: &HeaderValue| value.as_bytes().windows(9).any(|at| at == b"text/html");
    let path = request.uri().path();
    let last = path.rsplit('/').next().unwrap_or_default();
    accept.iter().any(names_html) || !last.contains('.')
}
