//! `--check`: finds what is wrong without serving, and shows the settings in effect.
//!
//! The output is a file for `--config` with the same effect. What is a default is a comment in
//! it, so that a later version may have another default.

use std::ffi::OsString;
use std::fmt::Write;
use std::path;
use std::path::PathBuf;

use clap::Arg;
use clap::CommandFactory;

use super::NOT_IN_FILES;
use super::Source;
use super::is_flag;
use super::is_list;
use super::is_of_type;
use super::key;
use super::path_in;
use crate::access_log;
use crate::admin;
use crate::args::Options;
use crate::bind;
use crate::failure::Failure;
use crate::files::Folder;
use crate::stop_access;

/// The exit code if anything is wrong.
const WRONG: u8 = 2;

/// Where the sources begin in a line, if the setting is shorter.
const SOURCE_COLUMN: usize = 44;

/// Checks all that can be checked without serving. Returns the settings as text.
pub(crate) fn check(options: &Options) -> Result<String, Failure> {
    let check = || {
        let config = options.config();
        config
            .validate()
            .map_err(|error| Failure::from_library(&error, options))?;
        stop_access::by_token(options)?;
        Folder::open(options)?;
        bind::check("listen", &options.listen, options)?;
        admin::check(options)?;
        access_log::check(options)
    };
    check().map_err(|failure| Failure {
        code: WRONG,
        ..failure
    })?;
    Ok(settings(options))
}

fn settings(options: &Options) -> String {
    let mut text = format!("# The settings of farewell {}. ", env!("CARGO_PKG_VERSION"));
    text += "What is not set, and has its default, is a comment.\n";
    if let Some(file) = options.sources.file() {
        text += &commented(format_args!("Configuration: {}", file.display()));
    }
    if stop_access::is_token_in_environment() {
        text += &commented(format_args!(
            "The token of /shutdown is in {}.",
            stop_access::TOKEN_VARIABLE
        ));
    }
    let command = Options::command();
    let mut heading = None;
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        if NOT_IN_FILES.contains(&id) {
            continue;
        }
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            text += &format!("\n# {}\n", heading.unwrap_or_default());
        }
        text += &line(argument, options);
    }
    text
}

/// The line of an option.
fn line(argument: &Arg, options: &Options) -> String {
    let id = argument.get_id().as_str();
    let source = options.sources.of(id);
    let name = key(id);
    let setting = match (source, options.sources.raw(id)) {
        (Source::Default, raw) => {
            let value = default_value(argument, raw, options);
            return commented(format_args!(
                "{:<width$} # {source}",
                format!("{name} = {value}"),
                width = SOURCE_COLUMN - 2
            ));
        }
        (_, raw) => match value(argument, raw) {
            Some(value) => format!("{name} = {value}"),
            None => {
                return commented(format_args!(
                    "{name} is not UTF-8, and cannot be written here # {source}"
                ));
            }
        },
    };
    format!(
        "{setting:<SOURCE_COLUMN$} # {}\n",
        one_line(&source.to_string())
    )
}

/// A line that is a comment.
fn commented(text: std::fmt::Arguments<'_>) -> String {
    format!("# {}\n", one_line(&text.to_string()))
}

/// A comment must not end before its end: paths may have line ends.
fn one_line(text: &str) -> String {
    match text.contains(char::is_control) {
        true => text.escape_debug().to_string(),
        false => text.to_owned(),
    }
}

/// The default: what clap or this machine says, or the text of the help.
fn default_value(argument: &Arg, raw: &[OsString], options: &Options) -> String {
    let config = options.config();
    match argument.get_id().as_str() {
        "workers" => return config.workers.to_string(),
        "max_connections" => return config.max_connections.to_string(),
        _ => {}
    }
    if let Some(value) = value(argument, raw).filter(|_| !raw.is_empty()) {
        return value;
    }
    let help = argument.get_long_help().or(argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    let text = help
        .split_once("[default: ")
        .and_then(|(_, rest)| rest.split_once(']'));
    match text {
        Some((text, _)) if text.contains(' ') || text == "none" => text.to_owned(),
        Some((text, _)) => quoted(text),
        None => "none".to_owned(),
    }
}

/// The values in TOML. `None` if one is not UTF-8.
fn value(argument: &Arg, raw: &[OsString]) -> Option<String> {
    let values: Option<Vec<&str>> = raw.iter().map(|value| value.to_str()).collect();
    let values = values?;
    if is_list(argument) {
        // As the variable of a list has them, and the command line.
        let delimiter = argument.get_value_delimiter();
        let parts = values.iter().flat_map(|value| match delimiter {
            Some(delimiter) => value.split(delimiter).collect(),
            None => vec![*value],
        });
        let parts: Vec<String> = parts.map(quoted).collect();
        return Some(format!("[{}]", parts.join(", ")));
    }
    let value = *values.last()?;
    if is_flag(argument) {
        return Some(crate::values::flag(value).ok()?.to_string());
    }
    let is_number = is_of_type::<usize>(argument) || is_of_type::<u64>(argument);
    Some(match path_in(argument, value) {
        // The text may be used in another folder.
        Some((before, path)) => {
            let absolute = path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
            quoted(&format!("{before}{}", absolute.to_str()?))
        }
        None => match value.parse::<i64>() {
            Ok(number) if is_number => number.to_string(),
            _ => quoted(value),
        },
    })
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        let written = match character {
            '"' | '\\' => write!(quoted, "\\{character}"),
            character if character.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(character))
            }
            character => quoted.write_char(character),
        };
        // A `String` takes every character.
        debug_assert!(written.is_ok());
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn a_string_is_read_back_as_it_was() {
        for text in [
            "",
            "a \"b\" \\ c",
            "\u{7f}\u{1}\n\t\u{85}",
            "\u{fc}\u{1f600}",
        ] {
            let toml = format!("a = {}", quoted(text));
            let table = DeTable::parse(&toml).unwrap();
            assert_eq!(table.get_ref()["a"].get_ref().as_str(), Some(text));
        }
    }

    #[test]
    fn a_comment_is_one_line() {
        assert_eq!(commented(format_args!("a\nb = 1")), "# a\\nb = 1\n");
    }
}
