//! A chunked body, in pieces, and beside a second decoder.
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

/// The grammar of RFC 9112 section 7.1, read off line by line: the body and
/// where it ended. It takes anything for an extension and for a trailer that
/// holds no CR and no LF, so it accepts whatever farewell does.
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
        // BWS may stand before an extension, and nowhere else.
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

/// A line without its CR LF; `position` comes to stand behind them.
fn line<'a>(coded: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let rest = &coded[*position..];
    let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    if !rest[end..].starts_with(b"\r\n") {
        return None;
    }
    *position += end + 2;
    Some(&rest[..end])
}
