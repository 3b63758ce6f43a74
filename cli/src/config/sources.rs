//! Where each value comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::ConfigFile;
use super::key;

/// Where the value of an option comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    CommandLine,
    /// The environment variable with this name.
    Variable(String),
    /// The line of a file.
    File(PathBuf, usize),
    Default,
}

/// As `--check` shows it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Where the value of each option comes from, and the values as they were written.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// By the names of the fields. What is not here has no value.
    values: BTreeMap<String, (Source, Vec<OsString>)>,
    /// The file, if there is one.
    file: Option<PathBuf>,
}

impl Sources {
    pub(crate) fn new(matches: &ArgMatches, file: Option<&ConfigFile>) -> Self {
        let mut values = BTreeMap::new();
        for id in matches.ids() {
            // A group of options has no value.
            let Ok(Some(raw)) = matches.try_get_raw(id.as_str()) else {
                continue;
            };
            let raw: Vec<OsString> = raw.map(ToOwned::to_owned).collect();
            let source = match matches.value_source(id.as_str()) {
                Some(ValueSource::CommandLine) => Source::CommandLine,
                Some(ValueSource::EnvVariable) => Source::Variable(variable(id.as_str())),
                _ => file.map_or(Source::Default, |file| file.source(id.as_str())),
            };
            values.insert(id.to_string(), (source, raw));
        }
        Self {
            values,
            file: file.map(|file| file.path().to_owned()),
        }
    }

    /// Where the value of this field's option comes from.
    pub(crate) fn of(&self, field: &str) -> &Source {
        let source = self.values.get(field).map(|(source, _)| source);
        source.unwrap_or(&Source::Default)
    }

    /// The values as they were written; none if the option has no value.
    pub(super) fn raw(&self, field: &str) -> &[OsString] {
        self.values.get(field).map_or(&[], |(_, raw)| raw)
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// How a message names the option of this field, so that it can be found where it is
    /// set: `--linger`, `FAREWELL_LINGER`, or `linger (farewell.toml:3)`.
    pub(crate) fn name(&self, field: &str) -> String {
        match self.of(field) {
            Source::Variable(name) => name.clone(),
            source @ Source::File(..) => format!("{} ({source})", key(field)),
            Source::CommandLine | Source::Default => format!("--{}", key(field)),
        }
    }
}

fn variable(field: &str) -> String {
    format!("FAREWELL_{}", field.to_uppercase())
}
