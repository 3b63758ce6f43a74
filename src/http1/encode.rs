//! The bytes of a response head, and of a chunk
//! (RFC 9112 sections 4, 6.1 and 7.1; RFC 9110 section 8.6).

use std::fmt;

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;

use super::persist;
use super::persist::Persist;

/// 9999-12-31T23:59:59Z, in seconds since 1970: the last second that has an
/// IMF-fixdate (RFC 9110 section 5.6.7), and the last that httpdate accepts.
pub(crate) const LAST_DATE: u64 = 253_402_300_799;

/// How a client finds the end of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    Chunked,
    UntilClose,
    /// There is no body, or the bytes after the head are not HTTP.
    None,
}

impl Length {
    /// The length in bytes, if it is known.
    pub(crate) fn known(self) -> Option<u64> {
        match self {
            Self::Known(length) => Some(length),
            Self::Chunked | Self::UntilClose | Self::None => None,
        }
    }
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

/// What the handler's header fields say where the server decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    /// The handler set `Date`.
    pub(crate) date: bool,
    /// The handler's `Connection` lists `close`.
    pub(crate) close: bool,
    /// The handler set `Upgrade`.
    pub(crate) upgrade: bool,
    /// The handler's `Content-Length`, if it is a number.
    pub(crate) length: Option<u64>,
}

/// What [`finish_head`] adds to a head, or decides by.
#[derive(Debug)]
pub(crate) struct HeadParts<'a> {
    pub(crate) status: StatusCode,
    pub(crate) stated: Stated,
    pub(crate) length: Length,
    pub(crate) persist: Persist,
    /// The request's version.
    pub(crate) version: Version,
    /// The [line](date_line) of the field `Date`. Empty if the format cannot express
    /// the clock's time.
    pub(crate) date_line: &'a str,
}

/// Appends the status line and the handler's fields to `out`.
///
/// The server frames the response: `Content-Length`, `Transfer-Encoding` and
/// `Connection` in `headers` are left out. The types of names and values rule out
/// CR and LF, so a response cannot be split.
pub(crate) fn begin_head(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) -> Stated {
    status_line(out, status);
    let mut stated = Stated::default();
    for (name, value) in headers {
        match *name {
            header::CONTENT_LENGTH => {
                stated.length = stated.length.or_else(|| value.to_str().ok()?.parse().ok());
                continue;
            }
            header::TRANSFER_ENCODING => continue,
            header::CONNECTION => {
                stated.close |= persist::lists(value, "close");
                continue;
            }
            header::UPGRADE => stated.upgrade = true,
            header::DATE => stated.date = true,
            _ => {}
        }
        field(out, name.as_str(), value.as_bytes());
    }
    stated
}

/// Appends the server's own fields and the empty line that ends the head.
pub(crate) fn finish_head(out: &mut Vec<u8>, parts: &HeadParts<'_>) {
    if !parts.stated.date {
        out.extend_from_slice(parts.date_line.as_bytes());
    }
    match parts.length {
        _ if is_bodiless(parts.status) => {}
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

/// The interim response that tells a client to send its body (RFC 9110 section
/// 15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The line before a chunk's data. `data` must not be empty: an empty chunk ends
/// the body.
pub(crate) fn chunk_head(data: &[u8]) -> Vec<u8> {
    debug_assert!(!data.is_empty(), "an empty chunk ends the body");
    format!("{:x}\r\n", data.len()).into_bytes()
}

/// The bytes after a chunk's data.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// The bytes that end a chunked body without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        // Most answers, in one step.
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The field `Date`, with its line end. `date` is an IMF-fixdate, such as
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn date_line(date: impl fmt::Display) -> String {
    format!("date: {date}\r\n")
}

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
        let stated = begin_head(&mut out, status, &headers);
        let parts = HeadParts {
            status,
            stated,
            length,
            persist,
            version,
            date_line: &date_line(DATE),
        };
        finish_head(&mut out, &parts);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_server_frames_a_response_whatever_the_handler_says() {
        let close = Persist::Close(CloseReason::Client);
        assert_eq!(
            encoded(200, Length::Known(5), close, Version::HTTP_11),
            "HTTP/1.1 200 OK\r\nx-kept: yes\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             content-length: 5\r\nconnection: close\r\n\r\n"
        );
    }

    #[test]
    fn fields_that_the_server_decides_are_reported() {
        let mut headers = HeaderMap::new();
        headers.append("connection", "x, Close".parse().unwrap());
        headers.append("content-length", "no number".parse().unwrap());
        headers.append("content-length", "7".parse().unwrap());
        headers.append("upgrade", "websocket".parse().unwrap());
        headers.append("date", DATE.parse().unwrap());
        let mut out = Vec::new();
        let stated = begin_head(&mut out, StatusCode::OK, &headers);
        let all = Stated {
            date: true,
            close: true,
            upgrade: true,
            length: Some(7),
        };
        assert_eq!(stated, all);
    }

    #[test]
    fn no_date_field_if_the_clock_has_no_date() {
        let mut out = Vec::new();
        let parts = HeadParts {
            status: StatusCode::OK,
            stated: Stated::default(),
            length: Length::None,
            persist: Persist::KeepAlive,
            version: Version::HTTP_11,
            date_line: "",
        };
        finish_head(&mut out, &parts);
        assert_eq!(out, b"\r\n");
    }

    #[test]
    fn only_http_1_0_gets_connection_keep_alive() {
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
