//! The head of a part: its header fields, its name (RFC 7578 section 4.2).

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use super::parameters::Malformed;
use super::parameters::Parameters;

/// The most header fields of a part. Browsers send two.
const FIELDS_MAX: usize = 32;

/// The most bytes of a boundary (RFC 2046 section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

#[derive(Debug)]
pub(super) struct PartHead {
    pub(super) headers: HeaderMap,
    pub(super) name: String,
    /// The last component of what the client sent.
    pub(super) file_name: Option<String>,
}

impl PartHead {
    /// Parses the lines of a head, each with its CRLF, and the empty line after them.
    /// The error says what is wrong.
    pub(super) fn parse(lines: &[u8]) -> Result<Self, &'static str> {
        let headers = header_map(lines).ok_or("a part has an invalid header field")?;
        let mut dispositions = headers.get_all(header::CONTENT_DISPOSITION).iter();
        let disposition = dispositions.next().ok_or(NO_NAME)?;
        let disposition = str::from_utf8(disposition.as_bytes());
        let disposition = disposition.map_err(|_| "the name of a part is not valid UTF-8")?;
        let (kind, parameters) = Parameters::parse(disposition).map_err(explain)?;
        if kind != "form-data" || dispositions.next().is_some() {
            return Err(INVALID_DISPOSITION);
        }
        let name = parameters.get("name").map_err(explain)?;
        let name = name.filter(|name| !name.is_empty()).ok_or(NO_NAME)?;
        let file_name = parameters.get("filename").map_err(explain)?;
        Ok(Self {
            name: name.to_owned(),
            file_name: file_name.map(last_component),
            headers,
        })
    }
}

const NO_NAME: &str = "a part has no name";
const INVALID_DISPOSITION: &str = "the Content-Disposition of a part is not valid";

fn explain(Malformed: Malformed) -> &'static str {
    INVALID_DISPOSITION
}

fn header_map(lines: &[u8]) -> Option<HeaderMap> {
    // httparse takes a bare LF for the end of a line.
    let bare = |at: usize| at == 0 || lines[at - 1] != b'\r';
    if memchr::memchr_iter(b'\n', lines).any(bare) {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let parsed = httparse::parse_headers(lines, &mut fields).ok()?;
    let httparse::Status::Complete((length, fields)) = parsed else {
        return None;
    };
    if length != lines.len() {
        return None;
    }
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(map)
}

/// What stands behind the last slash of either kind: some clients send a whole path.
/// Empty for `.` and `..`.
fn last_component(file_name: &str) -> String {
    let last = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    match last {
        "." | ".." => String::new(),
        name => name.to_owned(),
    }
}

/// Why a `Content-Type` has no boundary.
#[derive(Debug, PartialEq)]
pub(super) enum NoBoundary {
    /// It is of another type, or has no such parameter.
    Missing,
    Invalid,
}

/// The boundary in a `Content-Type`.
pub(super) fn boundary(content_type: &str) -> Result<String, NoBoundary> {
    let (media_type, parameters) =
        Parameters::parse(content_type).map_err(|Malformed| NoBoundary::Invalid)?;
    if media_type != "multipart/form-data" {
        return Err(NoBoundary::Missing);
    }
    let boundary = parameters.get("boundary");
    let boundary = boundary.map_err(|Malformed| NoBoundary::Invalid)?;
    let boundary = boundary.ok_or(NoBoundary::Missing)?;
    let is_of_boundary =
        |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_valid = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary.bytes().all(is_of_boundary)
        && !boundary.ends_with(' ');
    match is_valid {
        true => Ok(boundary.to_owned()),
        false => Err(NoBoundary::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &str) -> Result<(String, Option<String>), &'static str> {
        PartHead::parse(format!("{lines}\r\n\r\n").as_bytes())
            .map(|head| (head.name, head.file_name))
    }

    #[test]
    fn names_are_those_of_the_content_disposition() {
        for (parameters, name, file_name) in [
            ("name=a", "a", None),
            (r#"name="a b""#, "a b", None),
            (r#"filename="x.txt"; NAME="ü""#, "ü", Some("x.txt")),
            (r#"name="a"; filename="""#, "a", Some("")),
            (
                r#"name="a\"b%22"; filename="c\"d""#,
                "a\"b%22",
                Some("c\"d"),
            ),
            (
                r#"name=a; filename="../../etc/passwd""#,
                "a",
                Some("passwd"),
            ),
            (r#"name=a; filename="C:\dir\x.txt""#, "a", Some("x.txt")),
            (r#"name=a; filename="dir/..""#, "a", Some("")),
            (r#"name=a; filename="dir/""#, "a", Some("")),
            (r#"name=a; filename*=UTF-8''evil"#, "a", None),
            (
                r#"name=a; filename="x"; filename*=UTF-8''evil"#,
                "a",
                Some("x"),
            ),
        ] {
            let lines =
                format!("content-type: text/plain\r\nContent-Disposition: form-data; {parameters}");
            let expected = (name.to_owned(), file_name.map(str::to_owned));
            assert_eq!(parse(&lines), Ok(expected), "{parameters}");
        }
    }

    #[test]
    fn a_part_without_a_valid_name_is_refused() {
        for (lines, expected) in [
            ("Content-Type: text/plain", NO_NAME),
            ("Content-Disposition: form-data", NO_NAME),
            ("Content-Disposition: form-data; name=\"\"", NO_NAME),
            ("Content-Disposition: form-data; filename=a", NO_NAME),
            (
                "Content-Disposition: attachment; name=a",
                INVALID_DISPOSITION,
            ),
            (
                "Content-Disposition: form-data; name=a; name=b",
                INVALID_DISPOSITION,
            ),
            (
                "Content-Disposition: form-data; name=a; filename=b; filename=c",
                INVALID_DISPOSITION,
            ),
            (
                "Content-Disposition: form-data; name=\"a",
                INVALID_DISPOSITION,
            ),
            (
                "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
                INVALID_DISPOSITION,
            ),
        ] {
            assert_eq!(parse(lines), Err(expected), "{lines}");
        }
        let not_utf_8 = b"Content-Disposition: form-data; name=\"\xff\"\r\n\r\n";
        let error = PartHead::parse(not_utf_8).unwrap_err();
        assert_eq!(error, "the name of a part is not valid UTF-8");
        assert_eq!(PartHead::parse(b"\r\n").unwrap_err(), NO_NAME);
    }

    #[test]
    fn lines_that_are_no_header_fields_are_refused() {
        let disposition = "Content-Disposition: form-data; name=a";
        for line in [
            "a",
            ": b",
            "a b: c",
            " folded",
            "a: b\nc: d",
            "a: b\rc: d",
            "a: \0",
            "a\n: b",
        ] {
            let error = parse(&format!("{disposition}\r\n{line}"));
            assert_eq!(error, Err("a part has an invalid header field"), "{line:?}");
        }
        let many = format!("{disposition}{}", "\r\na: b".repeat(FIELDS_MAX));
        assert!(parse(&many).is_err());
        let fewer = format!("{disposition}{}", "\r\na: b".repeat(FIELDS_MAX - 1));
        assert!(parse(&fewer).is_ok());
    }

    #[test]
    fn boundaries_follow_their_grammar() {
        let longest = "x".repeat(70);
        for (parameter, expected) in [
            ("boundary=abc", "abc"),
            ("charset=utf-8; Boundary=\"a b\"", "a b"),
            ("boundary=a=/b", "a=/b"),
            (&format!("boundary={longest}"), &longest),
        ] {
            let value = format!("Multipart/Form-Data; {parameter}");
            assert_eq!(boundary(&value).as_deref(), Ok(expected), "{value}");
        }
        for (value, expected) in [
            ("", NoBoundary::Missing),
            ("multipart/form-data", NoBoundary::Missing),
            ("multipart/mixed; boundary=a", NoBoundary::Missing),
            ("text/plain", NoBoundary::Missing),
            ("multipart/form-data; boundary=", NoBoundary::Invalid),
            ("multipart/form-data; boundary=\"a \"", NoBoundary::Invalid),
            (
                "multipart/form-data; boundary=a; boundary=b",
                NoBoundary::Invalid,
            ),
            ("multipart/form-data; boundary=ü", NoBoundary::Invalid),
            ("multipart/form-data; boundary=\"a", NoBoundary::Invalid),
            (
                &format!("multipart/form-data; boundary={longest}x"),
                NoBoundary::Invalid,
            ),
        ] {
            assert_eq!(boundary(value), Err(expected), "{value}");
        }
    }
}
