//! Files: [`Files`] serves a folder.
//!
//! ```text
//!  GET, HEAD                                                     read.rs
//!  path ------> FilePath       decoded once, nothing odd in it   path.rs
//!  FilePath --> Opened         opened beneath the folder         root.rs
//!  Opened ----> Representation the file or its sibling           representation.rs
//!          200, 206, 304, 412, 416                               preconditions.rs, ranges.rs
//!
//!  PUT, POST                                                     upload/
//! ```
//!
//! A folder is its `index.html`, or its listing (`listing/`).

mod accept;
mod body_limits;
mod byteranges;
mod cache_control;
mod content_type;
mod encoding;
mod folder;
mod listing;
mod miss;
mod options;
mod os;
mod pages;
mod path;
mod preconditions;
mod ranges;
mod read;
mod representation;
mod root;
mod upload;

use std::path::Path;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;

use self::options::Options;
use self::pages::Pages;
use self::root::Root;
use self::upload::Uploader;
pub use self::upload::options::Uploads;
use crate::error::Error;
use crate::handler::Handler;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::NoContent;
use crate::message::response::Response;
use crate::route_table::RouteTable;
use crate::route_table::body_limits::BodyLimits;

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
///   `multipart/byteranges`; 416 if the file has none of the bytes. No byte
///   is sent twice, and a set of more than 64 ranges is answered with the whole file.
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
/// a file meanwhile. Relative symbolic links inside the folder work as long as they lead to what
/// is beneath it. Names that begin with a dot, devices, FIFOs and sockets get the response of
/// what does not exist. (To see what a name in a request is, the server opens it, and closes
/// a FIFO or a device at once. A link may lead to a name with a dot.)
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
    pages: Pages,
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
            pages: Pages::default(),
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
    /// counted: `omitted`, exactly as long as the folder has at most 100 000, and no symbolic
    /// link is among the others.
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
    /// its content, as the files of bundlers have: `app.3f2a9c1b.js`, `index-Dx3kQz9T.js`.
    /// Default: no.
    ///
    /// A hash is a part of the name between `.`, `-` or `_`: eight or more hexadecimal
    /// digits, with a letter and a numeral, or eight letters and digits of both cases that
    /// look like no word. The name of a page (`.html`) has none.
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

    /// The limits on the bodies of requests to these files: those of its [`Uploads`]. For a
    /// [`Router`](crate::Router::body_limits) around them; a server whose handler they are
    /// has these limits by itself.
    ///
    /// ```no_run
    /// use farewell::{Files, Router, Uploads};
    ///
    /// let inbox = Files::new("inbox")?.uploads(Uploads::new());
    /// let limits = inbox.body_limits();
    /// let inbox = Router::new().fallback(inbox.under("/inbox")).body_limits(limits);
    /// let routes = Router::new().nest("/inbox", inbox).build()?;
    /// # let _ = routes;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn body_limits(&self) -> BodyLimits {
        let limits = self.uploader.as_ref().map(Uploader::body_limits);
        limits.unwrap_or(body_limits::NO_BODIES)
    }

    /// The methods of the path of a request.
    fn methods(&self, request: &Request) -> &'static str {
        match &self.uploader {
            None => METHODS,
            Some(_) => Uploader::methods(&self.root, &self.options, request),
        }
    }
}

impl Handler for Files {
    fn handle(&self, mut request: Request) -> Response {
        match *request.method() {
            Method::GET | Method::HEAD => return self.read(&request),
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
        rejection
            .with_header(header::ALLOW, methods)
            .into_response()
    }

    fn route_table(&self) -> Option<RouteTable> {
        Some(body_limits::route_table(self.body_limits()))
    }
}

/// The value of `Allow` without uploads.
const METHODS: &str = "GET, HEAD, OPTIONS";
