//! How long clients may keep a file.

use http::HeaderValue;

use super::options::Options;

/// For files whose name changes whenever their content does (RFC 8246). Without `public`,
/// which would let shared caches keep what a client gets by its password.
const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");

/// The value of `Cache-Control` for a file of this name.
pub(super) fn of_name(name: &[u8], options: &Options) -> Option<HeaderValue> {
    if options.caches_hashed_names && is_hashed(name) {
        return Some(FOR_EVER);
    }
    options.cache_control.clone()
}

/// Whether one part of a name looks like a hash of the content: `app.3f2a9c1b.js`,
/// `index-Dx3kQz9T.js`. The parts are between `.`, `-` and `_`, without the first part and
/// the extension. A date, a number or a word is none, and a page keeps its name.
fn is_hashed(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else {
        return false;
    };
    if [&b".html"[..], b".htm"].contains(&&*name[dot..].to_ascii_lowercase()) {
        return false;
    }
    let parts = name[..dot].split(|byte| b".-_".contains(byte));
    parts.skip(1).any(is_hash)
}

fn is_hash(part: &[u8]) -> bool {
    let has = |what: fn(&u8) -> bool| part.iter().any(what);
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if part.len() >= 8 && part.iter().all(is_hex) {
        return has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    }
    // The base 64 of bundlers: eight letters and digits, of both cases, and no words, which
    // have no digit inside, and at most two capitals (`OpenDocs`).
    let capitals = part.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    part.len() == 8
        && part.iter().all(u8::is_ascii_alphanumeric)
        && has(u8::is_ascii_lowercase)
        && (capitals > 2 || capitals > 0 && part[..7].iter().any(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_words_dates_and_numbers() {
        for name in [
            "app.3f2a9c1b.js",
            "index-Dx3kQzaT.js",
            "index-DXkqzTaB.js",
            "main-a1b2c3d4e5f60718.css",
            "main.0123456789abcdef0123456789abcdef.woff2",
            "chunk_vendors-9f8e7d6c.js.map",
        ] {
            assert!(is_hashed(name.as_bytes()), "{name}");
        }
        for name in [
            "index.html",
            "3f2a9c1b.js",
            "report-20240101.pdf",
            "my-document.pdf",
            "photos-Holiday2024.jpg",
            "read-Document.txt",
            "guide-OpenDocs.txt",
            "song-Version2.mp3",
            "guide.3f2a9c1b.html",
            "guide.3f2a9c1b.HTM",
            "a-deadbeef",
            "facade-decade.txt",
            "jquery-3.7.1.min.js",
            "",
            ".",
            "-.-",
        ] {
            assert!(!is_hashed(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_hashed_name_is_kept_for_ever_only_where_that_is_asked_for() {
        let mut options = Options {
            cache_control: Some(HeaderValue::from_static("no-cache")),
            ..Options::default()
        };
        assert_eq!(of_name(b"app.3f2a9c1b.js", &options).unwrap(), "no-cache");
        options.caches_hashed_names = true;
        assert_eq!(of_name(b"app.3f2a9c1b.js", &options), Some(FOR_EVER));
        assert_eq!(of_name(b"app.js", &options).unwrap(), "no-cache");
    }
}
