//! A chunked body in pieces, compared with a second decoder.
#![no_main]

use farewell::fuzzing::CHUNKED_PLAN_BYTES;
use farewell::fuzzing::chunked;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(accepted) = chunked(input) {
        let reference = reference(&input[CHUNKED_PLAN_BYTES..]);
        assert_eq!(Some(accepted), reference, "the reference decoder differs");
    }
});

/// A decoder after the grammar of RFC 9112 section 7.1. Returns the body and where it
/// ended. Extensions and trailers may be any bytes except CR and LF, so this decoder
/// accepts everything that farewell accepts.
fn reference(coded: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut position = 0;
    loop {
        let line = line(coded, &mut position)?;
        let digits = line
            .iter()
            .position(|byte| !byte.is_ascii_hexdigit())
            .unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        // BWS is allowed before an extension only.
        let extension = extension.trim_ascii_start();
        if digits < line.len() && extension.first() != Some(&b';') {
            return None;
        }
        if size == 0 {
            break;
        }
        body.extend_from_slice(coded.get(position..position.checked_add(size)?)?);
        position += size;
        if coded.get(position..position + 2)? != b"\r\n" {
            return None;
        }
        position += 2;
    }
    while !line(coded, &mut position)?.is_empty() {}
    Some((body, position))
}

/// The next line, without its CR LF. `position` moves behind the CR LF.
fn line<'a>(coded: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let rest = &coded[*position..];
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    if !rest[end..].starts_with(b"\r\n") {
        return None;
    }
    *position += end + 2;
    Some(&rest[..end])
}
