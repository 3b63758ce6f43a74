//! Errors for wrong usage: one line that names the option or variable and says
//! what to write instead.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;

use clap::Arg;
use clap::Command;
use clap::CommandFactory;
use clap::builder::Resettable;
use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::Error;
use clap::error::ErrorKind;

use super::args::Options;
use super::failure::Failure;
use super::restart;

/// What the names of all variables for options begin with.
const PREFIX: &str = "FAREWELL_";

/// Explains why clap has rejected the arguments (the program's name first) or
/// the environment with `error`.
pub(super) fn explain(command: &Command, arguments: &[OsString], error: &Error) -> Failure {
    let first = arguments.get(1).and_then(|first| first.to_str());
    let program = match first {
        Some("completions") => "farewell completions",
        Some("drill") => "farewell drill",
        Some("man") => "farewell man",
        _ => "farewell",
    };
    let message = match wrong_variable(command, arguments) {
        Some((variable, error)) => line(&error, Some(&variable), arguments),
        None => line(error, None, arguments),
    };
    Failure {
        program,
        ..Failure::usage(format!("{message} (see {program} --help)"))
    }
}

/// The environment variable that causes the error, and the error, if the
/// arguments alone are valid. clap's own error names the option in both cases.
fn wrong_variable(command: &Command, arguments: &[OsString]) -> Option<(String, Error)> {
    let error_with = |variable: Option<&str>| {
        let with_one = command.clone().mut_args(|argument| {
            match argument.get_env().is_some() && argument.get_env() != variable.map(AsRef::as_ref)
            {
                true => argument.env(Resettable::Reset),
                false => argument,
            }
        });
        let error = with_one.try_get_matches_from(arguments).err()?;
        let is_wrong = !matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        is_wrong.then_some(error)
    };
    if error_with(None).is_some() {
        return None;
    }
    let variables = command.get_arguments().filter_map(Arg::get_env);
    variables
        .filter_map(|variable| variable.to_str())
        .find_map(|variable| Some((variable.to_owned(), error_with(Some(variable))?)))
}

/// Describes the variables that begin with `FAREWELL_` and that no option has, in
/// one line. `None` if there are none.
pub(super) fn unknown_variables(
    command: &Command,
    variables: impl Iterator<Item = (String, String)>,
) -> Option<String> {
    let known: Vec<_> = command.get_arguments().filter_map(Arg::get_env).collect();
    // The token has no option, because other users see command lines. A restart has a
    // variable of its own.
    let is_known = |name: &str| {
        known.iter().any(|&variable| variable == name)
            || ["FAREWELL_SHUTDOWN_TOKEN", restart::VARIABLE].contains(&name)
    };
    let mut unknown: Vec<String> = variables
        .filter(|(name, value)| {
            name.strip_prefix(PREFIX)
                .is_some_and(|rest| !is_of_kubernetes(rest, value) && !is_known(name))
        })
        .map(|(name, _)| match closest_variable(command, &name) {
            Some(closest) => format!("{name} (did you mean {closest}?)"),
            None => name,
        })
        .collect();
    unknown.sort();
    let unknown = unknown.join(", ");
    (!unknown.is_empty())
        .then(|| format!("ignored, because no option has this environment variable: {unknown}"))
}

/// Kubernetes sets such variables in each container if a service has the name
/// `farewell`: `FAREWELL_SERVICE_HOST`, `FAREWELL_PORT_80_TCP`, and `FAREWELL_PORT`
/// with a URL.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let is_url = value.starts_with("tcp://") || value.starts_with("udp://");
    rest.starts_with("SERVICE_") || rest.starts_with("PORT_") || rest == "PORT" && is_url
}

/// The variable of the option that clap finds closest.
fn closest_variable(command: &Command, variable: &str) -> Option<String> {
    let field = variable.strip_prefix(PREFIX)?.to_lowercase();
    let closest = closest_option(command, &field)?.replace('-', "_");
    Some(format!("{PREFIX}{}", closest.to_uppercase()))
}

/// The option that clap finds closest to the name of this field, without the hyphens before
/// it.
pub(super) fn closest_option(command: &Command, field: &str) -> Option<String> {
    let option = format!("--{}", field.replace('_', "-"));
    let error = command.clone().try_get_matches_from(["farewell", &option]);
    match error.err()?.get(ContextKind::SuggestedArg)? {
        ContextValue::String(closest) => Some(closest.trim_start_matches('-').to_owned()),
        _ => None,
    }
}

/// Describes in one line why clap has rejected the value of `name`.
pub(super) fn wrong_value(error: &Error, name: &str) -> String {
    line(error, Some(name), &[])
}

/// Whether this is the name of a command.
pub(super) fn is_command(name: &str) -> bool {
    Options::command().find_subcommand(name).is_some()
}

/// The command that clap takes for a typing error in this folder's name.
pub(super) fn closest_command(folder: &Path) -> Option<String> {
    // With a folder as an argument, no name would be an unknown command.
    let command = Options::command().mut_arg("dir", |dir| dir.long("dir"));
    let error = command.try_get_matches_from([OsStr::new("farewell"), folder.as_os_str()]);
    match error.err()?.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::Strings(closest) => closest.first().cloned(),
        ContextValue::String(closest) => Some(closest.clone()),
        _ => None,
    }
}

/// Describes the error in one line. `variable` is the variable with the wrong
/// value, if the value comes from one.
fn line(error: &Error, variable: Option<&str>, arguments: &[OsString]) -> String {
    let of_kind = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    };
    let argument = of_kind(ContextKind::InvalidArg).unwrap_or_default();
    let name = variable.unwrap_or_else(|| {
        // As in `--linger <DURATION>`, `--cors[=<ORIGIN>]` and `[DIR]`.
        let mut words = argument.split([' ', '[', ']']);
        words.find(|word| !word.is_empty()).unwrap_or_default()
    });
    let command = of_kind(ContextKind::InvalidSubcommand).unwrap_or_default();
    let suggested = |kind| match of_kind(kind) {
        Some(similar) => format!("; did you mean {similar}?"),
        None => String::new(),
    };
    match error.kind() {
        ErrorKind::InvalidUtf8 if variable.is_some() => format!("{name} is not UTF-8"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let is = match of_kind(ContextKind::InvalidValue) {
                // The error stays one line.
                Some(value) if value.contains(char::is_control) => {
                    format!("is '{}'", value.escape_debug())
                }
                Some(value) if !value.is_empty() => format!("is '{value}'"),
                _ => "has no value".to_owned(),
            };
            match reason(error, of_kind(ContextKind::ValidValue)) {
                Some(reason) => format!("{name} {is}: {reason}"),
                None => format!("{name} {is}"),
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let arguments = argument.replace("<COMMAND>", "-- <COMMAND>");
            format!("missing {}", arguments.replace(", ", " and "))
        }
        ErrorKind::TooManyValues => format!("{name} takes no value"),
        ErrorKind::InvalidSubcommand => {
            let suggested = suggested(ContextKind::SuggestedSubcommand);
            format!("unknown command '{command}'{suggested}")
        }
        ErrorKind::ArgumentConflict if is_command(&command) => {
            format!("{command} must come first: it has its own options")
        }
        ErrorKind::ArgumentConflict if !command.is_empty() => {
            format!("unexpected argument '{command}'")
        }
        ErrorKind::UnknownArgument if is_negative_number(&argument) => {
            match before(&argument, arguments) {
                Some((name, value)) => format!("{name} is '{value}': it must not be negative"),
                None => format!("unexpected argument '{argument}'"),
            }
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let suggested = suggested(ContextKind::SuggestedArg);
            format!("unknown option '{argument}'{suggested}")
        }
        ErrorKind::UnknownArgument => format!("unexpected argument '{argument}'"),
        _ => joined(&error.to_string()),
    }
}

/// Why a value is wrong, or what would be right.
fn reason(error: &Error, valid: Option<String>) -> Option<String> {
    if let Some(valid) = valid {
        return Some(format!("use one of {valid}"));
    }
    let reason = std::error::Error::source(error)?;
    if reason.is::<std::num::ParseIntError>() {
        return Some("it must be a whole number".to_owned());
    }
    let reason = reason.to_string();
    // The error of a clap range.
    let range = reason.split_once(" is not in ");
    Some(match range.and_then(|(_, range)| range.split_once("..=")) {
        Some((least, most)) => format!("it must be from {least} to {most}"),
        None => reason,
    })
}

/// The option before the first argument that begins with `start`, and that
/// argument.
fn before(start: &str, arguments: &[OsString]) -> Option<(String, String)> {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|text| text.to_string_lossy())
        .collect();
    let pair = arguments
        .windows(2)
        .find(|pair| pair[0].starts_with("--") && pair[1].starts_with(start))?;
    Some((pair[0].to_string(), pair[1].to_string()))
}

fn is_negative_number(argument: &str) -> bool {
    let number = argument.strip_prefix('-').unwrap_or_default();
    number.starts_with(|first: char| first.is_ascii_digit() || first == '.')
}

/// Joins the lines of a clap message up to its usage.
fn joined(message: &str) -> String {
    let lines: Vec<&str> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let lines = lines.join(" ");
    lines.strip_prefix("error: ").unwrap_or(&lines).to_owned()
}
