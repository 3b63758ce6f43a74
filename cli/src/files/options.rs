//! The options of `farewell DIR`.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::Args;
use farewell::Uploads;
use http::HeaderValue;

use super::super::config::Source;
use super::super::config::Sources;
use super::super::values::bytes;
use super::super::values::flag;
use super::cors::Origin;
use super::cors::origin;
use super::fields::Field;
use super::fields::field;

/// What a folder is served with. Without DIR, each of them is an error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of a folder")]
pub(crate) struct FileOptions {
    /// Do not list folders: one without an index.html is a 404.
    #[arg(long, env = "FAREWELL_NO_LISTING", value_parser = flag)]
    pub(super) no_listing: bool,

    /// Serve and list names that begin with a dot.
    #[arg(long, env = "FAREWELL_HIDDEN", value_parser = flag)]
    pub(super) hidden: bool,

    /// Follow symbolic links that lead out of DIR. Each file that they lead to is
    /// served, if the program may read it.
    #[arg(long, env = "FAREWELL_FOLLOW", value_parser = flag)]
    pub(super) follow: bool,

    /// Send app.js.zst, app.js.br or app.js.gz in place of app.js, where it exists
    /// and the client accepts it.
    #[arg(long, env = "FAREWELL_PRECOMPRESSED", value_parser = flag)]
    pub(super) precompressed: bool,

    /// Answer with the index.html of DIR where there is no file, for an
    /// application of one page that reads the path itself.
    #[arg(long, env = "FAREWELL_SPA", value_parser = flag)]
    pub(super) spa: bool,

    /// Send this field Cache-Control with each file, as in no-cache or
    /// max-age=3600 [default: none].
    #[arg(long, value_name = "VALUE", env = "FAREWELL_CACHE_CONTROL", value_parser = cache_control)]
    pub(super) cache_control: Option<HeaderValue>,

    /// Let clients keep a file for ever if its name has a hash of its content, as
    /// in app.3f2a9c1b.js.
    #[arg(long, env = "FAREWELL_IMMUTABLE", value_parser = flag)]
    pub(super) immutable: bool,

    /// Let the pages of this origin read the files, as in https://example.org; with
    /// --cors alone, the pages of every origin.
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "FAREWELL_CORS",
        value_parser = origin,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "*"
    )]
    pub(super) cors: Option<Origin>,

    /// Send this field with each response of the folder, errors included, unless
    /// the response has a field of this name. Repeatable; in the environment, each
    /// field has a line.
    #[arg(
        long,
        value_name = "NAME: VALUE",
        env = "FAREWELL_HEADER",
        value_parser = field,
        value_delimiter = '\n'
    )]
    pub(super) header: Vec<Field>,

    /// Ask for a name and a password (basic authentication). Each line of the
    /// file is NAME:HASH, as "htpasswd -nB NAME" prints it. /healthz and /readyz stay open.
    #[arg(long, value_name = "FILE", env = "FAREWELL_AUTH_FILE")]
    pub(super) auth_file: Option<PathBuf>,

    /// Let clients store files: curl -T FILE, or forms of web pages. With a file of
    /// the same name, the answer is a 409.
    #[arg(long, env = "FAREWELL_UPLOAD", value_parser = flag)]
    pub(super) upload: bool,

    /// Let an upload replace a file of its name.
    #[arg(long, env = "FAREWELL_UPLOAD_OVERWRITE", value_parser = flag)]
    pub(super) upload_overwrite: bool,

    /// Largest file that can be uploaded; a larger one gets a 413 [default: 1GiB].
    #[arg(long, value_name = "SIZE", env = "FAREWELL_UPLOAD_MAX", value_parser = upload_max)]
    pub(super) upload_max: Option<u64>,

    /// Open the folder in the browser of this machine.
    #[arg(long, env = "FAREWELL_OPEN", value_parser = flag)]
    pub(crate) open: bool,

    /// Print a QR code of the URL, for a phone in the same network.
    #[arg(long, env = "FAREWELL_QR", value_parser = flag)]
    pub(crate) qr: bool,
}

impl FileOptions {
    /// An option that means nothing without another; `name` gives the name of a field's
    /// option.
    pub(crate) fn conflict(&self, name: impl Fn(&str) -> String) -> Option<String> {
        let alone = match (self.upload, self.upload_overwrite, self.upload_max) {
            (false, true, _) => "upload_overwrite",
            (false, _, Some(_)) => "upload_max",
            _ => return None,
        };
        let (alone, upload) = (name(alone), name("upload"));
        Some(format!("{alone} needs {upload} (see farewell --help)"))
    }

    /// How clients may store files; `None` without `--upload`.
    pub(super) fn uploads(&self) -> Option<Uploads> {
        let uploads = Uploads::new().overwrite(self.upload_overwrite);
        let uploads = match self.upload_max {
            Some(bytes) => uploads.bytes_max(bytes),
            None => uploads,
        };
        self.upload.then_some(uploads)
    }

    /// The field of one option that is set, whether on the command line, by a variable or in
    /// a file.
    pub(crate) fn any_set(matches: &ArgMatches, sources: &Sources) -> Option<String> {
        let command = Self::augment_args(clap::Command::new("folder"));
        let is_set = |id: &&str| {
            let is_default = *sources.of(id) == Source::Default;
            let is_off = matches!(matches.try_get_one::<bool>(id), Ok(Some(false)));
            !is_default && !is_off
        };
        let mut ids = command
            .get_arguments()
            .map(|argument| argument.get_id().as_str());
        ids.find(is_set).map(str::to_owned)
    }
}

fn upload_max(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err(
            "no file would be taken: write a size, as in 1GiB, or leave out --upload".to_owned(),
        ),
        max => Ok(max),
    }
}

fn cache_control(text: &str) -> Result<HeaderValue, String> {
    let right = "write it as no-cache, or as max-age=3600";
    match HeaderValue::from_str(text) {
        Ok(value) if !text.trim().is_empty() && text.is_ascii() => Ok(value),
        _ => Err(right.to_owned()),
    }
}
