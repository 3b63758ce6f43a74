//! Multipart bodies in pieces of any size, whole and broken.

mod limits;

use std::io::Read;

use proptest::prelude::*;

use super::super::request_body::BodyError;
use super::super::request_body::BodySource;
use super::*;

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxk";

/// A body that arrives in pieces of these sizes, again and again.
struct Pieces {
    rest: Vec<u8>,
    sizes: Vec<usize>,
    next: usize,
    /// How it ends, if not well.
    error: Option<BodyError>,
}

impl BodySource for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        let count = size.min(buffer.len()).min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        match self.error {
            Some(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    fn take_trailers(&mut self) -> Option<Box<HeaderMap>> {
        None
    }
}

fn multipart_that(
    body: &[u8],
    sizes: &[usize],
    error: Option<BodyError>,
    limits: MultipartLimits,
) -> Multipart {
    let mut request_body = RequestBody::new(Bytes::new(), None, None);
    request_body.attach(Box::new(Pieces {
        rest: body.to_vec(),
        sizes: sizes.to_vec(),
        next: 0,
        error,
    }));
    Multipart {
        scanner: Scanner::new(request_body, BOUNDARY, limits.head_bytes_max),
        limits,
        parts: 0,
        part_bytes: 0,
        position: Position::Data,
    }
}

fn multipart(body: &[u8], sizes: &[usize]) -> Multipart {
    multipart_that(body, sizes, None, MultipartLimits::default())
}

type Found = (String, Option<String>, Vec<u8>);

fn read(multipart: &mut Multipart) -> Result<Vec<Found>, Rejection> {
    let mut found = Vec::new();
    while let Some(mut part) = multipart.next_part()? {
        let mut data = Vec::new();
        part.read_to_end(&mut data)?;
        let file_name = part.file_name().map(str::to_owned);
        found.push((part.name().to_owned(), file_name, data));
    }
    Ok(found)
}

/// A body as browsers write it.
fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, data) in parts {
        body.extend(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n")
                .bytes(),
        );
        body.extend_from_slice(data);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").bytes());
    body
}

/// What parts in pieces of every size give; it is the same for all sizes.
fn outcome(body: &[u8]) -> Result<Vec<Found>, Rejection> {
    let whole = read(&mut multipart(body, &[usize::MAX]));
    for sizes in [&[1][..], &[2], &[3, 1], &[7], &[64], &[1, 1000]] {
        let in_pieces = read(&mut multipart(body, sizes));
        assert_eq!(in_pieces, whole, "in pieces of {sizes:?}");
    }
    whole
}

fn refusal(body: impl AsRef<[u8]>) -> (u16, String) {
    let rejection = outcome(body.as_ref()).unwrap_err();
    (rejection.status().as_u16(), rejection.message().to_owned())
}

#[test]
fn the_parts_of_one_name_are_found_between_others() {
    let parts: [(&str, &[u8]); 5] = [
        ("comment", b"skipped"),
        ("file", b"first"),
        ("files", b"another name"),
        ("file", b"second"),
        ("end", b""),
    ];
    let mut form = multipart(&body(&parts), &[3, 1]);
    for expected in ["first", "second"] {
        let part = form.next_part_named("file").unwrap().unwrap();
        assert_eq!(part.text().unwrap(), expected);
    }
    assert!(form.next_part_named("file").unwrap().is_none());
    assert!(form.next_part().unwrap().is_none());

    // What is skipped counts, and may be malformed.
    let limits = MultipartLimits {
        parts_max: 3,
        ..MultipartLimits::default()
    };
    let mut form = multipart_that(&body(&parts), &[64], None, limits);
    let last = form.next_part_named("end").unwrap_err();
    assert_eq!(last.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut whole = body(&parts);
    whole.truncate(whole.len() - 10);
    let mut form = multipart(&whole, &[64]);
    let cut = form.next_part_named("none").unwrap_err();
    assert_eq!(cut.status(), StatusCode::BAD_REQUEST);
    assert_eq!(form.next_part_named("file").unwrap_err(), cut);
}

#[test]
fn parts_of_a_browser_are_read() {
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nh\u{e9}llo\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n\r\n\r\nx\r\n\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"none\"; filename=\"\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n\r\n\
         --{BOUNDARY}--\r\n"
    );
    let found = outcome(body.as_bytes()).unwrap();
    let expected: [(&str, Option<&str>, &str); 3] = [
        ("text", None, "h\u{e9}llo"),
        ("file", Some("a.txt"), "\r\n\r\nx\r\n"),
        ("none", Some(""), ""),
    ];
    let expected = expected.map(|(name, file_name, data)| {
        (
            name.to_owned(),
            file_name.map(str::to_owned),
            data.as_bytes().to_vec(),
        )
    });
    assert_eq!(found, expected);

    let mut multipart = multipart(body.as_bytes(), &[100]);
    let text = multipart.next_part().unwrap().unwrap();
    assert_eq!(text.content_type(), None);
    assert_eq!(text.text().unwrap(), "h\u{e9}llo");
    let file = multipart.next_part().unwrap().unwrap();
    assert_eq!(file.content_type(), Some("text/plain"));
    assert_eq!(file.headers().len(), 2);
    let none = multipart.next_part().unwrap().unwrap();
    assert_eq!(none.bytes().unwrap(), "");
    assert!(multipart.next_part().unwrap().is_none());
    assert!(multipart.next_part().unwrap().is_none());
}

#[test]
fn data_that_looks_like_a_boundary_is_data() {
    for data in [
        "--",
        "\r\n",
        "\r\n--",
        &format!("--{BOUNDARY}x")[..],
        &format!("--{BOUNDARY}--"),
        &format!("\n--{BOUNDARY}\n"),
        &format!("\r--{BOUNDARY}--\r\n"),
        &format!("\r\n-{BOUNDARY}"),
        &format!("\r\n--{}", &BOUNDARY[..BOUNDARY.len() - 1]),
        &format!("\r\n--{}", BOUNDARY.to_lowercase()),
        &format!("\r\n\r\n--{}\r\n", &BOUNDARY[1..]),
    ] {
        let data = format!("x{data}");
        let found = outcome(&body(&[("a", data.as_bytes()), ("b", b"2")])).unwrap();
        assert_eq!(found[0].2, data.as_bytes(), "{data:?}");
        assert_eq!(found[1].2, b"2", "{data:?}");
    }
}

#[test]
fn a_part_without_data_may_have_no_line_for_it() {
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=a\r\n\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=b\r\n\r\n--{BOUNDARY}--"
    );
    let found = outcome(body.as_bytes()).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, _, data)| data.is_empty()));
}

#[test]
fn preamble_and_epilogue_are_ignored() {
    let parts = body(&[("a", b"1")]);
    let preamble = format!("before --{BOUNDARY}\r\n--not it\r\n");
    for body in [
        [preamble.as_bytes(), &parts].concat(),
        [&b"\r\n"[..], &parts].concat(),
        [&parts, &b"after"[..], &parts].concat(),
        parts[..parts.len() - 2].to_vec(),
        [
            &b"x".repeat(100_000)[..],
            b"\r\n",
            &parts,
            &b"y".repeat(100_000),
        ]
        .concat(),
    ] {
        let found = outcome(&body).unwrap();
        assert_eq!(found, [("a".to_owned(), None, b"1".to_vec())]);
    }
    assert_eq!(outcome(format!("--{BOUNDARY}--").as_bytes()), Ok(vec![]));
}

#[test]
fn a_body_that_ends_before_its_closing_boundary_is_a_400() {
    let whole = body(&[("a", b"1"), ("b", b"2")]);
    // The last line end is not needed.
    for length in 0..whole.len() - 2 {
        let (status, message) = refusal(&whole[..length]);
        assert_eq!(status, 400, "{length}");
        assert_eq!(message, "multipart body ended before its closing boundary");
    }
}

#[test]
fn malformed_bodies_are_a_400_with_the_reason() {
    let disposition = "Content-Disposition: form-data; name=a";
    let ended = "multipart body ended before its closing boundary";
    let after = "multipart body is malformed: a boundary is followed by other bytes";
    let field = "multipart body is malformed: a part has an invalid header field";
    let no_name = "multipart body is malformed: a part has no name";
    for (body, expected) in [
        (String::new(), ended),
        ("x".to_owned(), ended),
        (
            String::from_utf8(body(&[("a", b"1")]))
                .unwrap()
                .replace('\r', ""),
            after,
        ),
        (
            format!("--{BOUNDARY}x\r\n{disposition}\r\n\r\n1\r\n--{BOUNDARY}--"),
            after,
        ),
        (
            format!("--{BOUNDARY} \r\n{disposition}\r\n\r\n1\r\n--{BOUNDARY}--"),
            after,
        ),
        (
            format!("--{BOUNDARY}\n{disposition}\r\n\r\n1\r\n--{BOUNDARY}--"),
            after,
        ),
        (
            format!("--{BOUNDARY}\r\n{disposition}\r\n\r\n1\r\n--{BOUNDARY}-\r\n"),
            after,
        ),
        (
            format!("--{BOUNDARY}\r\n{disposition}\r\n\r\n1\r\n--{BOUNDARY}x--"),
            after,
        ),
        (
            format!("--{BOUNDARY}\r\n{disposition}\n\n1\r\n\r\n--{BOUNDARY}--"),
            field,
        ),
        (
            format!("--{BOUNDARY}\r\nx\r\n\r\n1\r\n--{BOUNDARY}--"),
            field,
        ),
        (format!("--{BOUNDARY}\r\n\r\n1\r\n--{BOUNDARY}--"), no_name),
        (
            format!("--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\n1\r\n--{BOUNDARY}--"),
            no_name,
        ),
    ] {
        assert_eq!(refusal(&body), (400, expected.to_owned()), "{body}");
    }
}

#[test]
fn a_boundary_in_the_head_of_a_part_is_a_400() {
    let disposition = "Content-Disposition: form-data; name=a";
    for head in [
        format!("--{BOUNDARY}: x\r\n{disposition}"),
        format!("{disposition}\r\n--{BOUNDARY}x: y"),
        format!("{disposition}\r\n--{BOUNDARY}\r\n{disposition}"),
    ] {
        let body = format!("--{BOUNDARY}\r\n{head}\r\n\r\n1\r\n--{BOUNDARY}--");
        let expected = "multipart body is malformed: a boundary stands in the head of a part";
        assert_eq!(refusal(&body), (400, expected.to_owned()), "{body}");
    }
    let head = format!("x--{BOUNDARY}: -\r\n{disposition}");
    let body = format!("--{BOUNDARY}\r\n{head}\r\n\r\n1\r\n--{BOUNDARY}--");
    assert_eq!(outcome(body.as_bytes()).unwrap().len(), 1);
}

#[test]
fn text_that_is_not_utf_8_is_a_400_that_names_the_field() {
    let body = body(&[("a", b"\xff")]);
    let mut multipart = multipart(&body, &[100]);
    let rejection = multipart.next_part().unwrap().unwrap().text().unwrap_err();
    assert_eq!(rejection.message(), "field \"a\" is not valid UTF-8");
    assert_eq!(rejection.status(), 400);
}

#[test]
fn the_error_of_the_body_is_that_of_the_part() {
    let body = body(&[("a", &[b'x'; 100])]);
    let limits = MultipartLimits::default();
    let slow = Some(BodyError::TOO_SLOW);
    let mut multipart = multipart_that(&body[..body.len() - 40], &[16], slow, limits);
    let mut part = multipart.next_part().unwrap().unwrap();
    let error = part.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(Rejection::from(error).status(), 408);
    let error = part.read(&mut [0]).unwrap_err();
    assert_eq!(Rejection::from(error).status(), 408, "for good");
    assert_eq!(multipart.next_part().unwrap_err().status(), 408);
}

/// Data with many line ends, hyphens and beginnings of the boundary.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (0..BOUNDARY.len())
            .prop_map(|length| format!("\r\n--{}", &BOUNDARY[..length]).into_bytes()),
        Just(b"\r\n".to_vec()),
        Just(vec![b'-'; 40]),
        (30_000_usize..40_000).prop_map(|length| vec![b'\r'; length]),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn parts_are_the_same_however_they_arrive(
        parts in prop::collection::vec(("[a-z ]{1,8}", data()), 0..6),
        sizes in prop::collection::vec(1_usize..20_000, 1..8),
    ) {
        let forbidden = format!("\r\n--{BOUNDARY}");
        let is_data = |data: &[u8]| {
            let framed = [&b"\r\n"[..], data, b"\r\n"].concat();
            !framed.windows(forbidden.len()).any(|window| window == forbidden.as_bytes())
        };
        prop_assume!(parts.iter().all(|(_, data)| is_data(data)));
        let borrowed: Vec<(&str, &[u8])> =
            parts.iter().map(|(name, data)| (&**name, &**data)).collect();
        let found = read(&mut multipart(&body(&borrowed), &sizes)).unwrap();
        let expected: Vec<Found> =
            parts.into_iter().map(|(name, data)| (name, None, data)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_give_the_same_result_however_they_arrive(
        pieces in prop::collection::vec(prop_oneof![
            Just(format!("--{BOUNDARY}")),
            Just(format!("\r\n--{BOUNDARY}--")),
            Just("\r\n".to_owned()),
            Just("\r\n\r\n".to_owned()),
            Just("--".to_owned()),
            Just("Content-Disposition: form-data; name=\"a\"; filename=\"b\"".to_owned()),
            ".{0,20}",
        ], 0..24),
        sizes in prop::collection::vec(1_usize..50, 1..8),
    ) {
        let body = pieces.concat();
        let whole = read(&mut multipart(body.as_bytes(), &[usize::MAX]));
        prop_assert_eq!(read(&mut multipart(body.as_bytes(), &sizes)), whole);
    }
}
