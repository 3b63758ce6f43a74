//! The hashes of passwords that `htpasswd` and `openssl passwd` make.

use sha_crypt::PasswordVerifier;
use sha_crypt::ShaCrypt;

/// A hash that was found to be well formed.
#[derive(Debug)]
pub(super) enum PasswordHash {
    /// `$2y$`, `$2b$` or `$2a$`.
    Bcrypt(String),
    /// `$5$` or `$6$`.
    ShaCrypt(String),
}

/// How to make a line of the file.
const HINT: &str = "make it with htpasswd -nB NAME, or with openssl passwd -6";

/// The highest cost of bcrypt. One check takes about four seconds with it.
const COST_MAX: u32 = 16;

/// The most rounds of SHA-crypt. One check takes about a second with them.
const ROUNDS_MAX: u32 = 1_000_000;
const ROUNDS_MIN: u32 = 1000;

impl PasswordHash {
    /// The error says what is wrong, and does not repeat the text: it may be a password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let kind = |prefix: &str| text.starts_with(prefix);
        if ["$2y$", "$2b$", "$2a$"].into_iter().any(kind) {
            return bcrypt_hash(text);
        }
        if kind("$5$") || kind("$6$") {
            return sha_crypt_hash(text);
        }
        let problem = match text {
            _ if kind("$apr1$") || kind("$1$") || kind("{SHA}") => {
                "MD5 and SHA-1 are too fast for passwords"
            }
            _ if kind("$") => "hashes of this kind are not supported",
            "" => "it has no hash",
            _ => "a hash is needed, not the password itself",
        };
        Err(format!("{problem}: {HINT}"))
    }

    /// Whether this is the hash of the password. Takes the time that the hash is made for,
    /// also with a wrong password; the hashes are compared in constant time.
    pub(super) fn is_of(&self, password: &str) -> bool {
        match self {
            // bcrypt ignores what follows the first 72 bytes. The check takes its time all
            // the same.
            Self::Bcrypt(hash) if password.len() > 72 => {
                let _ = bcrypt::verify(password, hash);
                false
            }
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::ShaCrypt(hash) => {
                let hash: &str = hash;
                ShaCrypt::default()
                    .verify_password(password.as_bytes(), hash)
                    .is_ok()
            }
        }
    }
}

fn bcrypt_hash(text: &str) -> Result<PasswordHash, String> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| malformed())?;
    match parts.get_cost() {
        4..=COST_MAX => Ok(PasswordHash::Bcrypt(text.to_owned())),
        cost => Err(format!(
            "the cost of the hash is {cost}: it must be from 4 to {COST_MAX}"
        )),
    }
}

/// `$6$`, perhaps `rounds=N$`, the salt, `$`, and the hash in base64 of its own kind.
fn sha_crypt_hash(text: &str) -> Result<PasswordHash, String> {
    let (kind, mut rest) = text.split_at(3);
    if let Some(rounds) = rest.strip_prefix("rounds=") {
        let (rounds, salt_and_hash) = rounds.split_once('$').ok_or_else(malformed)?;
        match rounds.parse() {
            Ok(ROUNDS_MIN..=ROUNDS_MAX) => rest = salt_and_hash,
            _ => {
                return Err(format!(
                    "the hash has {rounds} rounds: it must have from {ROUNDS_MIN} to {ROUNDS_MAX}",
                    rounds = rounds.escape_debug()
                ));
            }
        }
    }
    let digits = if kind == "$5$" { 43 } else { 86 };
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"./".contains(&byte);
    match rest.split_once('$') {
        Some((salt, hash))
            if (1..=16).contains(&salt.len())
                && salt.bytes().all(is_digit)
                && hash.len() == digits
                && hash.bytes().all(is_digit) =>
        {
            Ok(PasswordHash::ShaCrypt(text.to_owned()))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> String {
    format!("the hash is malformed: {HINT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `open sesame`.
    const SHA_256: &str = "$5$pepperandsalt$mbz2U.ChN2PwneBLD4g3lezdAM.hdk/pRVahD/kov40";
    const SHA_512: &str = "$6$pepperandsalt$K2pUsOBHq0zjRfQHQpv0qX84IRsBbH4vr8YSX3HlfWTBnHsPblIuaX0WDgMxgs9sFTNP/T5X7C0v/fZv5iAed/";
    const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";

    fn problem(text: &str) -> String {
        let problem = PasswordHash::parse(text).unwrap_err();
        assert!(text.is_empty() || !problem.contains(text), "{problem}");
        problem
    }

    #[test]
    fn hashes_of_htpasswd_and_openssl_are_checked() {
        for text in [SHA_256, SHA_512, BCRYPT, &BCRYPT.replace("$2y$", "$2b$")] {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.is_of("open sesame"), "{text}");
            for wrong in ["", "open sesam", "open sesame ", "Open sesame", "\u{e9}"] {
                assert!(!hash.is_of(wrong), "{text}: {wrong}");
            }
        }
    }

    #[test]
    fn a_password_that_only_begins_with_the_right_one_is_wrong() {
        let right = "x".repeat(72);
        let hash = PasswordHash::parse(&bcrypt::hash(&right, 4).unwrap()).unwrap();
        assert!(hash.is_of(&right));
        assert!(!hash.is_of(&format!("{right}y")));
    }

    #[test]
    fn rounds_and_salts_are_those_of_the_c_library() {
        // As libxcrypt makes them. The salt has at most 16 characters.
        for text in [
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
        ] {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(
                hash.is_of("Hello world!") && !hash.is_of("Hello world"),
                "{text}"
            );
        }
    }

    #[test]
    fn plain_text_and_weak_hashes_are_refused_with_a_hint() {
        for (text, reason) in [
            ("secret", "not the password itself"),
            ("", "no hash"),
            ("Bn5b.5cDDwwFs", "not the password itself"),
            ("$apr1$abc$def", "too fast"),
            ("$1$abc$def", "too fast"),
            ("{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=", "too fast"),
            ("$y$j9T$abc$def", "not supported"),
            ("$argon2id$v=19$m=1,t=1,p=1$YWJj$YWJj", "not supported"),
            ("$2x$05$abc", "not supported"),
            ("$2y$05$abc", "malformed"),
            ("$2y$", "malformed"),
            ("$6$", "malformed"),
            ("$5$rounds=", "malformed"),
            ("$6$salt$abc", "malformed"),
        ] {
            let problem = problem(text);
            assert!(problem.contains(reason), "{text}: {problem}");
            assert!(problem.contains("htpasswd -nB"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_hash_that_would_take_too_long_is_refused() {
        let cost = BCRYPT.replacen("$05$", "$31$", 1);
        assert!(problem(&cost).contains("from 4 to 16"));
        for rounds in ["999", "1000001", "999999999", "x", "-1", ""] {
            let text = SHA_512.replacen("$6$", &format!("$6$rounds={rounds}$"), 1);
            assert!(problem(&text).contains("from 1000 to 1000000"), "{rounds}");
        }
    }
}
