//! The type of a file, by the extension of its name.

use http::HeaderValue;
use mime_guess::MimeGuess;

/// The value of `Content-Type` (RFC 9110 section 8.3). Text is said to be UTF-8.
pub(super) fn of_name(name: &[u8]) -> HeaderValue {
    match MimeGuess::from_ext(extension(name)).first_raw() {
        None => HeaderValue::from_static("application/octet-stream"),
        Some("text/html") => HeaderValue::from_static("text/html; charset=utf-8"),
        Some("text/css") => HeaderValue::from_static("text/css; charset=utf-8"),
        // RFC 9239 section 6: the other name is obsolete.
        Some("text/javascript" | "application/javascript") => {
            HeaderValue::from_static("text/javascript; charset=utf-8")
        }
        Some("text/plain") => HeaderValue::from_static("text/plain; charset=utf-8"),
        Some(text) if text.starts_with("text/") => {
            HeaderValue::try_from(format!("{text}; charset=utf-8"))
                .expect("a media type is a field value")
        }
        Some(other) => HeaderValue::from_static(other),
    }
}

/// What follows the last dot of a name, if that is not its first byte: empty if nothing
/// does, or if it is not UTF-8, as no known extension is.
fn extension(name: &[u8]) -> &str {
    match name.iter().rposition(|&byte| byte == b'.') {
        None | Some(0) => "",
        Some(dot) => str::from_utf8(&name[dot + 1..]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_gives_the_type_and_text_is_utf_8() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.wasm", "application/wasm"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.mp4", "video/mp4"),
            ("a.tar.gz", "application/gzip"),
            ("a.zst", "application/octet-stream"),
            ("LICENSE", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            (".html", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(of_name(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_name_of_any_bytes_has_a_type() {
        assert_eq!(of_name(b"\xff.png"), "image/png");
        assert_eq!(of_name(b"a.\xff"), "application/octet-stream");
    }
}
