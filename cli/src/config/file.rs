//! The file of `--config`: TOML with the names of the options.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Arg;
use clap::Command;
use clap::builder::Resettable;
use toml::de::DeTable;
use toml::de::DeValue;

use super::NOT_IN_FILES;
use super::Source;
use super::is_flag;
use super::is_list;
use super::key;
use super::path_in;
use crate::failure::Failure;
use crate::os;
use crate::usage;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Names that a token could be expected to have.
const SECRETS: &[&str] = &["shutdown_token", "token"];

/// A file whose values are all valid.
pub(crate) struct ConfigFile {
    path: PathBuf,
    settings: Vec<Setting>,
    is_writable_by_all: bool,
}

/// An option in the file.
struct Setting {
    /// The field of the option.
    id: String,
    line: usize,
    /// As they would be on the command line.
    values: Vec<OsString>,
}

impl ConfigFile {
    /// Reads the file, and checks each value by the parser of its option. `option` is how
    /// messages name the option with the file's path.
    pub(crate) fn read(path: &Path, option: &str, command: &Command) -> Result<Self, Failure> {
        let shown = path.display();
        let (text, is_writable_by_all) = read(path).map_err(|error| {
            Failure::error(format!(
                "cannot read the configuration {shown} ({option}): {error}"
            ))
        })?;
        let wrong =
            |(line, problem): (usize, String)| Failure::usage(format!("{shown}:{line}: {problem}"));
        Ok(Self {
            path: path.to_owned(),
            settings: settings(&text, path, command).map_err(wrong)?,
            is_writable_by_all,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the value of this field's option comes from, if it comes from neither the
    /// command line nor the environment.
    pub(super) fn source(&self, id: &str) -> Source {
        let setting = self.settings.iter().find(|setting| setting.id == id);
        setting.map_or(Source::Default, |setting| {
            Source::File(self.path.clone(), setting.line)
        })
    }

    /// Returns the command with the values of the file as its defaults.
    pub(crate) fn as_defaults_of(&self, command: Command) -> Command {
        self.settings.iter().fold(command, |command, setting| {
            command.mut_arg(&setting.id, |argument| {
                argument.default_values(setting.values.clone())
            })
        })
    }

    /// What the user should know about the file.
    pub(crate) fn warning(&self) -> Option<String> {
        let path = self.path.display();
        self.is_writable_by_all.then(|| {
            format!("every user of this machine can change {path}: take the permission away (chmod o-w {path})")
        })
    }
}

/// The text of the file, and whether every user may write it.
fn read(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let file = File::open(path)?;
    let is_writable_by_all = os::is_writable_by_all(&file.metadata()?);
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok((text, is_writable_by_all))
}

/// The settings in the order of the file, or the line with the first problem.
fn settings(text: &[u8], path: &Path, command: &Command) -> Result<Vec<Setting>, (usize, String)> {
    let line_of = |place: usize| {
        1 + text[..place.min(text.len())]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    };
    let utf8 = str::from_utf8(text)
        .map_err(|error| (line_of(error.valid_up_to()), "it is not UTF-8".to_owned()))?;
    let table = DeTable::parse(utf8).map_err(|error| {
        let place = error.span().map_or(0, |span| span.start);
        // The message stays one line.
        let problem = error.message().replace('\n', " ");
        (line_of(place), format!("not valid TOML: {problem}"))
    })?;
    let table = table.into_inner();
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (line_of(key.span().start), &**key.get_ref(), value.get_ref()))
        .collect();
    entries.sort_by_key(|&(line, ..)| line);

    let mut settings: Vec<Setting> = Vec::new();
    for (line, name, value) in entries {
        let wrong = |problem: String| (line, problem);
        let argument = find(command, name, value).map_err(wrong)?;
        let id = argument.get_id().to_string();
        if let Some(first) = settings.iter().find(|setting| setting.id == id) {
            let first = first.line;
            return Err(wrong(format!(
                "{name} is set twice, the first time in line {first}: remove one"
            )));
        }
        let values = values(argument, name, value).map_err(wrong)?;
        let values = values
            .iter()
            .map(|value| relative_to(path, argument, value));
        let values: Vec<OsString> = values.collect();
        for value in &values {
            check(command, argument, name, value).map_err(wrong)?;
        }
        // An empty list, and a `false` for an option whose value can be left out, leave the
        // default.
        if !values.is_empty() {
            settings.push(Setting { id, line, values });
        }
    }
    Ok(settings)
}

/// The option with this name, or what is wrong with it.
fn find<'a>(command: &'a Command, name: &str, value: &DeValue<'_>) -> Result<&'a Arg, String> {
    let id = name.replace('-', "_");
    if SECRETS.contains(&&*id) {
        return Err(format!(
            "{name} is a secret, which does not go into this file: write it into a file of its own, and shutdown-token-file = \"FILE\" here"
        ));
    }
    if NOT_IN_FILES.contains(&&*id) {
        return Err(format!("{name} is for the command line: remove it"));
    }
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_id() == id.as_str());
    match argument {
        Some(argument) => Ok(argument),
        None if value.is_table() => Err(format!(
            "unknown table '{}': the options are at the top of the file, without tables",
            name.escape_debug()
        )),
        None => {
            let closest = usage::closest_option(command, &id);
            let advice = closest.map(|closest| format!("; did you mean {closest}?"));
            let advice = advice.unwrap_or_else(|| " (see farewell --help)".to_owned());
            Err(format!("unknown option '{}'{advice}", name.escape_debug()))
        }
    }
}

/// The values as they would be on the command line, or what is wrong with them.
fn values(argument: &Arg, name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    if is_flag(argument) {
        return match value {
            DeValue::Boolean(is_on) => Ok(vec![is_on.to_string()]),
            _ => Err(format!("{name} must be true or false, without quotes")),
        };
    }
    match value {
        DeValue::Array(values) if is_list(argument) => {
            let values = values.iter().map(|value| single(value.get_ref()));
            let values: Option<Vec<String>> = values.collect();
            values.ok_or_else(|| format!("{name} must be a list of strings"))
        }
        // `cors = true` is `--cors` without a value.
        DeValue::Boolean(is_on) if may_have_no_value(argument) => match is_on {
            true => Ok(value_if_left_out(argument).into_iter().collect()),
            false => Ok(Vec::new()),
        },
        value => match single(value) {
            Some(value) => Ok(vec![value]),
            None => Err(format!(
                "{name} is {}, and must be one value, such as a string",
                kind(value)
            )),
        },
    }
}

/// A string or a number.
fn single(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        // As a decimal number, also if it is written in another base.
        DeValue::Integer(number) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Some(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()))
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Boolean(_) => "a boolean",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        _ => "a date or time",
    }
}

fn may_have_no_value(argument: &Arg) -> bool {
    let range = argument.get_num_args();
    range.is_some_and(|range| range.min_values() == 0 && range.takes_values())
}

/// The value that the option has if it is given without one.
fn value_if_left_out(argument: &Arg) -> Option<String> {
    let alone = Command::new("alone").arg(argument.clone().env(Resettable::Reset));
    let option = format!("--{}", argument.get_long()?);
    let matches = alone.try_get_matches_from(["alone", &option]).ok()?;
    let mut raw = matches.get_raw(argument.get_id().as_str())?;
    Some(raw.next()?.to_string_lossy().into_owned())
}

/// Makes a relative path one that begins at the folder of the file.
fn relative_to(file: &Path, argument: &Arg, value: &str) -> OsString {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match (folder, path_in(argument, value)) {
        (Some(folder), Some((before, path))) if !path.is_empty() => {
            let mut whole = OsString::from(before);
            whole.push(folder.join(path));
            whole
        }
        _ => value.into(),
    }
}

/// Has clap parse the value as one of the command line.
fn check(command: &Command, argument: &Arg, name: &str, value: &OsString) -> Result<(), String> {
    if is_flag(argument) {
        return Ok(());
    }
    let mut arguments = vec![OsString::from("farewell")];
    match argument.get_long() {
        Some(long) => {
            let mut option = OsString::from(format!("--{long}="));
            option.push(value);
            arguments.push(option);
        }
        None => arguments.extend(["--".into(), value.clone()]),
    }
    let command = command
        .clone()
        .mut_args(|argument| argument.env(Resettable::Reset));
    match command.try_get_matches_from(arguments) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "{} (see farewell --help)",
            usage::wrong_value(&error, &key(name))
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Options;

    /// The settings of a file with this text, each as in `2 linger 2s`.
    fn read_text(text: &str) -> Result<Vec<String>, String> {
        let command = Options::command();
        let found = settings(text.as_bytes(), Path::new("/etc/farewell.toml"), &command);
        let shown = |setting: Setting| {
            let values = setting.values.iter().map(|value| value.to_string_lossy());
            let values: Vec<_> = values.collect();
            format!("{} {} {}", setting.line, setting.id, values.join("|"))
        };
        match found {
            Ok(settings) => Ok(settings.into_iter().map(shown).collect()),
            Err((line, problem)) => Err(format!("{line}: {problem}")),
        }
    }

    #[test]
    fn options_have_their_names_and_any_fitting_type() {
        let text = "\u{feff}# a comment\n\
            listen = ':8080'\n\
            drain_timeout = \"20s\"\r\n\
            \n\
            workers = 0x10\n\
            body-bytes-max = 1_000_000\n\
            rate-min = \"2KiB\"\n\
            no-listing = true\n\
            hidden = false\n\
            cors = true\n\
            header = [\n  'A: b',\n  'C: d',\n]\n\
            report = \"json\"\n";
        let expected = [
            "2 listen :8080",
            "3 drain_timeout 20s",
            "5 workers 16",
            "6 body_bytes_max 1000000",
            "7 rate_min 2KiB",
            "8 no_listing true",
            "9 hidden false",
            "10 cors *",
            "11 header A: b|C: d",
            "15 report json",
        ];
        assert_eq!(read_text(text).unwrap(), expected);
        assert_eq!(read_text("header = 'A: b'").unwrap(), ["1 header A: b"]);
        assert_eq!(read_text("cors = false\nheader = []").unwrap(), [""; 0]);
    }

    #[test]
    fn a_relative_path_begins_at_the_folder_of_the_file() {
        let text = "dir = 'site'\nauth-file = '/a/users'\nshutdown-token-file = '../token'\n\
            listen = 'unix:run/a.sock'\n";
        let expected = [
            "1 dir /etc/site",
            "2 auth_file /a/users",
            "3 shutdown_token_file /etc/../token",
            "4 listen unix:/etc/run/a.sock",
        ];
        assert_eq!(read_text(text).unwrap(), expected);
    }

    #[test]
    fn a_problem_names_its_line_and_what_is_right() {
        for (text, expected) in [
            (
                "\nworkers = 'many'",
                "2: workers is 'many': it must be a whole number",
            ),
            (
                "workers = -1",
                "1: workers is '-1': it must be a whole number",
            ),
            (
                "workers = 1.5",
                "1: workers is '1.5': it must be a whole number",
            ),
            (
                "workers = true",
                "1: workers is a boolean, and must be one value",
            ),
            (
                "\n\nlinger = 5",
                "3: linger is '5': write it as 500ms, 10s or 1m",
            ),
            ("drain_timeout = ''", "1: drain-timeout has no value"),
            ("dir = ''", "1: dir has no value"),
            (
                "hidden = 'true'",
                "1: hidden must be true or false, without quotes",
            ),
            (
                "report = 'xml'",
                "1: report is 'xml': use one of text, json",
            ),
            ("header = ['A']", "1: header is 'A'"),
            ("header = [['A: b']]", "1: header must be a list of strings"),
            (
                "listen = ['a', 'b']",
                "1: listen is a list, and must be one value",
            ),
            ("access-log-file = false", "1: access-log-file is a boolean"),
            ("linger = 2026-01-01", "1: linger is a date or time"),
            ("linger = { a = 1 }", "1: linger is a table"),
            (
                "\n[server]\nlisten = ':1'",
                "2: unknown table 'server': the options are",
            ),
            (
                "drain-timout = '1s'",
                "1: unknown option 'drain-timout'; did you mean drain-timeout?",
            ),
            ("zzz = 1", "1: unknown option 'zzz' (see farewell --help)"),
            ("config = 'a'", "1: config is for the command line"),
            ("check = true", "1: check is for the command line"),
            ("shutdown-token = 'a'", "1: shutdown-token is a secret"),
            (
                "linger = '1s'\n\nlinger = '2s'",
                "3: not valid TOML: duplicate key",
            ),
            (
                "last-call = '1s'\nlast_call = '2s'",
                "2: last_call is set twice, the first time in line 1",
            ),
            ("linger = 1s", "1: not valid TOML: "),
            ("linger", "1: not valid TOML: "),
            ("listen = ':1'\nlinger = '2s", "2: not valid TOML: "),
        ] {
            let problem = read_text(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text}: {problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
        let command = Options::command();
        let latin = settings(b"# a\n\xfc = 1", Path::new("a"), &command);
        assert_eq!(latin.err(), Some((2, "it is not UTF-8".to_owned())));
    }
}
