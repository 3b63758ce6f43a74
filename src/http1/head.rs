//! The head of a request: request line and header fields
//! (RFC 9112 sections 2, 3 and 5).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;

use super::Refusal;
use super::authority;
use super::fields::Fields;
use super::fields::HEADERS_CAP;
use super::fields::Noted;
use super::fields::Present;
use super::request_line;
use super::request_line::BAD_VERSION;
use super::request_line::METHOD_BYTES_MAX;
use super::request_line::METHOD_TOO_LONG;
use super::request_line::RequestLine;
use super::target;
use super::target::Target;

/// The limits of a request head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) head_bytes: usize,
    pub(crate) headers: usize,
    pub(crate) target_bytes: usize,
}

/// A complete and valid request head.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) present: Present,
    pub(crate) fields: Fields,
}

impl Head {
    pub(crate) fn request_line(&self) -> RequestLine {
        RequestLine::of_head(self.fields.head().clone())
    }

    /// The fields as a map, which the first call builds.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.fields.map()
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        self.fields.map_mut()
    }
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "callers destructure it at once")]
pub(crate) enum Parsed {
    /// The head is valid so far, and not complete.
    Partial,
    /// The head takes `length` bytes. The body begins after them.
    Complete { head: Head, length: usize },
}

/// Parses the head at the start of `input`.
///
/// The result depends on the bytes alone, and not on how reads split them, except
/// that a mistake may be found before the head is complete. Therefore no byte
/// beyond `limits.head_bytes` is looked at, and a mistake takes precedence over a
/// mistake behind it.
pub(crate) fn parse(input: &[u8], limits: &Limits) -> Result<Parsed, Refusal> {
    let input = &input[..input.len().min(limits.head_bytes)];
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_CAP];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(input, &mut fields[..limits.headers]);
    let method_too_long = match request.method {
        Some(method) => method.len() > METHOD_BYTES_MAX,
        None => request_line::begins_with_long_method(input),
    };
    if method_too_long {
        return Err(METHOD_TOO_LONG);
    }
    let target_too_long = |target: &str| target.len() > limits.target_bytes;
    if request.path.is_some_and(target_too_long) {
        return Err(target::TOO_LONG);
    }
    match status {
        Ok(httparse::Status::Complete(length)) => {
            check_line_ends(&input[..length], &request)?;
            let head = build(&request, &input[..length])?;
            return Ok(Parsed::Complete { head, length });
        }
        Ok(httparse::Status::Partial) => {}
        Err(error) => {
            if let Some(refusal) = explain(error, behind_target(&request, input)) {
                return Err(refusal);
            }
        }
    }
    match request.path {
        _ if input.len() < limits.head_bytes => Ok(Parsed::Partial),
        None => Err(target::TOO_LONG),
        Some(_) => Err(TOO_LARGE),
    }
}

const TOO_LARGE: Refusal = Refusal::new(
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    "request header fields too large",
);

const BAD_LINE_END: Refusal =
    Refusal::bad_request("a line of the request head does not end with CR LF");

/// RFC 9112 section 2.2 lets a recipient accept a bare LF as the end of a line.
/// If a server does so and the proxy before it does not, the two can be made to
/// see different messages.
fn check_line_ends(head: &[u8], request: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    let end_of = |part: &[u8]| part.as_ptr().addr() - head.as_ptr().addr() + part.len();
    // httparse accepts a line feed only before the request line, behind the
    // version, behind each value, and at the end of the head.
    let line_end = |value: &[u8]| {
        let rest = head.get(end_of(value)..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        rest[blanks.count()..].starts_with(b"\r\n")
    };
    let target = request.path.unwrap_or_default().as_bytes();
    let version = " HTTP/1.1".len();
    let request_line = head.get(end_of(target) + version..).unwrap_or_default();
    let method = request.method.unwrap_or_default().as_bytes();
    let before = head
        .get(..end_of(method) - method.len())
        .unwrap_or_default();
    let well = before.chunks(2).all(|line_end| line_end == b"\r\n")
        && request_line.starts_with(b"\r\n")
        && request.headers.iter().all(|field| line_end(field.value))
        && head.ends_with(b"\r\n");
    match well {
        true => Ok(()),
        false => Err(BAD_LINE_END),
    }
}

/// The bytes behind the target, where the version belongs.
fn behind_target<'a>(request: &httparse::Request<'_, '_>, input: &'a [u8]) -> Option<&'a [u8]> {
    let target = request.path?.as_bytes();
    let end = target.as_ptr().addr() - input.as_ptr().addr() + target.len();
    input.get(end + " ".len()..)
}

/// The refusal of a head that httparse rejects. `None` if further bytes decide
/// which refusal it is.
fn explain(error: httparse::Error, behind_target: Option<&[u8]>) -> Option<Refusal> {
    use httparse::Error;

    Some(match error {
        Error::TooManyHeaders => Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too many request header fields",
        ),
        Error::Version => return request_line::refused_version(behind_target.unwrap_or_default()),
        Error::HeaderName => Refusal::bad_request(
            "invalid header field name, or a header field folded over two lines",
        ),
        Error::HeaderValue => Refusal::bad_request("invalid header field value"),
        Error::NewLine => match behind_target.and_then(|rest| rest.get("HTTP/1.1".len())) {
            None | Some(b'\r' | b'\n') => BAD_LINE_END,
            // More characters follow a version that is valid by itself.
            Some(_) => BAD_VERSION,
        },
        _ => Refusal::bad_request("invalid request line"),
    })
}

fn build(request: &httparse::Request<'_, '_>, input: &[u8]) -> Result<Head, Refusal> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(Refusal::bad_request("incomplete request line"));
    };
    // One copy of the head. All values that outlive the input share its memory.
    let target = {
        let start = target.as_ptr().addr() - input.as_ptr().addr();
        start..start + target.len()
    };
    let head = Bytes::copy_from_slice(input);
    let target = head.slice(target);

    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Refusal::bad_request("invalid method"))?;
    let Target { uri, host } = target::read(&method, target)?;
    let version = match minor {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let noted = Noted::of(request.headers);
    if noted.too_long {
        return Err(Refusal::bad_request("header field name is too long"));
    }
    check_host(version, &noted)?;
    Ok(Head {
        method,
        uri,
        version,
        present: noted.present,
        fields: Fields::new(head, host),
    })
}

/// RFC 9112 section 3.2: HTTP/1.1 requires exactly one `Host`, and a valid one.
fn check_host(version: Version, noted: &Noted<'_>) -> Result<(), Refusal> {
    match noted.host {
        None if version == Version::HTTP_10 => Ok(()),
        None => Err(Refusal::bad_request("missing Host header field")),
        Some(_) if noted.hosts > 1 => Err(Refusal::bad_request("more than one Host header field")),
        // If the target has no host, the field is empty (RFC 9112 section 3.2).
        Some([]) => Ok(()),
        Some(host) if authority::is_plain(host) || authority::is_host_and_port(host) => Ok(()),
        Some(_) => Err(Refusal::bad_request("invalid Host header field")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        head_bytes: 1024,
        headers: 8,
        target_bytes: 100,
    };

    fn complete(input: &str) -> (Head, usize) {
        match parse(input.as_bytes(), &LIMITS) {
            Ok(Parsed::Complete { head, length }) => (head, length),
            other => panic!("{input:?} gave {other:?}"),
        }
    }

    fn refused(input: &str) -> u16 {
        match parse(input.as_bytes(), &LIMITS) {
            Err(refusal) => refusal.status.as_u16(),
            other => panic!("{input:?} gave {other:?}"),
        }
    }

    fn with_fields(fields: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        let (head, length) = complete("POST /a?b HTTP/1.1\r\nHost: a:1\r\nX-Y:  z \r\n\r\nbody");
        assert_eq!(head.method, Method::POST);
        assert_eq!(head.uri, "/a?b");
        assert_eq!(head.version, Version::HTTP_11);
        assert_eq!(head.headers()["x-y"], "z");
        assert_eq!(length, 43);
    }

    #[test]
    fn every_prefix_of_a_head_is_partial() {
        let whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..whole.len() {
            let parsed = parse(&whole.as_bytes()[..end], &LIMITS);
            assert!(matches!(parsed, Ok(Parsed::Partial)), "{end}: {parsed:?}");
        }
    }

    #[test]
    fn the_result_is_the_same_however_a_head_is_split() {
        let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "x".repeat(100));
        let large = with_fields(&format!("A: {}", "x".repeat(1024)));
        for (whole, status) in [
            (format!("{long_target}A\0: b\r\n\r\n"), 414),
            (format!("{long_target}{}\r\n", "A: b\r\n".repeat(8)), 414),
            (format!("{large}\0\r\n\r\n"), 431),
            (large.replace("A: x", "A: \0"), 400),
            ("GET / HTTP/2$0\r\n".to_owned(), 400),
            ("GET / HTTP/2.0 x\r\n".to_owned(), 400),
            ("GET / HTTP/2.0\r\n".to_owned(), 505),
            ("GET / HTTP/01.01\r\n".to_owned(), 400),
            (format!("{} / HTTP/1.1\r\n", "x".repeat(33)), 501),
            (format!("{}\0", "x".repeat(33)), 501),
            ("x".repeat(2000), 501),
            ("GET / HTTP/1\r\n\r\n".to_owned(), 400),
            ("GET / HTTP/1.x\r\n".to_owned(), 400),
        ] {
            let first = (0..=whole.len())
                .find_map(|end| parse(&whole.as_bytes()[..end], &LIMITS).err())
                .unwrap();
            assert_eq!(first.status, status, "{whole:?}");
            assert_eq!(refused(&whole), status, "{whole:?}");
        }
    }

    #[test]
    fn the_four_forms_of_a_target() {
        for target in ["/", "http://a/b?c", "http://a", "*"] {
            complete(&format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        complete("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
        assert_eq!(refused("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET  HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }

    #[test]
    fn the_host_of_an_absolute_target_replaces_the_field() {
        let (head, _) = complete("GET http://a:1/b HTTP/1.1\r\nHost: c\r\n\r\n");
        assert_eq!(head.headers()["host"], "a:1");
        let (head, _) = complete("GET http://a/b HTTP/1.0\r\n\r\n");
        assert_eq!(head.headers()["host"], "a");
        assert_eq!(refused("GET http://a/b HTTP/1.1\r\n\r\n"), 400);
    }

    #[test]
    fn a_bare_line_feed_ends_no_line() {
        assert_eq!(refused("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400);
        assert_eq!(refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a \t\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n"), 400);
        complete("GET / HTTP/1.1\r\nHost: a \t\r\nX:\r\nY: \r\n\r\n");
        complete("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }

    #[test]
    fn other_versions_than_1_0_and_1_1_are_refused() {
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
        assert_eq!(refused("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/01.01\r\nHost: a\r\n\r\n"), 400);
        for wrong in [
            "HTTP/1.10",
            "HTTP/01.01",
            "HTTP/1.1 ",
            "HTTP/1",
            "b HTTP/1.1",
        ] {
            let head = format!("GET / {wrong}\r\nHost: a\r\n\r\n");
            let refusal = parse(head.as_bytes(), &LIMITS).unwrap_err();
            assert_eq!(refusal, BAD_VERSION, "{wrong}");
        }
        assert_eq!(refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505);
        assert_eq!(refused("GET / HTTQ/1.1\r\n\r\n"), 400);
        assert_eq!(refused("GET /\r\n\r\n"), 400);
    }

    #[test]
    fn http_1_1_has_one_valid_host() {
        complete("GET / HTTP/1.0\r\n\r\n");
        complete("GET / HTTP/1.1\r\nHost:\r\n\r\n");
        complete("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
        let (head, _) = complete("GET / HTTP/1.1\r\nHost: a%41\r\n\r\n");
        assert_eq!(head.headers()["host"], "a%41");
        for wrong in ["[zz]", "[]", "[]:80", ":80", "a:65536"] {
            let head = format!("GET / HTTP/1.1\r\nHost: {wrong}\r\n\r\n");
            assert_eq!(refused(&head), 400, "{wrong}");
        }
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused(&with_fields("Host: a\r\n")), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    }

    #[test]
    fn ambiguous_lines_are_refused() {
        assert_eq!(refused(&with_fields("A: b\r\n c\r\n")), 400);
        assert_eq!(refused(&with_fields("A: b\r\n \t\r\n")), 400);
        assert_eq!(refused(&with_fields("A: b\rc\r\n")), 400);
        assert_eq!(refused(&with_fields("A : b\r\n")), 400);
        assert_eq!(refused(&with_fields("A: b\0c\r\n")), 400);
        assert_eq!(refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        assert_eq!(refused("\x16\x03\x01\x02\0\x01"), 400);
    }

    #[test]
    fn a_head_beyond_a_limit_is_refused() {
        let long = "x".repeat(101);
        assert_eq!(
            refused(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
            414
        );
        assert_eq!(refused(&format!("GET /{}", "x".repeat(1024))), 414);
        assert_eq!(
            refused(&with_fields(&format!("A: {}\r\n", "x".repeat(1024)))),
            431
        );
        assert_eq!(
            refused(&format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(1024))),
            431
        );
        assert_eq!(refused(&with_fields(&"A: b\r\n".repeat(8))), 431);
        complete(&with_fields(&"A: b\r\n".repeat(7)));
    }
}
