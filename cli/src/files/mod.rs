//! `farewell DIR`: the folder with all that its options add.
//!
//! ```text
//!  request --> /healthz, /readyz, /shutdown and the like, without --admin
//!         \--> preflight (cors.rs) --> password (auth/) --> Files of the library
//!                                 response <-- --cors, --header (fields.rs) <--/
//! ```

mod auth;
mod cors;
mod fields;
mod options;
mod urls;

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use farewell::Files;
use farewell::Handler;
use farewell::Request;
use farewell::Response;
use farewell::Router;

use self::auth::Access;
use self::cors::Origin;
use self::fields::Field;
pub(super) use self::options::FileOptions;
pub(super) use self::urls::Urls;
use super::args::Options;
use super::failure::Failure;
use super::usage;

/// A folder that is served.
pub(super) struct Folder {
    path: PathBuf,
    files: Files,
    access: Option<Access>,
    cors: Option<Origin>,
    fields: Vec<Field>,
}

impl Folder {
    /// Opens the folder; `None` without DIR.
    pub(super) fn open(options: &Options) -> Result<Option<Self>, Failure> {
        let Some(path) = &options.dir else {
            return Ok(None);
        };
        let of = &options.files;
        let files = Files::new(path).map_err(|error| cannot_serve(path, &error))?;
        check_permissions(path, !of.no_listing).map_err(|error| {
            Failure::error(format!(
                "cannot serve the folder {}: {error}",
                path.display()
            ))
        })?;
        let mut files = files
            .listing(!of.no_listing)
            .hidden(of.hidden)
            .follow_symlinks(of.follow)
            .precompressed(of.precompressed)
            .single_page(of.spa)
            .immutable_if_hashed(of.immutable);
        if let Some(value) = &of.cache_control {
            let lets_others_keep = |part: &str| {
                value
                    .as_bytes()
                    .windows(part.len())
                    .any(|at| at.eq_ignore_ascii_case(part.as_bytes()))
            };
            if of.auth_file.is_some() && ["public", "s-maxage"].into_iter().any(lets_others_keep) {
                log::warn!(
                    "{} lets shared caches give files to clients without a password: write private",
                    options.name("cache_control")
                );
            }
            files = files.cache_control(value.clone());
        }
        if let Some(uploads) = of.uploads() {
            files = files.uploads(uploads);
        }
        let access = of.auth_file.as_deref();
        let access = access.map(|file| Access::from_file(file, path, options));
        Ok(Some(Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            files,
            access: access.transpose()?,
            cors: of.cors.clone(),
            fields: of.header.clone(),
        }))
    }

    /// The path for people.
    pub(super) fn shown(&self) -> String {
        let path = self.path.display().to_string();
        // A control character could be a command for the terminal.
        match path.chars().any(char::is_control) {
            true => path.escape_debug().to_string(),
            false => path,
        }
    }

    /// The folder as a router. Routes come before files of the same name.
    pub(super) fn router(self) -> Router {
        let limits = self.files.body_limits();
        let folder = move |request: Request| self.respond(request);
        Router::new().fallback(folder).body_limits(limits)
    }

    fn respond(&self, request: Request) -> Response {
        let preflight = self.cors.as_ref().and_then(|cors| cors.preflight(&request));
        let mut response = match preflight {
            Some(response) => response,
            None => {
                let refusal = self
                    .access
                    .as_ref()
                    .and_then(|access| access.refusal(&request));
                let mut response = refusal.unwrap_or_else(|| self.files.handle(request));
                if let Some(cors) = &self.cors {
                    cors.allow(response.headers_mut());
                }
                response
            }
        };
        fields::add(&self.fields, response.headers_mut());
        response
    }
}

/// Without this check, a folder that the program may not enter or list would be found only
/// when each of its files is a 403.
fn check_permissions(folder: &Path, lists: bool) -> io::Result<()> {
    fs::metadata(folder.join("."))?;
    if lists {
        fs::read_dir(folder)?;
    }
    Ok(())
}

/// The folder is not there, is none, or cannot be opened; or its name is a command with a
/// typing error.
fn cannot_serve(path: &Path, error: &farewell::Error) -> Failure {
    match usage::closest_command(path) {
        Some(command) if !path.exists() => {
            Failure::usage(format!("{error}; did you mean {command}?"))
        }
        _ => Failure::error(error.to_string()),
    }
}
