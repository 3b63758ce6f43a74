//! Responses, whole and split at every byte.

use super::*;

/// Reads one response byte by byte. Returns it, and the bytes after it.
fn read(bytes: &str) -> Result<(Option<Response>, ResponseReader, String), Malformed> {
    let mut reader = ResponseReader::new();
    let mut buffer = Vec::new();
    let mut bytes = bytes.bytes();
    loop {
        if let Some(response) = reader.advance(&mut buffer)? {
            buffer.extend(bytes);
            let left = String::from_utf8(buffer).unwrap();
            return Ok((Some(response), reader, left));
        }
        match bytes.next() {
            Some(byte) => buffer.push(byte),
            None => return Ok((None, reader, String::from_utf8(buffer).unwrap())),
        }
    }
}

/// Reads a complete response. Returns it, and the bytes after it.
fn complete(bytes: &str) -> (Response, String) {
    let (bytewise, _, left) = read(bytes).unwrap();
    let mut buffer = bytes.as_bytes().to_vec();
    let at_once = ResponseReader::new().advance(&mut buffer).unwrap();
    assert_eq!(at_once, bytewise, "{bytes:?}");
    (bytewise.expect("a complete response"), left)
}

fn response(status: u16, persists: bool) -> Response {
    Response { status, persists }
}

#[test]
fn content_length_ends_the_body() {
    let (whole, left) = complete("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 ");
    assert_eq!((whole, left.as_str()), (response(200, true), "HTTP/1.1 "));
    let (none, left) = complete("HTTP/1.1 404\r\nContent-Length: 0, 0\r\n\r\n");
    assert_eq!((none, left.as_str()), (response(404, true), ""));
    let (cut, reader, _) = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap();
    assert_eq!((cut, reader.at_eof()), (None, None));
    assert!(reader.has_begun(b""));
}

#[test]
fn the_last_chunk_and_the_trailers_end_the_body() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, rest) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "HTTP"),
        ("A;x=y\r\n0123456789\r\n00\r\nDigest: x\r\n\r\n", ""),
    ] {
        let (whole, left) = complete(&format!("{head}{body}{rest}"));
        assert_eq!(
            (whole, left.as_str()),
            (response(200, true), rest),
            "{body:?}"
        );
    }
    for cut in ["", "3", "3\r\nab", "3\r\nabc\r\n", "0\r\n", "0\r\nx: y\r\n"] {
        let (none, reader, _) = read(&format!("{head}{cut}")).unwrap();
        assert_eq!((none, reader.at_eof()), (None, None), "{cut:?}");
    }
}

#[test]
fn without_a_length_the_end_of_the_connection_ends_the_body() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let (none, reader, _) = read(&format!("{head}abc")).unwrap();
        assert_eq!(none, None);
        assert_eq!(reader.at_eof(), Some(response(200, false)));
    }
}

#[test]
fn responses_204_and_304_have_no_body() {
    for head in [
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9",
    ] {
        let (_, left) = complete(&format!("{head}\r\n\r\nHTTP/1.1"));
        assert_eq!(left, "HTTP/1.1");
    }
}

#[test]
fn interim_responses_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let (none, reader, left) = read(interim).unwrap();
    assert_eq!(none, None);
    assert!(!reader.has_begun(left.as_bytes()));
    let (whole, _) = complete(&format!(
        "{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_eq!(whole, response(200, true));
}

#[test]
fn the_connection_persists_by_version_and_field() {
    let length = "Content-Length: 0\r\n\r\n";
    for (head, persists) in [
        ("HTTP/1.1 200 OK\r\n", true),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n", false),
        ("HTTP/1.1 200 OK\r\nconnection: x, CLOSE\r\n", false),
        ("HTTP/1.0 200 OK\r\n", false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", true),
    ] {
        let (whole, _) = complete(&format!("{head}{length}"));
        assert_eq!(whole.persists, persists, "{head:?}");
    }
}

#[test]
fn an_invalid_response_is_an_error() {
    for bytes in [
        "HELLO\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        assert!(read(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn an_overlong_head_or_line_is_an_error() {
    let long = "x".repeat(HEAD_BYTES_MAX + 1);
    assert!(
        ResponseReader::new()
            .advance(&mut long.clone().into_bytes())
            .is_err()
    );
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;";
    let mut buffer = format!("{head}{long}").into_bytes();
    assert!(ResponseReader::new().advance(&mut buffer).is_err());
}
