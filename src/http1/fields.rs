//! The header fields of a request, as they came. What the server itself has to
//! know is found out at once; a map of them is made when somebody asks for it.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

/// The most header lines that [`Limits::headers`](super::head::Limits::headers) may
/// allow.
pub(crate) const HEADERS_CAP: usize = 256;

/// What a map of fields can hold as a name.
const NAME_BYTES_MAX: usize = u16::MAX as usize;

/// A head whose fields were found to be well-formed.
#[derive(Debug)]
pub(crate) struct Fields {
    head: Bytes,
    /// What counts instead of the field `Host`.
    host: Option<HeaderValue>,
    map: OnceLock<Box<HeaderMap>>,
}

impl Fields {
    pub(super) fn new(head: Bytes, host: Option<HeaderValue>) -> Self {
        Self {
            head,
            host,
            map: OnceLock::new(),
        }
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| Box::new(self.to_map()))
    }

    fn to_map(&self) -> HeaderMap {
        let mut fields = [const { MaybeUninit::uninit() }; HEADERS_CAP];
        let mut request = httparse::Request::new(&mut []);
        request
            .parse_with_uninit_headers(&self.head, &mut fields)
            .expect("it was parsed before");
        let mut map = HeaderMap::with_capacity(request.headers.len() + 1);
        for field in request.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_maybe_shared(slice(&self.head, field.value));
            map.append(
                name.expect("httparse takes no other names"),
                value.expect("httparse takes no other values"),
            );
        }
        if let Some(host) = &self.host {
            map.insert(header::HOST, host.clone());
        }
        map
    }
}

/// The part of `head`, which httparse has found in it, that shares its memory.
pub(super) fn slice(head: &Bytes, part: &[u8]) -> Bytes {
    let start = part.as_ptr().addr() - head.as_ptr().addr();
    head.slice(start..start + part.len())
}

/// Which of the fields are there that are about the message itself, or the
/// connection. Most requests have none, and nobody needs a map for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present {
    /// `Content-Length` or `Transfer-Encoding`.
    pub(crate) framing: bool,
    pub(crate) expect: bool,
    pub(crate) connection: bool,
    pub(crate) upgrade: bool,
}

/// What the server has to know of the fields of a head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noted<'a> {
    pub(super) present: Present,
    pub(super) hosts: usize,
    /// The last of them.
    pub(super) host: Option<&'a [u8]>,
    /// A name is longer than a map can hold.
    pub(super) too_long: bool,
}

impl<'a> Noted<'a> {
    pub(super) fn of(fields: &[httparse::Header<'a>]) -> Self {
        let mut noted = Self::default();
        for field in fields {
            noted.note(field);
        }
        noted
    }

    fn note(&mut self, field: &httparse::Header<'a>) {
        let is = |name: HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
        let present = &mut self.present;
        // Few names have these lengths, and none has to be looked up.
        match field.name.len() {
            4 if is(header::HOST) => {
                self.hosts += 1;
                self.host = Some(field.value);
            }
            6 if is(header::EXPECT) => present.expect = true,
            7 if is(header::UPGRADE) => present.upgrade = true,
            10 if is(header::CONNECTION) => present.connection = true,
            14 if is(header::CONTENT_LENGTH) => present.framing = true,
            17 if is(header::TRANSFER_ENCODING) => present.framing = true,
            length => self.too_long |= length > NAME_BYTES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(head: &[u8]) -> bool {
        let mut fields = [httparse::EMPTY_HEADER; 4];
        let parsed = httparse::Request::new(&mut fields).parse(head);
        parsed.is_ok_and(|parsed| parsed.is_complete())
    }

    /// So a map can be made of whatever was parsed.
    #[test]
    fn what_httparse_takes_is_a_name_and_a_value() {
        for byte in 0..=u8::MAX {
            let name = [b"x", &[byte][..], b"y"].concat();
            let head = [b"GET / HTTP/1.1\r\n", &name[..], b": v\r\n\r\n"].concat();
            // A colon ends the name.
            let name = if byte == b':' { &name[..1] } else { &name };
            assert!(
                !parses(&head) || HeaderName::from_bytes(name).is_ok(),
                "{byte}"
            );
            for value in [&[b'v', byte, b'v'][..], &[byte, b'v'], &[b'v', byte]] {
                let head = [b"GET / HTTP/1.1\r\nx: ", value, b"\r\n\r\n"].concat();
                let value = value.trim_ascii();
                assert!(
                    !parses(&head) || HeaderValue::from_bytes(value).is_ok(),
                    "{byte}"
                );
            }
        }
    }

    #[test]
    fn a_map_has_every_field_in_any_case_and_as_often_as_it_came() {
        let head = "GET / HTTP/1.1\r\nHOST: a\r\nX-Y: 1\r\nx-y:\r\nAccept: \t b \r\n\r\n";
        let fields = Fields::new(Bytes::from(head), None);
        let map = fields.map();
        assert_eq!(map.len(), 4);
        assert_eq!(map["host"], "a");
        assert_eq!(map["accept"], "b");
        assert!(map.get_all("x-y").iter().eq(["1", ""]));
        let fields = Fields::new(Bytes::from(head), Some(HeaderValue::from_static("b")));
        assert_eq!(fields.map()["host"], "b");
    }

    #[test]
    fn what_is_about_the_message_is_noted_in_any_case() {
        let field = |name: &'static str| {
            let value = b"v".as_slice();
            Noted::of(&[httparse::Header { name, value }])
        };
        assert!(field("content-LENGTH").present.framing);
        assert!(field("Transfer-Encoding").present.framing);
        assert!(field("EXPECT").present.expect);
        assert!(field("connection").present.connection);
        assert!(field("Upgrade").present.upgrade);
        assert_eq!(field("Host").host, Some(&b"v"[..]));
        let other = field("X-Content-Length").present;
        assert!(!other.framing && !other.expect && !other.connection && !other.upgrade);
    }
}
