//! The users in a file of `htpasswd`: a line `NAME:HASH` for each.

use std::hash::BuildHasher;
use std::hash::RandomState;

use super::hash::PasswordHash;

/// The users, at least one.
#[derive(Debug)]
pub(super) struct Users {
    users: Vec<(String, PasswordHash)>,
    /// Selects the hash that a name without a user is checked with.
    selection: RandomState,
}

/// Most users. Each name is compared with those of all.
const USERS_MAX: usize = 1000;

impl Users {
    /// The error names the line and not its content.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut users: Vec<(String, PasswordHash)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let in_line = |problem: &str| format!("line {}: {problem}", at + 1);
            let (name, hash) = line
                .split_once(':')
                .ok_or_else(|| in_line("write it as NAME:HASH"))?;
            if users.iter().any(|(known, _)| known == name) {
                return Err(in_line("its name is in an earlier line too"));
            }
            if users.len() == USERS_MAX {
                return Err(format!("there are more than {USERS_MAX}"));
            }
            let hash = PasswordHash::parse(hash).map_err(|problem| in_line(&problem))?;
            users.push((name.to_owned(), hash));
        }
        match users.is_empty() {
            true => Err("there are none".to_owned()),
            false => Ok(Self {
                users,
                selection: RandomState::new(),
            }),
        }
    }

    /// Whether there is a user of this name with this password. A name without a user is
    /// checked too, always with the hash of the same user, so that its time does not tell
    /// that there is none.
    pub(super) fn has(&self, name: &str, password: &str) -> bool {
        let user = self.users.iter().find(|(known, _)| known == name);
        let number = self.selection.hash_one(name) % self.users.len() as u64;
        let other = usize::try_from(number).unwrap_or_default();
        let (_, hash) = user.unwrap_or(&self.users[other]);
        let is_right = hash.is_of(password);
        is_right && user.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";
    const OTHER: &str = "$5$pepperandsalt$mbz2U.ChN2PwneBLD4g3lezdAM.hdk/pRVahD/kov40";

    #[test]
    fn each_user_has_a_password() {
        let text = format!("# users\n\nali:{HASH}\r\n  ben:{OTHER}\n");
        let users = Users::parse(&text).unwrap();
        assert!(users.has("ali", "open sesame"));
        assert!(users.has("ben", "open sesame"));
        for (name, password) in [
            ("ali", "open"),
            ("ali", ""),
            ("", ""),
            ("# users", ""),
            // Another name with the password of the user whose hash is computed.
            ("mallory", "open sesame"),
            ("Ali", "open sesame"),
            ("ali ", "open sesame"),
        ] {
            assert!(!users.has(name, password), "{name}: {password}");
        }
    }

    #[test]
    fn a_wrong_file_is_refused_without_its_content() {
        for (text, problem) in [
            (String::new(), "there are none"),
            ("# nothing\n\n".to_owned(), "there are none"),
            ("ali\n".to_owned(), "line 1: write it as NAME:HASH"),
            ("\nali:secret\n".to_owned(), "line 2: a hash is needed"),
            (
                format!("ali:{HASH}\nali:{HASH}"),
                "line 2: its name is in an earlier line",
            ),
            (format!("ali:{HASH}:more"), "line 1: the hash is malformed"),
        ] {
            let error = Users::parse(&text).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
            assert!(
                !error.contains("secret") && !error.contains("$2y$"),
                "{error}"
            );
        }
    }
}
