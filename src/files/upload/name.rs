//! The names that files may get.

use super::failure::Failure;
use crate::files::os;

/// Refuses a name with control characters, those of Unicode too: a terminal could take
/// them for commands.
pub(super) fn check(name: &[u8]) -> Result<(), Failure> {
    match String::from_utf8_lossy(name).contains(char::is_control) {
        true => Err(Failure::bad_name(
            "a file whose name has control characters is not stored",
        )),
        false => Ok(()),
    }
}

/// Checks that the text of a form is one name, which the path of a request is by itself.
pub(super) fn check_of_form(name: &str, stores_hidden: bool) -> Result<(), Failure> {
    if name.starts_with('.') && !stores_hidden {
        return Err(Failure::hidden_name());
    }
    let is_no_name = matches!(name, "." | "..") || name.contains(['/', '\0']);
    match is_no_name || os::name_of_bytes(name.as_bytes()).is_none() {
        true => Err(Failure::bad_name("no file can have this name")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_control_characters_is_refused_in_every_encoding() {
        for name in ["a b", "\u{fc}", "\u{202e}", "\u{200b}", "~"] {
            assert!(check(name.as_bytes()).is_ok(), "{name:?}");
        }
        assert!(check(b"\xff\x80").is_ok());
        for name in ["\0", "a\n", "\x1b[31m", "\x7f", "\u{85}", "\u{9b}"] {
            assert!(check(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(check(b"\xff\x07").is_err());
    }

    #[test]
    fn a_form_names_files_of_its_folder() {
        for name in ["a", "...", ".a", "a\\b:c"] {
            assert!(!cfg!(unix) || check_of_form(name, true).is_ok(), "{name}");
        }
        for name in [".", "..", "a/b", "/", "a\0"] {
            assert!(check_of_form(name, true).is_err(), "{name}");
        }
        assert!(check_of_form(".a", false).is_err());
    }
}
