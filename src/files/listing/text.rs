//! Names on a page: as text, and as links.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_encode;

/// Every byte but the unreserved ones (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A relative reference to an entry of the folder. `./` keeps a name with a colon from
/// being a scheme (RFC 3986 section 4.2).
pub(super) fn push_link(name: &[u8], out: &mut String) {
    out.push_str("./");
    out.extend(percent_encode(name, RESERVED));
}

/// A name as HTML. What has no shape of its own, or would change that of its neighbours,
/// is a `<code>` with its number: bytes that are not UTF-8 (`\xFF`), control characters,
/// and characters that are invisible or change the direction of the text (`U+202E`). No
/// text of a name looks like one, because the page gives them a frame.
pub(super) fn push_name(name: &[u8], out: &mut String) {
    if name.iter().all(|&byte| is_plain(byte))
        && let Ok(name) = str::from_utf8(name)
    {
        out.push_str(name);
        return;
    }
    for chunk in name.utf8_chunks() {
        let valid = chunk.valid();
        let mut shown = 0;
        for (start, character) in valid.char_indices() {
            let end = start + character.len_utf8();
            if is_invisible(character) {
                push_escaped(&valid[shown..start], out);
                out.push_str("<code>U+");
                push_hex(u32::from(character), 4, out);
                out.push_str("</code>");
                shown = end;
            }
        }
        push_escaped(&valid[shown..], out);
        for &byte in chunk.invalid() {
            out.push_str("<code>\\x");
            push_hex(u32::from(byte), 2, out);
            out.push_str("</code>");
        }
    }
}

/// A name where HTML has no elements, as in a `<title>`: what [`push_name`] frames is
/// U+FFFD.
pub(super) fn push_plain_name(name: &[u8], out: &mut String) {
    let visible = |character| match is_invisible(character) {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    };
    let text = String::from_utf8_lossy(name);
    let text: String = text.chars().map(visible).collect();
    push_escaped(&text, out);
}

/// The bytes of most names, which need no care.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')
}

fn push_escaped(text: &str, out: &mut String) {
    let mut shown = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out.push_str(&text[shown..at]);
        out.push_str(escape);
        shown = at + 1;
    }
    out.push_str(&text[shown..]);
}

/// Control characters (C0, DEL, C1), and what Unicode has for layout alone: separators of
/// lines, marks, embeddings, overrides and isolates of direction, characters of no width.
/// The joiners U+200C and U+200D stay: words and emoji need them.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

fn push_hex(number: u32, digits: u32, out: &mut String) {
    let longest = (1..=8).rev().find(|&place| number >> (4 * (place - 1)) > 0);
    for place in (0..digits.max(longest.unwrap_or_default())).rev() {
        let digit = char::from_digit(number >> (4 * place) & 0xf, 16);
        let digit = digit.expect("four bits are a digit of base 16");
        out.push(digit.to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &[u8]) -> String {
        let mut out = String::new();
        push_link(name, &mut out);
        out
    }

    fn shown(name: &[u8]) -> String {
        let mut out = String::new();
        push_name(name, &mut out);
        out
    }

    fn plain(name: &[u8]) -> String {
        let mut out = String::new();
        push_plain_name(name, &mut out);
        out
    }

    #[test]
    fn links_have_only_unreserved_bytes_and_escapes() {
        for (name, expected) in [
            (&b"a-b.c_d~E9"[..], "./a-b.c_d~E9"),
            (b"a b", "./a%20b"),
            (b"a:b", "./a%3Ab"),
            (b"javascript:alert(1)", "./javascript%3Aalert%281%29"),
            (b"%2e", "./%252e"),
            (b"?#&;=+", "./%3F%23%26%3B%3D%2B"),
            (b"\"'<>\\", "./%22%27%3C%3E%5C"),
            (b"\n\0\x7f\xff", "./%0A%00%7F%FF"),
            ("ü".as_bytes(), "./%C3%BC"),
        ] {
            assert_eq!(link(name), expected);
        }
        for byte in 0..=255 {
            let link = link(&[byte]);
            let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert_eq!(link.len(), if is_unreserved { 3 } else { 5 }, "{link}");
        }
    }

    #[test]
    fn names_are_escaped_and_what_is_invisible_is_shown() {
        for (name, expected, in_title) in [
            (&b"a b.txt"[..], "a b.txt", "a b.txt"),
            (
                b"<b>&\"'",
                "&lt;b&gt;&amp;&quot;&#39;",
                "&lt;b&gt;&amp;&quot;&#39;",
            ),
            (b"a\nb", "a<code>U+000A</code>b", "a\u{fffd}b"),
            (
                b"\xff<\xfe\xc3",
                "<code>\\xFF</code>&lt;<code>\\xFE</code><code>\\xC3</code>",
                "\u{fffd}&lt;\u{fffd}\u{fffd}",
            ),
            (
                "x\u{202e}gpj.exe".as_bytes(),
                "x<code>U+202E</code>gpj.exe",
                "x\u{fffd}gpj.exe",
            ),
            ("ü\u{85}é".as_bytes(), "ü<code>U+0085</code>é", "ü\u{fffd}é"),
            (
                "👩\u{200d}👧 שלום".as_bytes(),
                "👩\u{200d}👧 שלום",
                "👩\u{200d}👧 שלום",
            ),
            (b"", "", ""),
        ] {
            assert_eq!(shown(name), expected);
            assert_eq!(plain(name), in_title);
        }
    }

    #[test]
    fn no_character_is_raw_that_html_or_the_order_of_text_gives_a_meaning() {
        for character in '\0'..='\u{ffff}' {
            let name = character.to_string();
            for text in [shown(name.as_bytes()), plain(name.as_bytes())] {
                let text = text.replace("<code>", "").replace("</code>", "");
                assert!(
                    !text.contains(['<', '>', '"', '\'']),
                    "{character:?}: {text}"
                );
                assert!(!text.contains(is_invisible), "{character:?}: {text}");
            }
        }
        for byte in 0..=255_u8 {
            assert!(!shown(&[byte, b'a']).contains('\u{fffd}'));
        }
    }

    #[test]
    fn numbers_of_characters_have_four_digits_or_more() {
        let hex = |number, digits| {
            let mut out = String::new();
            push_hex(number, digits, &mut out);
            out
        };
        assert_eq!(hex(0xa, 4), "000A");
        assert_eq!(hex(0x1_f600, 4), "1F600");
        assert_eq!(hex(0, 2), "00");
        assert_eq!(hex(0xff, 2), "FF");
    }
}
