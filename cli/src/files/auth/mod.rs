//! `--auth-file`: a name and a password for the folder (RFC 7617).
//!
//! ```text
//!  Authorization --> seen before? (accepted.rs) --yes--> served
//!                          | no
//!                    a turn (turns.rs) --> the library --> hash (users.rs, hash.rs)
//! ```
//!
//! The check of a password takes tens of milliseconds of a core, on purpose: that is
//! what a hash is for. So few are checked at once, and what was right is remembered.

mod accepted;
mod hash;
mod turns;
mod users;

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::thread;

use farewell::Handler;
use farewell::IntoResponse;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use http::StatusCode;
use http::header;

use self::accepted::Accepted;
use self::turns::Turns;
use self::users::Users;
use super::super::args::Options;
use super::super::failure::Failure;
use super::super::os;

/// Most bytes of the file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a browser shows when it asks for the password.
const REALM: &str = "farewell";

/// The library's layer for basic authentication.
type Layer = Box<dyn Fn(Request, &dyn Handler) -> Response + Send + Sync>;

/// Which requests may read the folder.
pub(super) struct Access {
    layer: Layer,
    accepted: Accepted,
    turns: Turns,
}

impl Access {
    /// Reads the users, and warns if others can read the file too.
    pub(super) fn from_file(
        file: &Path,
        folder: &Path,
        options: &Options,
    ) -> Result<Self, Failure> {
        let place = format!("{} ({})", file.display(), options.name("auth_file"));
        let text = read(file).map_err(|error| {
            Failure::error(format!("cannot read the users in {place}: {error}"))
        })?;
        let users = Users::parse(&text)
            .map_err(|problem| Failure::usage(format!("the users in {place}: {problem}")))?;
        if is_beneath(file, folder) {
            log::warn!("{place} is in the folder that is served: move it elsewhere");
        }
        let layer = farewell::basic_auth(REALM, move |name, password| users.has(name, password))
            .map_err(|error| Failure::error(error.to_string()))?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            layer: Box::new(layer),
            accepted: Accepted::new(),
            turns: Turns::new(cores, options.config().workers),
        })
    }

    /// The response to a request that may not read the folder.
    pub(super) fn refusal(&self, request: &Request) -> Option<Response> {
        let fields = request.headers().get_all(header::AUTHORIZATION);
        let mut fields = fields.iter().peekable();
        // Without credentials nothing is computed.
        let Some(&first) = fields.peek() else {
            return self.ask(request);
        };
        let tag = self.accepted.tag(first.as_bytes());
        let is_single = fields.count() == 1;
        if is_single && self.accepted.contains(&tag) {
            return None;
        }
        let Some(_turn) = self.turns.wait() else {
            let text = "too many passwords are being checked: try again";
            let busy = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, text);
            return Some(busy.with_header(header::RETRY_AFTER, "1").into_response());
        };
        // Another request with the same password may have had its turn meanwhile.
        if is_single && self.accepted.contains(&tag) {
            return None;
        }
        let refusal = self.ask(request);
        if refusal.is_none() {
            self.accepted.insert(tag);
        }
        refusal
    }

    /// Asks the library with a request that has the same credentials and nothing else, so
    /// that the turn ends before the request itself is handled.
    fn ask(&self, request: &Request) -> Option<Response> {
        let mut asked = http::Request::new(());
        for value in request.headers().get_all(header::AUTHORIZATION) {
            asked
                .headers_mut()
                .append(header::AUTHORIZATION, value.clone());
        }
        let accept = |_: Request| StatusCode::OK;
        let response = (self.layer)(Request::from_http(asked), &accept);
        (response.status() != StatusCode::OK).then_some(response)
    }
}

/// Reads the file, and warns if each user of the machine can.
fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if os::is_readable_by_all(&file.metadata()?) {
        log::warn!(
            "{} can be read by every user of this machine: chmod o-r",
            path.display()
        );
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(io::Error::other("it has more than 1 MiB")),
        false => Ok(text),
    }
}

fn is_beneath(file: &Path, folder: &Path) -> bool {
    match (file.canonicalize(), folder.canonicalize()) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => false,
    }
}
