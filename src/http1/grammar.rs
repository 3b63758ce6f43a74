//! Classes of bytes that several grammars share.

/// `tchar`: the characters of a method, a field name or the name of a chunk
/// extension (RFC 9110 section 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The characters of `OWS` and `BWS` (RFC 9110 section 5.6.3).
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `HTAB / SP / VCHAR / obs-text`: what may follow a backslash in a quoted
/// string (RFC 9110 section 5.6.4).
pub(super) const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// `unreserved` (RFC 3986 section 2.3).
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `sub-delims` (RFC 3986 section 2.2).
pub(super) const fn is_sub_delim(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(is_in: impl Fn(u8) -> bool) -> String {
        (0..=127)
            .filter(|&byte| is_in(byte))
            .map(char::from)
            .filter(|character| !character.is_ascii_alphanumeric())
            .collect()
    }

    #[test]
    fn the_classes_are_those_of_the_grammars() {
        assert_eq!(class(is_token), "!#$%&'*+-.^_`|~");
        assert_eq!(class(is_unreserved), "-._~");
        assert_eq!(class(is_sub_delim), "!$&'()*+,;=");
        for byte in b'0'..=b'z' {
            let both = is_token(byte) && is_unreserved(byte) && !is_sub_delim(byte);
            assert!(!byte.is_ascii_alphanumeric() || both, "{byte}");
        }
        for byte in 0..=u8::MAX {
            let control = byte.is_ascii_control() && byte != b'\t';
            assert_eq!(is_text(byte), !control, "{byte}");
        }
    }
}
