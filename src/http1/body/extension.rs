//! The extensions of a chunk, byte by byte (RFC 9112 section 7.1.1). They are
//! checked and mean nothing: what one parser takes for an extension, another
//! may take for the end of the line.
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

/// Where in the extensions of a chunk the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// In blanks behind the size or behind a value. Another extension follows.
    Blank,
    /// Behind the semicolon, blanks included.
    BeforeName,
    Name,
    /// In blanks behind a name.
    AfterName,
    /// Behind the equals sign, blanks included.
    BeforeValue,
    Token,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escape,
    QuotedEnd,
}

const MALFORMED: Refusal = Refusal::bad_request("a chunk extension is not valid");

impl Extension {
    /// Where the byte behind this one stands.
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

    /// Whether the line may end here. Blanks stand before something only.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::QuotedEnd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether this may stand between a size and its CR.
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
