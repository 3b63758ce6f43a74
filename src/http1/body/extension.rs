//! The extensions of a chunk, byte by byte (RFC 9112 section 7.1.1). The server
//! ignores them, but checks their syntax: another parser on the way may take a
//! malformed extension for the end of the line.
//!
//! ```text
//!            +------------ ; ----------------------+
//!            v                                     |
//!  Blank -;-> BeforeName --> Name ---------------> |
//!    ^                        | \--> AfterName --> |
//!    |                        =        | =         |
//!    |                        v        v           |
//!    |                        BeforeValue          |
//!    |                        |         "          |
//!    |                        v         v          |
//!    |                      Token    Quoted <-> Escape
//!    |                        |         "          |
//!    |                        |         v          |
//!    +------- blank ----------+----- QuotedEnd ----+
//! ```

use crate::http1::Refusal;
use crate::http1::grammar::is_blank;
use crate::http1::grammar::is_text;
use crate::http1::grammar::is_token;

/// The position of the next byte in the extensions of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// In blanks behind the size or a value. Another extension must follow.
    Blank,
    /// Behind a semicolon, or in the blanks after it.
    BeforeName,
    Name,
    /// In blanks behind a name.
    AfterName,
    /// Behind an equals sign, or in the blanks after it.
    BeforeValue,
    Token,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escape,
    QuotedEnd,
}

const MALFORMED: Refusal = Refusal::bad_request("invalid chunk extension");

impl Extension {
    /// The position behind `byte`.
    pub(super) fn next(self, byte: u8) -> Result<Self, Refusal> {
        Ok(match (self, byte) {
            (Self::Quoted, b'"') => Self::QuotedEnd,
            (Self::Quoted, b'\\') => Self::Escape,
            (Self::Quoted | Self::Escape, _) if is_text(byte) => Self::Quoted,

            (Self::BeforeName | Self::Name, _) if is_token(byte) => Self::Name,
            (Self::BeforeValue, b'"') => Self::Quoted,
            (Self::BeforeValue | Self::Token, _) if is_token(byte) => Self::Token,

            (Self::BeforeName | Self::BeforeValue, _) if is_blank(byte) => self,
            (Self::Name | Self::AfterName, _) if is_blank(byte) => Self::AfterName,
            (Self::Blank | Self::Token | Self::QuotedEnd, _) if is_blank(byte) => Self::Blank,

            (Self::Name | Self::AfterName, b'=') => Self::BeforeValue,
            (Self::Blank | Self::Name | Self::AfterName | Self::Token | Self::QuotedEnd, b';') => {
                Self::BeforeName
            }
            _ => return Err(MALFORMED),
        })
    }

    /// Whether the line may end here. It may not end with blanks.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::QuotedEnd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `extensions` may stand between a size and its CR.
    fn is_well_formed(extensions: &str) -> bool {
        let mut at = Extension::Blank;
        for byte in extensions.bytes() {
            match at.next(byte) {
                Ok(next) => at = next,
                Err(_) => return false,
            }
        }
        at.may_end()
    }

    #[test]
    fn an_extension_is_a_name_and_perhaps_a_value() {
        for fine in [
            ";a",
            ";a=b",
            ";a=\"\"",
            ";a=\"b;c=d\"",
            ";a=\"\\\"\\\\\\b\"",
            ";a=\"\t \u{fc}\"",
            ";a;b=c;d=\"e\";f",
            " \t; \ta \t= \tb \t; \tc",
            ";a ;b",
            ";a=b ;c",
            ";a=\"b\" ;c",
            ";!#$%&'*+-.^_`|~=1",
        ] {
            assert!(is_well_formed(fine), "{fine}");
        }
        for wrong in [
            "",
            " ",
            "a",
            ";",
            "; ",
            ";;",
            ";a;",
            ";=b",
            ";a=",
            ";a= ",
            ";a=;b",
            ";a==b",
            ";a=b=c",
            ";a b",
            ";a=b c",
            ";a=\"b",
            ";a=\"b\\\"",
            ";a=\"b\"c",
            ";a=\"b\"\"c\"",
            ";a=b\"c\"",
            ";\"a\"",
            ";bad[=x",
            ";a=[",
            ";a=b[",
            ";a,b",
            ";\u{fc}",
            ";a=\u{fc}",
            ";a=\"\0\"",
            ";a=\"\x7f\"",
            ";a=\"\\\x01\"",
            ";a=\"\n\"",
            ";a ",
            ";a=b ",
            ";a=\"b\"\t",
        ] {
            assert!(!is_well_formed(wrong), "{wrong:?}");
        }
    }
}
