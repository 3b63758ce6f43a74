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
        let mut escaping = Escaping(f, as_bytes);
        write!(escaping, "{}", self.0)
    }
}

/// Shows a value as a JSON string in quotes, in visible ASCII and spaces. A parser of
/// JSON gets the text as it was.
///
/// Every character that is not visible ASCII or a space is escaped, although JSON would
/// take most of them as they are: they could control the terminal that shows the line.
pub(crate) struct JsonString<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for JsonString<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut escaping = Escaping(f, as_utf16);
        write!(escaping, "{}", self.0)?;
        f.write_char('"')
    }
}

/// Escapes the text that is written through it. The function shows a character that is
/// not visible ASCII or a space.
struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>, ShowHidden);

type ShowHidden = fn(&mut fmt::Formatter<'_>, char) -> fmt::Result;

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let Self(f, show_hidden) = self;
        text.chars().try_for_each(|character| match character {
            '"' | '\\' => write!(f, "\\{character}"),
            ' '..='~' => f.write_char(character),
            _ => show_hidden(f, character),
        })
    }
}

fn as_bytes(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    let mut buffer = [0; 4];
    let mut bytes = character.encode_utf8(&mut buffer).bytes();
    bytes.try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

fn as_utf16(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    let mut buffer = [0; 2];
    let mut units = character.encode_utf16(&mut buffer).iter();
    units.try_for_each(|unit| write!(f, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_string_is_ascii_and_a_parser_gets_every_character_back() {
        assert_eq!(JsonString("a\"b\\\n").to_string(), r#""a\"b\\\u000a""#);
        assert_eq!(JsonString('\u{1f600}').to_string(), r#""\ud83d\ude00""#);
        for first in (0..=0x10_ffff).step_by(0x100) {
            let text: String = (first..first + 0x100).filter_map(char::from_u32).collect();
            let shown = JsonString(&text).to_string();
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }
    }

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
