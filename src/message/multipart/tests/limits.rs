//! The limits on parts, their heads and their data.

use super::*;

#[test]
fn limits_are_exact_and_a_413_names_them() {
    let two = body(&[("a", b"12345"), ("b", b"")]);
    let head = "\r\nContent-Disposition: form-data; name=\"a\"".len();
    let read_with = |change: &dyn Fn(&mut MultipartLimits)| {
        let mut limits = MultipartLimits::default();
        change(&mut limits);
        let results = [1, 2, 13, usize::MAX].map(|size| {
            let mut multipart = multipart_that(&two, &[size], None, limits);
            read(&mut multipart).map(|found| found.len())
        });
        assert!(
            results.iter().all(|result| *result == results[0]),
            "{results:?}"
        );
        results.into_iter().next().unwrap()
    };
    let too_large = |message: &str| Err(scanner::too_large(message.to_owned()));
    assert_eq!(read_with(&|limits| limits.parts_max = 2), Ok(2));
    assert_eq!(
        read_with(&|limits| limits.parts_max = 1),
        too_large("multipart body has more than 1 parts")
    );
    assert_eq!(read_with(&|limits| limits.head_bytes_max = head), Ok(2));
    assert_eq!(
        read_with(&|limits| limits.head_bytes_max = head - 1),
        too_large(&format!(
            "the head of a part is larger than {} bytes",
            head - 1
        ))
    );
    assert_eq!(read_with(&|limits| limits.part_bytes_max = 5), Ok(2));
    assert_eq!(
        read_with(&|limits| limits.part_bytes_max = 4),
        too_large("part 1 of the multipart body is larger than 4 bytes")
    );

    let limits = MultipartLimits {
        text_bytes_max: 4,
        ..MultipartLimits::default()
    };
    let mut multipart = multipart_that(&two, &[2], None, limits);
    let rejection = multipart.next_part().unwrap().unwrap().text().unwrap_err();
    assert_eq!(rejection.status(), 413);
    assert_eq!(rejection.message(), "field \"a\" is larger than 4 bytes");
    assert_eq!(multipart.next_part().unwrap_err(), rejection, "for good");
}

#[test]
fn a_giant_head_and_a_skipped_part_are_limited() {
    let giant = format!("--{BOUNDARY}\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    assert_eq!(refusal(giant).0, 413);
    let endless = format!("--{BOUNDARY}\r\n{}", "x: y\r\n".repeat(100_000));
    assert_eq!(refusal(endless).0, 413);

    let limits = MultipartLimits {
        part_bytes_max: 10,
        ..MultipartLimits::default()
    };
    let large = body(&[("a", &[b'x'; 100_000]), ("b", b"")]);
    let mut multipart = multipart_that(&large, &[1000], None, limits);
    assert_eq!(multipart.next_part().unwrap().unwrap().name(), "a");
    assert_eq!(multipart.next_part().unwrap_err().status(), 413);
}

#[test]
fn more_parts_than_the_limit_are_refused_before_their_heads_are_read() {
    let body = format!("\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=a\r\n\r\n");
    assert_eq!(
        refusal(body.repeat(65)).1,
        "multipart body has more than 64 parts"
    );
}
