//! The parameters of a field value: `; name=value; name="quoted value"` (RFC 9110
//! section 5.6.6).

/// The parameters of a value, in their order.
#[derive(Debug, PartialEq)]
pub(super) struct Parameters(Vec<(String, String)>);

/// A value that does not follow the grammar, or in which a parameter is repeated.
#[derive(Debug, PartialEq)]
pub(super) struct Malformed;

impl Parameters {
    /// Splits a value into what stands before its first parameter, in lower case, and its
    /// parameters.
    ///
    /// In a quoted value, a backslash escapes a quote or a backslash only, because some
    /// clients send the path of a file on Windows as it is.
    pub(super) fn parse(value: &str) -> Result<(String, Self), Malformed> {
        let (essence, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches(BLANKS);
            if rest.is_empty() {
                break;
            }
            let (name, after) = rest.split_once('=').ok_or(Malformed)?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(Malformed);
            }
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => {
                    let end = after.find(';').unwrap_or(after.len());
                    let value = after[..end].trim_end_matches(BLANKS);
                    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
                    if !value.bytes().all(is_plain) {
                        return Err(Malformed);
                    }
                    (value.to_owned(), &after[end..])
                }
            };
            parameters.push((name.to_ascii_lowercase(), value));
            rest = after.trim_start_matches(BLANKS);
            if !rest.is_empty() {
                rest = rest.strip_prefix(';').ok_or(Malformed)?;
            }
        }
        let essence = essence.trim_matches(BLANKS).to_ascii_lowercase();
        Ok((essence, Self(parameters)))
    }

    /// The value of a parameter that must not be repeated.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, Malformed> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        let first = found.next().map(|(_, value)| &**value);
        match found.next() {
            Some(_) => Err(Malformed),
            None => Ok(first),
        }
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// `tchar` (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}

/// The text of a quoted string whose first quote has been taken, and what follows it.
fn unquote(quoted: &str) -> Result<(String, &str), Malformed> {
    let mut text = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((text, &quoted[at + 1..])),
            '\\' => {
                let escaped = characters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                text.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            _ => text.push(character),
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<(String, Vec<(String, String)>), Malformed> {
        Parameters::parse(value).map(|(essence, parameters)| (essence, parameters.0))
    }

    #[test]
    fn parameters_are_tokens_or_quoted() {
        for (value, essence, expected) in [
            ("form-data", "form-data", &[][..]),
            (" Form-Data ; ", "form-data", &[]),
            ("a; b=c; D=e,f ;", "a", &[("b", "c"), ("d", "e,f")]),
            (r#"a;b="";c="d;e=f" "#, "a", &[("b", ""), ("c", "d;e=f")]),
            (r#"a;b="\"\\";c="ü""#, "a", &[("b", "\"\\"), ("c", "ü")]),
            (r#"a;b="C:\dir\x.txt""#, "a", &[("b", r"C:\dir\x.txt")]),
            ("a;b=;b=", "a", &[("b", ""), ("b", "")]),
        ] {
            let parameters = expected.iter();
            let expected = parameters
                .map(|(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned()));
            let expected = (essence.to_owned(), expected.collect());
            assert_eq!(parse(value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_follows_no_grammar_is_malformed() {
        for value in [
            "a;b",
            "a;=c",
            "a;;b=c",
            r#"a;b="c"#,
            r#"a;b="c\"#,
            r#"a;b="c\""#,
            r#"a;b="c"d"#,
            r#"a;b="c" d=e"#,
            "a;ü=c",
            "a;b c=d",
            "a;b = c",
            "a;b=c d",
            "a;b=ü",
            "a;b=c\"d\"",
        ] {
            assert_eq!(parse(value), Err(Malformed), "{value}");
        }
    }

    #[test]
    fn a_repeated_parameter_is_malformed_when_it_is_used() {
        let (_, parameters) = Parameters::parse("a;B=1;c=2;b=3").unwrap();
        assert_eq!(parameters.get("b"), Err(Malformed));
        assert_eq!(parameters.get("c"), Ok(Some("2")));
        assert_eq!(parameters.get("d"), Ok(None));
    }
}
