//! The bytes of a response head, and of a chunk
//! (RFC 9112 sections 4, 6.1 and 7.1; RFC 9110 section 8.6).

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;

use super::persist::Persist;

/// How a client finds the end of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    Chunked,
    UntilClose,
    /// There is no body, or it is none of HTTP's business.
    None,
}

/// Whether a response to this method, with this status, may carry a body
/// (RFC 9112 section 6.3).
pub(crate) fn may_have_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !is_bodiless(status)
}

fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Everything that a response head is made of.
#[derive(Debug)]
pub(crate) struct HeadParts<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) length: Length,
    pub(crate) persist: Persist,
    /// Of the request.
    pub(crate) version: Version,
    /// An IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) date: &'a str,
}

/// Appends a response head to `out`.
///
/// The framing is ours: `Content-Length`, `Transfer-Encoding` and `Connection`
/// among `headers` are left out. Names and values cannot hold CR or LF by
/// their types, so a response cannot be split.
pub(crate) fn encode_head(out: &mut Vec<u8>, parts: &HeadParts<'_>) {
    let status = parts.status;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");

    let mut dated = false;
    for (name, value) in parts.headers {
        match *name {
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION => continue,
            header::DATE => dated = true,
            _ => {}
        }
        field(out, name.as_str(), value.as_bytes());
    }
    if !dated {
        field(out, "date", parts.date.as_bytes());
    }
    match parts.length {
        _ if is_bodiless(status) => {}
        Length::Known(length) => {
            let mut digits = itoa::Buffer::new();
            field(out, "content-length", digits.format(length).as_bytes());
        }
        Length::Chunked => field(out, "transfer-encoding", b"chunked"),
        Length::UntilClose | Length::None => {}
    }
    match parts.persist {
        Persist::Upgrade => field(out, "connection", b"upgrade"),
        Persist::Close(_) => field(out, "connection", b"close"),
        Persist::KeepAlive if parts.version == Version::HTTP_10 => {
            field(out, "connection", b"keep-alive");
        }
        Persist::KeepAlive => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// The interim response that asks for a body (RFC 9110 section 15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The line before a chunk's data. An empty chunk would end the body, so there
/// must be data.
pub(crate) fn chunk_head(data: &[u8]) -> Vec<u8> {
    debug_assert!(!data.is_empty(), "an empty chunk ends the body");
    format!("{:x}\r\n", data.len()).into_bytes()
}

/// The bytes after a chunk's data.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// The bytes that end a chunked body without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::super::persist::CloseReason;
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn encoded(status: u16, length: Length, persist: Persist, version: Version) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", "99".parse().unwrap());
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("x-kept", "yes".parse().unwrap());
        let mut out = Vec::new();
        let status = StatusCode::from_u16(status).unwrap();
        let parts = HeadParts {
            status,
            headers: &headers,
            length,
            persist,
            version,
            date: DATE,
        };
        encode_head(&mut out, &parts);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_framing_is_ours_whatever_the_handler_says() {
        let close = Persist::Close(CloseReason::Client);
        assert_eq!(
            encoded(200, Length::Known(5), close, Version::HTTP_11),
            "HTTP/1.1 200 OK\r\nx-kept: yes\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             content-length: 5\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn http_1_0_is_told_that_it_may_stay() {
        let head = encoded(200, Length::Known(0), Persist::KeepAlive, Version::HTTP_10);
        assert!(head.contains("connection: keep-alive\r\n"), "{head}");
        let head = encoded(200, Length::Chunked, Persist::KeepAlive, Version::HTTP_11);
        assert!(!head.contains("connection:"), "{head}");
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    }

    #[test]
    fn statuses_without_a_body_have_no_framing() {
        for status in [204, 304] {
            let head = encoded(
                status,
                Length::Known(5),
                Persist::KeepAlive,
                Version::HTTP_11,
            );
            assert!(!head.contains("content-length"), "{head}");
        }
        assert!(!may_have_body(&Method::HEAD, StatusCode::OK));
        assert!(!may_have_body(&Method::GET, StatusCode::NO_CONTENT));
        assert!(may_have_body(&Method::GET, StatusCode::OK));
    }

    #[test]
    fn a_chunk_states_its_size_in_hexadecimal() {
        assert_eq!(chunk_head(&[0; 26]), b"1a\r\n");
    }
}
