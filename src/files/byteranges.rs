//! The body of a response with several parts of a file: `multipart/byteranges` (RFC 9110
//! section 14.6).

use std::fs::File;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::Read;
use std::ops::Range;
use std::vec;

use http::HeaderValue;

use super::ranges::content_range;
use crate::message::body::Body;
use crate::message::body::pull::FileSource;

/// The value of `Content-Type`, and the body, whose length is known. `length` is that of
/// the file. No range is empty or ends behind the file.
///
/// The file is read in bounded pieces, as the client takes them. If it turns out to be
/// shorter than `length`, the body fails.
pub(super) fn body(
    file: File,
    ranges: Vec<Range<u64>>,
    content_type: &str,
    length: u64,
) -> (HeaderValue, Body) {
    let boundary = random_boundary();
    let (parts, body_length) = Parts::new(file, ranges, content_type, length, &boundary);
    let value = format!("multipart/byteranges; boundary={boundary}");
    let value = HeaderValue::try_from(value).expect("words and digits in ASCII");
    (value, Body::from_reader_sized(parts, body_length))
}

/// 32 hexadecimal digits. A boundary must not stand in the parts (RFC 2046 section 5.1.1).
/// The file is not searched for it: what is random was not known to the author of the file.
fn random_boundary() -> String {
    // std seeds its hashers with randomness of the system.
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

/// The reader of the body.
///
/// ```text
///  head of a part --> its range of the file --> ... --> closing boundary --> end
/// ```
struct Parts {
    /// What is to be sent before the range in `data`: a head, or the closing boundary.
    text: io::Cursor<Vec<u8>>,
    /// The file, and the range that is sent.
    data: FileSource,
    /// The other parts: their heads and ranges. At most as many as a set may have.
    waiting: vec::IntoIter<(Vec<u8>, Range<u64>)>,
    /// `None` when it is in `text`.
    closing: Option<Vec<u8>>,
}

impl Parts {
    /// The reader, and how many bytes it gives.
    fn new(
        file: File,
        ranges: Vec<Range<u64>>,
        content_type: &str,
        length: u64,
        boundary: &str,
    ) -> (Self, u64) {
        let mut waiting = Vec::with_capacity(ranges.len());
        let closing = format!("\r\n--{boundary}--\r\n").into_bytes();
        let mut body_length = closing.len() as u64;
        for range in ranges {
            // The line break belongs to the boundary.
            let before = if waiting.is_empty() { "" } else { "\r\n" };
            let content_range = content_range(&range, length);
            let head = [
                before.as_bytes(),
                b"--",
                boundary.as_bytes(),
                b"\r\nContent-Type: ",
                content_type.as_bytes(),
                b"\r\nContent-Range: ",
                content_range.as_bytes(),
                b"\r\n\r\n",
            ]
            .concat();
            body_length += head.len() as u64 + (range.end - range.start);
            waiting.push((head, range));
        }
        let parts = Self {
            text: io::Cursor::default(),
            data: FileSource {
                file,
                offset: 0,
                left: 0,
            },
            waiting: waiting.into_iter(),
            closing: Some(closing),
        };
        (parts, body_length)
    }

    /// Whether there is something to read: takes up the next part if there is not.
    fn advance(&mut self) -> bool {
        let is_read = self.text.position() == self.text.get_ref().len() as u64;
        if !is_read || self.data.left > 0 {
            return true;
        }
        let text = if let Some((head, range)) = self.waiting.next() {
            self.data.offset = range.start;
            self.data.left = range.end - range.start;
            head
        } else if let Some(closing) = self.closing.take() {
            closing
        } else {
            return false;
        };
        self.text = io::Cursor::new(text);
        true
    }

    /// Reads from the text, or else from the file. One of them has something.
    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        match self.data.read(buffer)? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file has become shorter",
            )),
            count => Ok(count),
        }
    }
}

impl Read for Parts {
    /// Fills the buffer, so that small parts are sent together.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && self.advance() {
            match self.read_some(&mut buffer[filled..]) {
                Ok(count) => filled += count,
                // What stands before is given first. The next call meets the error again.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek;
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n % 251) as u8).collect()
    }

    /// The boundary in the value of `Content-Type`.
    fn boundary(content_type: &HeaderValue) -> String {
        let text = content_type.to_str().unwrap();
        let (kind, boundary) = text.split_once("; boundary=").unwrap();
        assert_eq!(kind, "multipart/byteranges");
        boundary.to_owned()
    }

    #[test]
    fn each_part_has_its_type_and_its_range() {
        let ranges = vec![9..10, 0..1, 4..6];
        let (content_type, body) = body(file(b"0123456789"), ranges, "text/plain", 10);
        let boundary = boundary(&content_type);
        let part = |range: &str, data: &str| {
            format!(
                "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/10\r\n\r\n{data}\r\n"
            )
        };
        let expected = [
            part("9-9", "9"),
            part("0-0", "0"),
            part("4-5", "45"),
            format!("--{boundary}--\r\n"),
        ];
        let expected = expected.concat();
        assert_eq!(body.length(), Some(expected.len() as u64));
        let all = body.into_bytes(1000).unwrap();
        assert_eq!(str::from_utf8(&all).unwrap(), expected);
    }

    #[test]
    fn long_parts_arrive_whole_wherever_the_position_of_the_file_is() {
        let data = bytes(200_000);
        let mut file = file(&data);
        file.seek(io::SeekFrom::Start(77)).unwrap();
        let (_, body) = body(file, vec![100_000..200_000, 0..70_000], "a/b", 200_000);
        let length = body.length().unwrap();
        let all = body.into_bytes(1_000_000).unwrap();
        assert_eq!(all.len() as u64, length);
        let mut rest = &all[..];
        for range in [100_000..200_000, 0..70_000] {
            let part = &data[range];
            let at = memchr::memmem::find(rest, part).unwrap();
            rest = &rest[at + part.len()..];
        }
        assert!(rest.ends_with(b"--\r\n"));
    }

    #[test]
    fn small_buffers_read_the_same() {
        let data = bytes(1000);
        let ranges = vec![0..1, 10..500, 700..1000];
        let parts = || Parts::new(file(&data), ranges.clone(), "a/b", 1000, "x");
        let (mut reader, length) = parts();
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len() as u64, length);
        for size in [1, 2, 3, 7, 64] {
            let (mut reader, _) = parts();
            let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
            loop {
                let count = reader.read(&mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                all.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(all, whole, "{size}");
        }
    }

    #[test]
    fn a_file_that_shrinks_fails_the_body() {
        for length in [0, 5, 9, 100] {
            let file = file(&bytes(1000));
            let (_, body) = body(
                file.try_clone().unwrap(),
                vec![0..10, 500..900],
                "a/b",
                1000,
            );
            file.set_len(length).unwrap();
            assert!(body.into_bytes(10_000).is_err(), "{length}");
        }
    }

    #[test]
    fn what_was_read_before_the_end_of_a_shorter_file_is_given() {
        let (mut parts, _) = Parts::new(file(b"01"), vec![0..1, 5..9], "a/b", 10, "x");
        let mut buffer = [0; 1000];
        let count = parts.read(&mut buffer).unwrap();
        assert!(buffer[..count].ends_with(b"bytes 5-8/10\r\n\r\n"));
        for _ in 0..2 {
            let error = parts.read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn no_two_boundaries_are_equal_and_all_are_valid() {
        let boundaries: std::collections::HashSet<_> =
            (0..1000).map(|_| random_boundary()).collect();
        assert_eq!(boundaries.len(), 1000);
        for boundary in boundaries {
            assert_eq!(boundary.len(), 32);
            assert!(boundary.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}
