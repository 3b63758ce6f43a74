//! Escapes text from clients, for logs and reports.

use std::fmt;
use std::fmt::Write;

/// Shows a value as one line of visible ASCII and spaces. Otherwise a client
/// could forge lines of the log, or control the terminal, by its request target.
///
/// A backslash precedes a quote and a backslash. Every character that is not
/// visible ASCII or a space is shown as its bytes in UTF-8, `\u{fc}` as
/// `\xc3\xbc`: line ends, control characters, invisible characters, and those that
/// change the direction of the text.
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes the text that is written through it.
struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(self.0, "\\{character}")?,
                ' '..='~' => self.0.write_char(character)?,
                _ => {
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        write!(self.0, "\\x{byte:02x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_client_cannot_end_its_line_or_hide() {
        for (text, shown) in [
            ("GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1"),
            ("a\"b\\c\r\n\u{e9}", "a\\\"b\\\\c\\x0d\\x0a\\xc3\\xa9"),
            ("\0\x1b[2J\x7f", "\\x00\\x1b[2J\\x7f"),
            ("\u{80}\u{9b}", "\\xc2\\x80\\xc2\\x9b"),
            ("\u{202e}", "\\xe2\\x80\\xae"),
            ("\u{2028}", "\\xe2\\x80\\xa8"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
        for character in (char::MIN..=char::MAX).filter(|found| !(' '..='~').contains(found)) {
            let shown = Escaped(character).to_string();
            assert!(shown.starts_with("\\x"), "{character:?} is {shown}");
            assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
        }
    }
}
