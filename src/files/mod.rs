//! Files: [`Files`] serves a folder.
//!
//! ```text
//!  path ------> FilePath       decoded once, nothing odd in it   path.rs
//!  FilePath --> Opened         opened beneath the folder         root.rs
//!  Opened ----> Representation the file or its sibling           representation.rs
//!          200, 206, 304, 412, 416                               preconditions.rs, ranges.rs
//! ```
//!
//! A folder is its `index.html`, or its listing (`listing/`).

mod byteranges;
mod cache_control;
mod content_type;
mod encoding;
mod listing;
mod options;
mod os;
mod path;
mod preconditions;
mod ranges;
mod representation;
mod root;
mod upload;

use std::ffi::OsStr;
use std::path::Path;

use cap_std::fs::Dir;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use self::listing::Listing;
use self::options::Options;
use self::path::BadPath;
use self::path::Encoded;
use self::path::FilePath;
use self::preconditions::Precondition;
use self::ranges::Selected;
use self::representation::Representation;
use self::root::OpenError;
use self::root::Opened;
use self::root::Root;
use self::upload::Uploader;
pub use self::upload::options::Uploads;
use crate::error::Error;
use crate::handler::Handler;
use crate::message::body::Body;
use crate::message::redirect::Redirect;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::NoContent;
use crate::message::response::Response;
use crate::route_table::RouteTable;

/// Serves the files of a folder: a [`Handler`] of its own, or of a
/// [`Router`](crate::Router).
///
/// ```no_run
/// use farewell::{Config, Files, Router, Server};
///
/// let routes = Router::new()
///     .get("/api/time", |_: farewell::Request| "noon")
///     .fallback(Files::new("public")?)
///     .build()?;
/// Server::bind("127.0.0.1:8080", Config::default())?.serve(routes)?;
/// # Ok::<(), farewell::Error>(())
/// ```
///
/// # Responses
///
/// - **`GET` and `HEAD`** of a file: 200 with `Content-Type` by the extension of the name
///   (text is said to be UTF-8), a strong `ETag` of modification time and length,
///   `Last-Modified`, and `Accept-Ranges`.
/// - **Conditions** (RFC 9110 section 13): `If-Match`, `If-None-Match`,
///   `If-Modified-Since`, `If-Unmodified-Since`, `If-Range`; 304 or 412.
/// - **Ranges** (RFC 9110 section 14): one is a 206, several are a 206 of
///   `multipart/byteranges`; 416 if the file has none of the bytes. A set of ranges that
///   costs more than the whole file is answered with the whole file.
/// - **A folder** is redirected to its path with a slash, and is its `index.html` there. If
///   it has none, the response is 404, or a page that [lists](Self::listing) it.
/// - **404** if there is nothing; with the content of `404.html`, if the served folder has
///   one. 403 if the program may not read it, 400 for a path that cannot name a file, 405
///   for every other method, with `Allow`.
///
/// # What is never served
///
/// Nothing outside the folder. The kernel opens each file beneath the open folder, so that
/// neither `..` in any encoding nor a symbolic link leads out, not even a link that replaces
/// a file meanwhile. Symbolic links inside the folder work as long as they lead to what is
/// beneath it. Names that begin with a dot, devices, FIFOs and sockets are as if they did
/// not exist.
///
/// # While a file is sent
///
/// The kernel sends a file to its client: no memory of the program grows with the file, and
/// a slow client holds no worker. A file that becomes shorter meanwhile is cut, so that the
/// client can tell. A file that is replaced by another (as editors and `mv` do) is sent as
/// it was. A file that is changed in place is sent with a mixture of both: write files
/// anew.
#[derive(Debug)]
pub struct Files {
    root: Root,
    options: Options,
    uploader: Option<Uploader>,
}

/// Why a request gets no file.
enum Miss {
    /// There is nothing.
    Nothing,
    Rejected(Rejection),
}

impl Files {
    /// Serves `folder`, which is opened now, and stays open: if it is renamed, it is served
    /// under its new name.
    ///
    /// # Errors
    ///
    /// The folder does not exist, is none, or cannot be opened.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let context = || format!("cannot serve the folder {}", folder.display());
        Ok(Self {
            root: Root::open(folder).map_err(|error| Error::io(context(), error))?,
            options: Options::default(),
            uploader: None,
        })
    }

    /// Serves the folder under this prefix: `/static/app.js` is its file `app.js`. The
    /// prefix begins with `/` and does not end with one. Default: no prefix.
    ///
    /// A request whose path does not begin with the prefix gets a 404. The prefix is
    /// compared as the client sent it, before percent-decoding, as the paths of a
    /// [`Router`](crate::Router) are.
    ///
    /// ```no_run
    /// # use farewell::{Files, Router};
    /// let assets = Router::new().fallback(Files::new("assets")?.under("/static"));
    /// let routes = Router::new().nest("/static", assets).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        prefix
            .trim_end_matches('/')
            .clone_into(&mut self.options.prefix);
        self
    }

    /// Shows what a folder without `index.html` has. Default: no, such a folder is a 404.
    ///
    /// The listing is a page without scripts that loads nothing, or JSON for a client whose
    /// `Accept` prefers `application/json`:
    ///
    /// ```json
    /// {
    ///   "entries": [
    ///     {"name": "a b.txt", "kind": "file", "bytes": 5,
    ///      "modified": "2026-01-31T12:00:00Z", "url": "./a%20b.txt"},
    ///     {"name": "c", "kind": "folder", "bytes": null,
    ///      "modified": "2026-01-31T12:00:00Z", "url": "./c/"}
    ///   ],
    ///   "omitted": 0,
    ///   "omitted_is_exact": true
    /// }
    /// ```
    ///
    /// A `url` is relative to that of the folder, and has every byte of a name; in `name`
    /// bytes that are not UTF-8 are U+FFFD. `?sort=name`, `size` or `date` and `order=asc`
    /// or `desc` sort both. Folders come first. Names are compared without case, and their
    /// digits as numbers.
    ///
    /// At most 10 000 entries are shown, the first that the system gives. The others are
    /// counted: `omitted`, exactly as long as the folder has at most 100 000.
    #[must_use]
    pub fn listing(mut self, lists: bool) -> Self {
        self.options.lists_folders = lists;
        self
    }

    /// Serves names that begin with a dot. Default: no.
    #[must_use]
    pub fn hidden(mut self, serves: bool) -> Self {
        self.options.serves_hidden = serves;
        self
    }

    /// Follows symbolic links that lead out of the folder. Default: no.
    ///
    /// Every file that a link in the folder leads to is then served, if the program may
    /// read it.
    #[must_use]
    pub fn follow_symlinks(mut self, follows: bool) -> Self {
        self.root.follow_symlinks(follows);
        self
    }

    /// Sends `app.js.zst`, `app.js.br` or `app.js.gz` in place of `app.js`, where it exists
    /// and the client accepts it (RFC 9110 section 12.5.3). Default: no.
    ///
    /// The times of the two files are not compared: make the compressed files anew whenever
    /// a file changes.
    #[must_use]
    pub fn precompressed(mut self, serves: bool) -> Self {
        self.options.serves_precompressed = serves;
        self
    }

    /// Answers with the `index.html` of the folder where there is nothing: for an
    /// application of one page that reads the path itself. Default: no.
    ///
    /// Only for a client that asks for a page: `Accept` names `text/html`, or the last name
    /// of the path has no dot. A script or a picture that is missing stays a 404.
    #[must_use]
    pub fn single_page(mut self, is_single_page: bool) -> Self {
        self.options.is_single_page = is_single_page;
        self
    }

    /// Sends `Cache-Control` (RFC 9111 section 5.2) with every file: `no-cache`,
    /// `public, max-age=3600`. Default: none, so that clients decide by `Last-Modified`.
    #[must_use]
    pub fn cache_control(mut self, value: HeaderValue) -> Self {
        self.options.cache_control = Some(value);
        self
    }

    /// Lets clients keep a file for ever (`immutable`, RFC 8246) if its name has a hash of
    /// its content, as the files of bundlers have: `app.3f2a9c1b.js`, `index-DiwrgTda.js`.
    /// Default: no.
    ///
    /// A hash is a part of the name between `.`, `-` or `_`: eight or more hexadecimal
    /// digits, with a letter and a numeral, or eight letters and digits of both cases.
    #[must_use]
    pub fn immutable_if_hashed(mut self, is_kept: bool) -> Self {
        self.options.caches_hashed_names = is_kept;
        self
    }

    /// Lets clients store files in the folder, by `PUT` and by forms: see [`Uploads`].
    /// Default: no, both are a 405.
    #[must_use]
    pub fn uploads(mut self, uploads: Uploads) -> Self {
        self.uploader = Some(Uploader::new(uploads, &self.root));
        self
    }

    /// The methods of the path of a request.
    fn methods(&self, request: &Request) -> &'static str {
        match &self.uploader {
            None => METHODS,
            Some(_) => Uploader::methods(&self.root, &self.options, request),
        }
    }

    fn read(&self, request: &Request) -> Result<Response, Miss> {
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

    fn folder(
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

    /// The response to a request for this file.
    fn file(&self, request: &Request, path: &Path, opened: Opened) -> Response {
        let headers = request.headers();
        let name = os::name_bytes(path.file_name().unwrap_or_default());
        let chosen =
            Representation::choose(opened, path, &name, headers, &self.root, &self.options);
        let mut fields = chosen.fields(&name, &self.options);
        match preconditions::check(request.method(), headers, Some(&chosen.validators)) {
            Precondition::Holds => {}
            Precondition::NotModified => {
                return (StatusCode::NOT_MODIFIED, fields, Body::empty()).into_response();
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
        (status, fields, body).into_response()
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

impl Handler for Files {
    fn handle(&self, mut request: Request) -> Response {
        match *request.method() {
            Method::GET | Method::HEAD => {
                return match self.read(&request) {
                    Ok(response) => response,
                    Err(Miss::Nothing) => self.nothing(&request),
                    Err(Miss::Rejected(rejection)) => rejection.into_response(),
                };
            }
            Method::OPTIONS => {
                let methods = self.methods(&request);
                return ([(header::ALLOW, methods)], NoContent).into_response();
            }
            _ => {}
        }
        if let Some(uploader) = &self.uploader
            && let Some(response) = uploader.answer(&self.root, &self.options, &mut request)
        {
            return response;
        }
        let methods = self.methods(&request);
        let text = format!("method not allowed: the path allows {methods}");
        let rejection = Rejection::new(StatusCode::METHOD_NOT_ALLOWED, text);
        ([(header::ALLOW, methods)], rejection).into_response()
    }

    fn route_table(&self) -> Option<RouteTable> {
        self.uploader.as_ref().map(Uploader::route_table)
    }
}

/// The value of `Allow` without uploads.
const METHODS: &str = "GET, HEAD, OPTIONS";

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

impl From<BadPath> for Miss {
    fn from(bad: BadPath) -> Self {
        bad.rejection().map_or(Self::Nothing, Self::Rejected)
    }
}

impl From<OpenError> for Miss {
    fn from(error: OpenError) -> Self {
        error.rejection().map_or(Self::Nothing, Self::Rejected)
    }
}
