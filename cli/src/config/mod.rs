//! Where the values of the options come from: the command line, the environment, a file, or
//! the defaults, in this order. `--check` shows it.
//!
//! ```text
//!  arguments, environment --> clap --> --config FILE? --> file.rs: TOML, each value checked
//!                                                           |
//!  arguments, environment, values of the file as defaults --> clap --> Options, Sources
//! ```
//!
//! The values of the file go into clap as the defaults of the options. So each of them has
//! the precedence of a default and the parser of its option, and an option needs nothing
//! else to be in the file.

pub(super) mod check;
mod file;
mod sources;

use std::any::TypeId;
use std::path::PathBuf;

use clap::Arg;
use clap::ArgAction;

pub(super) use self::file::ConfigFile;
pub(super) use self::sources::Source;
pub(super) use self::sources::Sources;

/// Options that a file cannot set: they say what is done with the file.
const NOT_IN_FILES: &[&str] = &["check", "config", "help", "version"];

/// The name of an option in the file.
fn key(id: &str) -> String {
    id.replace('_', "-")
}

fn is_flag(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::SetTrue)
}

/// Whether the option may be given several times.
fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}

fn is_of_type<T: 'static>(argument: &Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<T>()
}

/// The part of a value that is a path, and what is before it: `unix:` of an address.
fn path_in<'a>(argument: &Arg, value: &'a str) -> Option<(&'static str, &'a str)> {
    const UNIX: &str = "unix:";

    if is_of_type::<PathBuf>(argument) {
        return Some(("", value));
    }
    let path = value.strip_prefix(UNIX)?;
    is_of_type::<String>(argument).then_some((UNIX, path))
}
