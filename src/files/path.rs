//! The path of a request, as names of folders and of a file beneath the served folder.
//!
//! A path is decoded once. What it then cannot be is refused here, with a reason; what it
//! then names is up to the kernel, which never leaves the folder (`root.rs`).

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write;
use std::path::Path;

use http::StatusCode;

use super::os;
use crate::message::percent;
use crate::message::rejection::Rejection;

/// A path relative to the served folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePath<'a> {
    /// The names, decoded and joined with `/`. Empty: the served folder itself.
    bytes: Cow<'a, [u8]>,
    /// Whether the path ends with `/`, and so names a folder.
    pub(super) is_folder: bool,
}

/// Why a path names nothing that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    /// A `%` without two hexadecimal digits.
    Escape,
    /// A byte 0.
    Nul,
    /// A slash in a name: `%2F`.
    Slash,
    /// The name `..`, which no client sends that has resolved its path.
    Dots,
    /// A name that no file has: an empty one (`//`), or bytes that are no name on this
    /// system.
    NoName,
    /// A name with a dot at its front, where those are not served.
    Hidden,
}

impl<'a> FilePath<'a> {
    /// Parses what follows the prefix: a path that begins with `/`, and is still
    /// percent-encoded.
    pub(super) fn parse(path: &'a str, serves_hidden: bool) -> Result<Self, BadPath> {
        let path = path.strip_prefix('/').ok_or(BadPath::NoName)?;
        let (names, mut is_folder) = match path.strip_suffix('/') {
            Some(names) => (names, true),
            None => (path, path.is_empty()),
        };
        let is_plain = !names.contains('%') && names.split('/').all(|name| name != ".");
        let mut bytes = match is_plain {
            true => Cow::Borrowed(names.as_bytes()),
            false => Cow::Owned(Vec::with_capacity(names.len())),
        };
        // The served folder itself: neither `/` nor `//` has a name.
        if path.is_empty() {
            return Ok(Self { bytes, is_folder });
        }
        let mut ends_with_dot = false;
        for name in names.split('/') {
            let name = decode(name)?;
            // The folder itself (RFC 3986 section 5.2.4), as in `./Packages`.
            ends_with_dot = *name == *b".";
            if ends_with_dot {
                continue;
            }
            check(&name, serves_hidden)?;
            if let Cow::Owned(bytes) = &mut bytes {
                if !bytes.is_empty() {
                    bytes.push(b'/');
                }
                bytes.extend_from_slice(&name);
            }
        }
        is_folder |= ends_with_dot;
        Ok(Self { bytes, is_folder })
    }

    /// The path, for a call of the system. The served folder itself is `.`.
    pub(super) fn as_path(&self) -> &Path {
        match &*self.bytes {
            [] => Path::new("."),
            bytes => Path::new(os::name_of_bytes(bytes).expect("each of its names is a name")),
        }
    }

    /// The names, from the outermost folder on. The served folder itself has none.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let names = self.bytes.split(|&byte| byte == b'/');
        names.filter(|name| !name.is_empty())
    }
}

fn decode(name: &str) -> Result<Cow<'_, [u8]>, BadPath> {
    let decoder = percent::decoder(name).ok_or(BadPath::Escape)?;
    Ok(decoder.into())
}

/// Checks a decoded name.
fn check(name: &[u8], serves_hidden: bool) -> Result<(), BadPath> {
    match name {
        b"" => Err(BadPath::NoName),
        b".." => Err(BadPath::Dots),
        _ if name.contains(&0) => Err(BadPath::Nul),
        _ if name.contains(&b'/') => Err(BadPath::Slash),
        [b'.', ..] if !serves_hidden => Err(BadPath::Hidden),
        _ if os::name_of_bytes(name).is_none() => Err(BadPath::NoName),
        _ => Ok(()),
    }
}

impl BadPath {
    /// `None`: there is nothing under this path, as under any other that names no file.
    pub(super) fn rejection(self) -> Option<Rejection> {
        let why = match self {
            Self::Escape => "a % in the path is not followed by two hexadecimal digits",
            Self::Nul => "the path contains a NUL byte (%00)",
            Self::Slash => "a name in the path contains a slash (%2F)",
            Self::Dots => "the path contains a segment ..",
            Self::NoName | Self::Hidden => return None,
        };
        Some(Rejection::new(StatusCode::BAD_REQUEST, why))
    }
}

/// Names, percent-encoded for a URL: every byte but letters, digits, `-`, `.`, `_`, `~` and
/// the slashes between names (RFC 3986 section 2.3).
pub(super) struct Encoded<'a>(pub(super) &'a [u8]);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    f.write_char(byte.into())?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<(String, bool), BadPath> {
        FilePath::parse(path, false).map(|path| (Encoded(&path.bytes).to_string(), path.is_folder))
    }

    #[test]
    fn a_path_is_decoded_once() {
        for (path, expected, is_folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.txt", "a/b.txt", false),
            ("/a%20b", "a%20b", false),
            ("/%2541", "%2541", false),
            ("/%61/b", "a/b", false),
            ("/%FF", "%FF", false),
            ("/%C0%AE%C0%AE", "%C0%AE%C0%AE", false),
            ("/a..", "a..", false),
            ("/a.", "a.", false),
            ("/a%3Fb%23c", "a%3Fb%23c", false),
            ("/.", "", true),
            ("/./", "", true),
            ("/%2e", "", true),
            ("/./a", "a", false),
            ("/a/./b", "a/b", false),
            ("/a/%2E/b/", "a/b", true),
            ("/a/.", "a", true),
        ] {
            assert_eq!(parse(path), Ok((expected.to_owned(), is_folder)), "{path}");
        }
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_refused() {
        for (path, expected) in [
            ("", BadPath::NoName),
            ("a", BadPath::NoName),
            ("//", BadPath::NoName),
            ("//a", BadPath::NoName),
            ("/a//b", BadPath::NoName),
            ("/a//", BadPath::NoName),
            ("/..", BadPath::Dots),
            ("/../", BadPath::Dots),
            ("/a/../b", BadPath::Dots),
            ("/a/..", BadPath::Dots),
            ("/%2e%2e/a", BadPath::Dots),
            ("/.%2E/a", BadPath::Dots),
            ("/./..", BadPath::Dots),
            ("/a/./../b", BadPath::Dots),
            ("/.//a", BadPath::NoName),
            ("/..%2fa", BadPath::Slash),
            ("/a%2fb", BadPath::Slash),
            ("/%2f", BadPath::Slash),
            ("/%2fetc/passwd", BadPath::Slash),
            ("/a%00", BadPath::Nul),
            ("/%00/a", BadPath::Nul),
            ("/%", BadPath::Escape),
            ("/a%2", BadPath::Escape),
            ("/%g0", BadPath::Escape),
            ("/%u002e", BadPath::Escape),
            ("/...", BadPath::Hidden),
            ("/.git", BadPath::Hidden),
            ("/a/.git/config", BadPath::Hidden),
            ("/%2egit", BadPath::Hidden),
        ] {
            assert_eq!(parse(path), Err(expected), "{path}");
        }
        assert!(FilePath::parse("/.git", true).is_ok());
        assert_eq!(FilePath::parse("/.git/..", true), Err(BadPath::Dots));
    }

    #[test]
    fn a_path_is_borrowed_unless_it_is_encoded() {
        let path = FilePath::parse("/a/b", false).unwrap();
        assert!(matches!(path.bytes, Cow::Borrowed(b"a/b")));
        assert_eq!(path.as_path(), Path::new("a/b"));
        let path = FilePath::parse("/", false).unwrap();
        assert_eq!(path.as_path(), Path::new("."));
    }
}
