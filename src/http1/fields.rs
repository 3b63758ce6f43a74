//! The header fields of a request. What the server needs is found at once; the
//! map of all fields is built when it is first used.

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

/// The longest name that a [`HeaderMap`] can hold.
const NAME_BYTES_MAX: usize = u16::MAX as usize;

/// The fields of a head that has been parsed.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    head: Bytes,
    /// Replaces the field `Host`: the host of an absolute target.
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

    /// Fields that no head on the wire had.
    pub(crate) fn of_map(map: HeaderMap) -> Self {
        Self {
            map: OnceLock::from(Box::new(map)),
            ..Self::default()
        }
    }

    /// The whole head; empty if no head on the wire had the fields.
    pub(super) fn head(&self) -> &Bytes {
        &self.head
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| Box::new(self.to_map()))
    }

    pub(crate) fn map_mut(&mut self) -> &mut HeaderMap {
        self.map();
        self.map.get_mut().expect("the map was built just now")
    }

    fn to_map(&self) -> HeaderMap {
        let mut fields = [const { MaybeUninit::uninit() }; HEADERS_CAP];
        let mut request = httparse::Request::new(&mut []);
        request
            .parse_with_uninit_headers(&self.head, &mut fields)
            .expect("the head was parsed before");
        let mut map = HeaderMap::with_capacity(request.headers.len() + 1);
        for field in request.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_maybe_shared(slice(&self.head, field.value));
            map.append(
                name.expect("httparse accepts valid names only"),
                value.expect("httparse accepts valid values only"),
            );
        }
        if let Some(host) = &self.host {
            map.insert(header::HOST, host.clone());
        }
        map
    }
}

/// `part`, which httparse found in `head`, as a handle to the memory of `head`.
pub(super) fn slice(head: &Bytes, part: &[u8]) -> Bytes {
    let start = part.as_ptr().addr() - head.as_ptr().addr();
    head.slice(start..start + part.len())
}

/// Which fields about the message or the connection a request has. Most requests
/// have none, and are answered without a map.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present {
    /// `Content-Length` or `Transfer-Encoding`.
    pub(crate) framing: bool,
    pub(crate) expect: bool,
    pub(crate) connection: bool,
    pub(crate) upgrade: bool,
}

/// What the server needs to know about the fields of a head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noted<'a> {
    pub(super) present: Present,
    pub(super) hosts: usize,
    /// The value of the last `Host`.
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
        // The length alone rules out most names.
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

    /// The `expect`s in `to_map` rely on this.
    #[test]
    fn whatever_httparse_accepts_fits_into_a_header_map() {
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
    fn a_map_has_every_field_in_any_case_and_repeated_ones_too() {
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
    fn a_change_of_the_map_starts_from_the_fields_of_the_head() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n";
        let mut fields = Fields::new(Bytes::from(head), None);
        fields.map_mut().remove("accept");
        assert_eq!(fields.map().len(), 1);
        assert_eq!(fields.map()["host"], "a");
        assert_eq!(Fields::of_map(fields.map().clone()).map()["host"], "a");
    }

    #[test]
    fn fields_about_the_message_are_noted_in_any_case() {
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
