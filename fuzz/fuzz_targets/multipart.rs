//! A multipart body in pieces, compared with a second parser.
#![no_main]

use farewell::fuzzing::MULTIPART_BOUNDARY;
use farewell::fuzzing::MULTIPART_PLAN_BYTES;
use farewell::fuzzing::multipart;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(accepted) = multipart(input) {
        let reference = reference(&input[MULTIPART_PLAN_BYTES..]);
        assert_eq!(Some(accepted), reference, "the reference parser differs");
    }
});

/// A parser after RFC 2046 section 5.1.1: it splits the body at every delimiter, before it
/// looks at the heads. Returns the data of the parts.
fn reference(body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let delimiter = format!("\r\n--{MULTIPART_BOUNDARY}");
    let delimiter = delimiter.as_bytes();
    let mut rest = [b"\r\n", body].concat();
    rest.drain(..find(&rest, delimiter)? + delimiter.len());
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let mut part = rest.split_off(find(&rest, delimiter)? + delimiter.len());
        std::mem::swap(&mut part, &mut rest);
        // A part without data may end with the line end of the delimiter.
        part.truncate(part.len() - delimiter.len() + 2);
        if !part.starts_with(b"\r\n") {
            return None;
        }
        let head = find(&part, b"\r\n\r\n")?;
        let data = part[head + 4..].strip_suffix(b"\r\n");
        parts.push(data.unwrap_or_default().to_vec());
    }
    Some(parts)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
