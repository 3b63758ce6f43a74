//! The decoder, state by state, with its input whole and split in any way.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    head_bytes: 256,
    headers: 4,
    target_bytes: 100,
};

fn chunked(max: u64) -> Decoder {
    Decoder::new(Framing::Chunked, max, LIMITS).unwrap()
}

/// Decodes the pieces. Returns the body, and the input behind it.
fn decode<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, Vec<u8>), u16> {
    let (mut body, mut left) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() && !decoder.is_done() {
            let Decoded { used, data } = decoder
                .decode(rest)
                .map_err(|refusal| refusal.status.as_u16())?;
            body.extend_from_slice(data);
            rest = &rest[used..];
        }
        left.extend_from_slice(rest);
    }
    Ok((body, left))
}

fn refused(input: &str) -> u16 {
    match decode(&mut chunked(1000), [input.as_bytes()]) {
        Err(status) => status,
        other => panic!("{input:?} gave {other:?}"),
    }
}

#[test]
fn a_body_of_a_stated_length_ends_after_it() {
    let mut decoder = Decoder::new(Framing::Length(5), 1000, LIMITS).unwrap();
    let (body, left) = decode(&mut decoder, [&b"hel"[..], b"loGET"]).unwrap();
    assert_eq!((&body[..], &left[..]), (&b"hello"[..], &b"GET"[..]));
    assert!(decoder.is_done());
    let refusal = Decoder::new(Framing::Length(1001), 1000, LIMITS).unwrap_err();
    assert_eq!(refusal.status, 413);
}

#[test]
fn chunks_are_joined() {
    let mut decoder = chunked(1000);
    let input = b"5\r\nhello\r\n00A;a=b;c=\"d;e\"\r\n, chunked!\r\n0\r\n\r\nGET";
    let (body, left) = decode(&mut decoder, [&input[..]]).unwrap();
    assert_eq!(body, b"hello, chunked!");
    assert_eq!(left, b"GET");
    assert!(decoder.is_done());
    assert_eq!(decoder.take_trailers(), None);
}

#[test]
fn trailers_follow_the_last_chunk() {
    let mut decoder = chunked(1000);
    decode(&mut decoder, [&b"0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"[..]]).unwrap();
    let trailers = decoder.take_trailers().unwrap();
    assert_eq!(trailers.get_all("x-sum").iter().count(), 2);
}

#[test]
fn a_chunk_size_is_hexadecimal() {
    for wrong in [
        "\r\n",
        "+5\r\n",
        "-1\r\n",
        " 5\r\n",
        "5 \r\n",
        "0x5\r\n",
        "5\n",
        "5\rhello",
        "g\r\n",
        ";a\r\n",
        "5\0\r\n",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
    ] {
        assert_eq!(refused(wrong), 400, "{wrong:?}");
    }
    assert_eq!(refused("ffffffffffffffff\r\n"), 413);
    let mut decoder = chunked(1000);
    let blank_before_extension = b"5 \t;a\r\nhello\r\n0\r\n\r\n";
    let (body, _) = decode(&mut decoder, [&blank_before_extension[..]]).unwrap();
    assert_eq!(body, b"hello");
}

#[test]
fn a_chunk_of_another_length_than_stated_is_refused() {
    assert_eq!(refused("5\r\nhellooo\r\n"), 400);
    assert_eq!(refused("5\r\nhello\n0\r\n\r\n"), 400);
    assert_eq!(refused("5\r\nhel\r\n0\r\n\r\n"), 400);
}

#[test]
fn chunks_may_not_add_up_to_more_than_the_limit() {
    assert_eq!(refused("3e9\r\n"), 413);
    let mut decoder = chunked(9);
    let result = decode(&mut decoder, [&b"5\r\nhello\r\n5\r\n"[..]]);
    assert_eq!(result, Err(413));
}

#[test]
fn extensions_are_bounded_over_the_whole_body() {
    let one = format!("1;{}\r\nx\r\n", "e".repeat(1023));
    let mut decoder = chunked(1000);
    for _ in 0..16 {
        decode(&mut decoder, [one.as_bytes()]).unwrap();
    }
    assert_eq!(decode(&mut decoder, [one.as_bytes()]), Err(400));
    assert_eq!(refused("1;a\nb\r\n"), 400);
    assert_eq!(refused("1;a\0b\r\n"), 400);
    assert_eq!(refused("1;a\rb"), 400);
}

#[test]
fn a_malformed_extension_is_refused_however_it_is_split() {
    for wrong in [
        ";",
        ";=b",
        ";a=",
        ";a=\"b",
        ";a=\"b\"c",
        ";bad[=x",
        ";a ",
        " ",
        ";;a",
        ";a=b c",
        ";a=\"b\\\"",
        ";a=\"\x01\"",
    ] {
        let input = format!("5{wrong}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(refused(&input), 400, "{input:?}");
        for cut in 1..input.len() {
            let (first, rest) = input.as_bytes().split_at(cut);
            let result = decode(&mut chunked(1000), [first, rest]);
            assert_eq!(result, Err(400), "{input:?} cut at {cut}");
        }
    }
}

#[test]
fn a_trailer_that_frames_or_routes_is_refused() {
    for name in ["Content-Length", "transfer-encoding", "Host", "Connection"] {
        assert_eq!(refused(&format!("0\r\n{name}: 1\r\n\r\n")), 400, "{name}");
    }
}

#[test]
fn malformed_and_large_trailers_are_refused() {
    for wrong in [
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\r\n\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA: b\0\r\n\r\n",
        "0\r\nno field\r\n\r\n",
    ] {
        assert_eq!(refused(wrong), 400, "{wrong:?}");
    }
    assert_eq!(refused(&format!("0\r\nA: {}", "b".repeat(256))), 431);
    assert_eq!(refused(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(5))), 431);
}

proptest! {
    #[test]
    fn how_the_input_is_split_makes_no_difference(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        extension in "([ \t]?;[ \t]?[a-z]{1,5}([ \t]?=[ \t]?([a-z]{1,5}|\"([a-z; ]|\\\\[\"a]){0,5}\"))?){0,3}",
        trailer in "([A-Z]: [a-z]{0,5}\r\n){0,2}",
        behind in prop::collection::vec(any::<u8>(), 0..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        input.extend_from_slice(&behind);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]);

        let mut decoder = chunked(1000);
        let (body, left) = decode(&mut decoder, pieces).unwrap();
        prop_assert!(decoder.is_done());
        prop_assert_eq!(body, chunks.concat());
        prop_assert_eq!(left, behind);
    }

    #[test]
    fn a_refusal_is_the_same_however_the_input_is_split(
        line in "5[ \t;=a\"\\\\\r\n\\[]{0,8}\r\n",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let input = format!("{line}hello\r\n0\r\n\r\n").into_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]);
        let whole = decode(&mut chunked(1000), [&input[..]]);
        prop_assert_eq!(decode(&mut chunked(1000), pieces), whole);
    }
}
