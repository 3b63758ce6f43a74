//! Multipart bodies: the parts do not depend on how the body arrives or how it is read,
//! and the limits hold.

use std::collections::VecDeque;
use std::io;
use std::io::Read;

use super::cuts;
use crate::message::multipart::Multipart;
use crate::message::multipart::MultipartLimits;
use crate::message::multipart::Part;
use crate::message::rejection::Rejection;
use crate::message::request::Request;
use crate::message::request_body::RequestBody;

/// The length of the plan at the start of an input: how the rest is cut, how the parts
/// are read, and which limits they have.
pub const MULTIPART_PLAN_BYTES: usize = 3;

/// The boundary of every input. It is short, for a fuzzer to find it.
pub const MULTIPART_BOUNDARY: &str = "B";

/// How much of each part is read. The rest is skipped.
#[derive(Clone, Copy, Debug)]
enum Reading {
    All,
    /// All of it, a few bytes at a time.
    InPieces,
    Beginning,
    Nothing,
}

/// The result of reading a body.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    parts: Vec<FoundPart>,
    /// The rejection that ends it, if the body is not read to its end.
    end: Result<(), Rejection>,
}

#[derive(Debug, PartialEq, Eq)]
struct FoundPart {
    name: String,
    file_name: Option<String>,
    fields: usize,
    /// What was read of it; `None` if an error came first.
    data: Option<Vec<u8>>,
}

/// Reads the body behind the plan in `input`. Returns the data of its parts; `None` if
/// the body is refused.
///
/// # Panics
///
/// The result depends on how the input is cut or read, or a limit is exceeded.
pub fn multipart(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (&[rule, seed, choice], body) = input.split_first_chunk::<MULTIPART_PLAN_BYTES>()?;
    let choice = choice.wrapping_sub(b'0');
    let reading = match choice % 4 {
        0 => Reading::All,
        1 => Reading::InPieces,
        2 => Reading::Beginning,
        _ => Reading::Nothing,
    };
    let mut limits = MultipartLimits::default();
    if choice & 4 != 0 {
        limits.parts_max = 3;
        limits.head_bytes_max = 64;
        limits.part_bytes_max = 16;
    }
    let whole = read(&[body], limits, Reading::All);
    let single_bytes = cuts::pieces(b'1', 0, body);
    let byte_by_byte = read(&single_bytes, limits, Reading::All);
    assert_eq!(byte_by_byte, whole, "byte by byte");
    let other = read(&cuts::pieces(rule, seed, body), limits, reading);
    assert_eq!(other.end, whole.end, "{reading:?}");
    assert_eq!(other.parts.len(), whole.parts.len(), "{reading:?}");
    for (other, whole) in other.parts.iter().zip(&whole.parts) {
        assert_eq!(other.name, whole.name);
        assert_eq!(other.file_name, whole.file_name);
        assert_eq!(other.fields, whole.fields);
        if let (Some(other), Some(whole)) = (&other.data, &whole.data) {
            let is_read_whole = matches!(reading, Reading::All | Reading::InPieces);
            assert!(whole.starts_with(other), "{reading:?}: {other:?}");
            assert!(!is_read_whole || whole == other, "{reading:?}: {other:?}");
        }
    }
    whole.end.ok()?;
    whole.parts.into_iter().map(|part| part.data).collect()
}

fn read(pieces: &[&[u8]], limits: MultipartLimits, reading: Reading) -> Found {
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    let body = RequestBody::from_reader(Pieces(pieces), None);
    let content_type = format!("multipart/form-data; boundary={MULTIPART_BOUNDARY}");
    let request = http::Request::post("/").header("content-type", content_type);
    let request = request.body(body).expect("the request is valid");
    let mut multipart = Request::from_http(request)
        .multipart(limits)
        .expect("its boundary is valid");
    let mut found = Found {
        parts: Vec::new(),
        end: Ok(()),
    };
    found.end = read_parts(&mut multipart, reading, &mut found.parts);
    assert!(found.parts.len() <= limits.parts_max, "too many parts");
    for part in &found.parts {
        assert!(!part.name.is_empty(), "a part without a name");
        let bytes = part.data.as_ref().map_or(0, Vec::len) as u64;
        assert!(bytes <= limits.part_bytes_max, "a part beyond the limit");
    }
    let again = multipart.next_part().map(|part| part.is_none());
    assert_eq!(again, found.end.clone().map(|()| true), "it ends for good");
    found
}

fn read_parts(
    multipart: &mut Multipart,
    reading: Reading,
    found: &mut Vec<FoundPart>,
) -> Result<(), Rejection> {
    while let Some(mut part) = multipart.next_part()? {
        let head = FoundPart {
            name: part.name().to_owned(),
            file_name: part.file_name().map(str::to_owned),
            fields: part.headers().len(),
            data: None,
        };
        found.push(head);
        let data = read_part(&mut part, reading)?;
        if let Some(part) = found.last_mut() {
            part.data = Some(data);
        }
    }
    Ok(())
}

fn read_part(part: &mut Part<'_>, reading: Reading) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    match reading {
        Reading::All => drop(part.read_to_end(&mut data)?),
        Reading::InPieces => {
            let mut buffer = [0; 3];
            loop {
                match part.read(&mut buffer)? {
                    0 => break,
                    count => data.extend_from_slice(&buffer[..count]),
                }
            }
        }
        Reading::Beginning => drop(part.take(5).read_to_end(&mut data)?),
        Reading::Nothing => {}
    }
    Ok(data)
}

/// A body that arrives in these pieces.
struct Pieces(VecDeque<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.front_mut() else {
            return Ok(0);
        };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.0.pop_front();
        }
        Ok(count)
    }
}
