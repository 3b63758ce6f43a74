//! The examples of layers, and that of a tested service.

use std::io::Read;
use std::io::Write;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use rustix::process::Signal;

use crate::client::Client;
use crate::client::Response;
use crate::running::Running;

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn decompressed(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes)
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// Sends a request with further fields, and reads its response.
fn ask(client: &mut Client, method: &str, fields: &str) -> Response {
    client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    match method {
        "HEAD" => client.head_response(),
        _ => client.response(),
    }
}

fn post_compressed(example: &Running, body: &[u8]) -> Response {
    let mut client = example.connect();
    let length = body.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(body);
    client.response()
}

#[test]
fn gunzip_decodes_what_is_whole_and_not_too_large() {
    let example = Running::start("gunzip", &[]);
    let post = |body: &[u8]| post_compressed(&example, body);
    assert_eq!(post(&compressed(b"hello")).body, "hello");
    let two_members = [compressed(b"hello, "), compressed(b"world")].concat();
    assert_eq!(post(&two_members).body, "hello, world");

    let mib = |count: usize| compressed(&vec![b'x'; count << 20]);
    assert_eq!(post(&mib(10)).body.len(), 10 << 20);
    let bomb = mib(200);
    assert!(bomb.len() < 1 << 20);
    for too_large in [bomb, [mib(10), compressed(b"x")].concat()] {
        let refused = post(&too_large);
        assert_eq!(refused.status, 413);
        assert_eq!(refused.body, "decoded body is too large\n");
    }

    let whole = compressed(b"hello");
    let mut wrong_sum = whole.clone();
    let end = wrong_sum.len();
    wrong_sum[end - 6] ^= 1;
    for malformed in [&b"hello"[..], &whole[..end - 1], &whole[..5], &wrong_sum] {
        let refused = post(malformed);
        assert_eq!(refused.status, 400, "{malformed:?}");
        assert_eq!(refused.body, "request body is malformed or incomplete\n");
    }

    let mut client = example.connect();
    let plain = "Content-Length: 0\r\n";
    assert_eq!(ask(&mut client, "POST", plain).status, 200);
    let other = "Content-Encoding: br\r\nContent-Length: 0\r\n";
    let twice = "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n";
    for refused in [other, twice].map(|fields| ask(&mut client, "POST", fields)) {
        assert_eq!(refused.status, 415);
        assert!(refused.has("accept-encoding: gzip"), "{refused:?}");
    }
    drop(client);
    example.stop();
}

#[test]
fn gunzip_decodes_chunks_as_they_come_and_an_upload_at_the_stop() {
    let example = Running::start("gunzip", &[]);
    // Larger than what the server buffers, because it has no pattern.
    let mut state = 1_u32;
    let text: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    })
    .take(300_000)
    .collect();
    let body = compressed(text.as_bytes());
    let mut client = example.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
    );
    let (begin, rest) = body.split_at(100_000);
    client.send(format!("{:x}\r\n", begin.len()));
    client.send(begin);
    example.signal(Signal::TERM);
    example.wait_refusing();
    client.send(format!("\r\n{:x}\r\n", rest.len()));
    client.send(rest);
    client.send("\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert!(client.response().body == text, "other bytes");
    drop(client);
    assert_eq!(example.end().0, Some(0));
}

#[test]
fn gzip_compresses_for_clients_that_take_it() {
    let example = Running::start("gzip", &[]);
    let mut client = example.connect();
    let text = "hello, hello\n".repeat(1000);

    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\n\r\n");
    let head = client.head();
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    assert!(head.contains("\r\nvary: accept-encoding\r\n"), "{head}");
    let length = head.lines().find(|line| line.starts_with("content-length"));
    let length = length.unwrap();
    let count = length.split(' ').next_back().unwrap().parse().unwrap();
    assert!(count < text.len() / 10);
    assert!(decompressed(&client.raw(count)) == text, "other bytes");

    // The connection goes on where the response to a HEAD ends.
    let takes = "Accept-Encoding: gzip\r\n";
    let to_head = ask(&mut client, "HEAD", takes);
    assert!(to_head.has("content-encoding: gzip") && to_head.has(length));

    for fields in [
        "",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: x-gzip2\r\n",
    ] {
        let plain = ask(&mut client, "GET", fields);
        assert!(plain.body == text, "{fields}");
        assert!(plain.has("vary: accept-encoding"), "{fields}");
        assert!(!plain.has("content-encoding: gzip"), "{fields}");
    }
    // Small ones, and none, are left as they are.
    assert_eq!(
        ask(&mut client, "DELETE", takes).body,
        "method not allowed\n"
    );
    assert_eq!(ask(&mut client, "OPTIONS", takes).status, 204);
    drop(client);
    example.stop();
}

#[test]
fn cors_lets_the_pages_of_listed_origins_call() {
    let example = Running::start("cors", &[]);
    let mut client = example.connect();
    let allowed = "Origin: https://app.example\r\n";
    let preflight = format!("{allowed}Access-Control-Request-Method: PUT\r\n");
    let answer = ask(&mut client, "OPTIONS", &preflight);
    assert_eq!(answer.status, 204);
    for line in [
        "access-control-allow-origin: https://app.example",
        "access-control-allow-methods: get, put, delete",
        "access-control-allow-headers: content-type",
        "access-control-max-age: 600",
        "vary: origin",
    ] {
        assert!(answer.has(line), "{}", answer.head);
    }

    for (method, status) in [("GET", 200), ("DELETE", 405)] {
        let actual = ask(&mut client, method, allowed);
        assert_eq!(actual.status, status);
        assert!(actual.has("access-control-allow-origin: https://app.example"));
        assert!(!actual.head.contains("allow-methods"));
        assert!(actual.has("vary: origin"));
    }

    let preflight = "Access-Control-Request-Method: PUT\r\n";
    for origin in [
        "Origin: https://app.example.evil\r\n",
        "Origin: https://evil/https://app.example\r\n",
        "Origin: null\r\n",
        "",
    ] {
        for method in ["GET", "OPTIONS"] {
            let other = ask(&mut client, method, &format!("{origin}{preflight}"));
            assert!(!other.head.contains("access-control"), "{origin}");
            assert!(other.has("vary: origin"), "{origin}");
        }
    }
    // An OPTIONS that is no preflight is the router's.
    let options = ask(&mut client, "OPTIONS", allowed);
    assert!(
        options.has("allow: get, head, options, put"),
        "{}",
        options.head
    );
    drop(client);
    example.stop();
}

#[test]
fn client_addr_believes_the_proxies_alone() {
    let named = |field: &str, lines: &[&str]| {
        let example = Running::start("client_addr", &[field, "127.0.0.1,10.0.0.1"]);
        let mut client = example.connect();
        let answers: Vec<String> = lines
            .iter()
            .map(|line| ask(&mut client, "GET", line).body)
            .collect();
        drop(client);
        example.stop();
        answers
    };
    let expected = |addresses: &[&str]| -> Vec<String> {
        let line = |address: &&str| format!("Some({address})\n");
        addresses.iter().map(line).collect()
    };
    let forwarded = [
        ("", "127.0.0.1"),
        ("Forwarded: for=192.0.2.7\r\n", "192.0.2.7"),
        (
            "Forwarded: for=6.6.6.6, for=192.0.2.7, for=10.0.0.1\r\n",
            "192.0.2.7",
        ),
        (
            "Forwarded: for=6.6.6.6\r\nForwarded: for=192.0.2.7\r\n",
            "192.0.2.7",
        ),
        (
            "Forwarded: proto=https; For=\"[2001:DB8::1]:80\";by=_x\r\n",
            "2001:db8::1",
        ),
        ("Forwarded: for=\"192.0.2.7:1234\"\r\n", "192.0.2.7"),
        ("Forwarded: for=\"[::ffff:192.0.2.7]\"\r\n", "192.0.2.7"),
        (
            "Forwarded: for=6.6.6.6, for=unknown, for=10.0.0.1\r\n",
            "10.0.0.1",
        ),
        ("Forwarded: for=6.6.6.6, for=_hidden\r\n", "127.0.0.1"),
        ("Forwarded: for=\"6.6.6.6, for=192.0.2.7\r\n", "192.0.2.7"),
        ("Forwarded: for=6.6.6.6,\r\n", "127.0.0.1"),
        ("Forwarded: for=6.6.6.6, \u{e9}\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 6.6.6.6\r\n", "127.0.0.1"),
    ];
    let (lines, addresses): (Vec<_>, Vec<_>) = forwarded.into_iter().unzip();
    assert_eq!(named("forwarded", &lines), expected(&addresses));

    let x_forwarded_for = [
        (
            "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.1\r\n",
            "192.0.2.7",
        ),
        ("X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"),
        ("X-Forwarded-For: 192.0.2.7:80\r\n", "192.0.2.7"),
        ("Forwarded: for=6.6.6.6\r\n", "127.0.0.1"),
    ];
    let (lines, addresses): (Vec<_>, Vec<_>) = x_forwarded_for.into_iter().unzip();
    assert_eq!(named("x-forwarded-for", &lines), expected(&addresses));
}

#[test]
fn etag_answers_304_to_a_client_that_has_the_response() {
    let example = Running::start("etag", &[]);
    let mut client = example.connect();
    let first = ask(&mut client, "GET", "");
    assert_eq!(first.body, "hello\n");
    let tag = first
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "));
    let tag = tag.unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"x\", W/{tag}"),
        format!("\"x\"\r\nIf-None-Match: {tag} ,\"y\""),
        "*".to_owned(),
    ] {
        for method in ["GET", "HEAD"] {
            let fields = format!("If-None-Match: {known}\r\n");
            let unchanged = ask(&mut client, method, &fields);
            assert_eq!(unchanged.status, 304, "{known}");
            assert!(unchanged.has(&format!("etag: {tag}")), "{known}");
            assert!(!unchanged.head.contains("content-length"), "{known}");
        }
    }
    for other in ["\"x\"", "", "W/\"x\"", tag.trim_matches('"')] {
        let fields = format!("If-None-Match: {other}\r\n");
        assert_eq!(ask(&mut client, "GET", &fields).body, "hello\n", "{other}");
    }
    let not_found = client.get("/nothing");
    assert!(!not_found.head.contains("etag"));
    assert_eq!(
        ask(&mut client, "DELETE", "If-None-Match: *\r\n").status,
        405
    );
    drop(client);
    example.stop();
}

#[test]
fn request_id_keeps_a_sane_id_and_makes_one_otherwise() {
    let example = Running::start("request_id", &[]);
    let mut client = example.connect();
    let mut id = |fields: &str| {
        let response = ask(&mut client, "GET", fields);
        let id = response
            .head
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        let id = id.unwrap().to_owned();
        assert_eq!(response.body, format!("hello {id}\n"));
        id
    };
    assert_eq!(id("X-Request-Id: from-curl_7.\r\n"), "from-curl_7.");
    let long = format!("X-Request-Id: {}\r\n", "x".repeat(65));
    let mut ids = vec![id("")];
    for odd in [
        "X-Request-Id: a b\r\n",
        "X-Request-Id:\r\n",
        "X-Request-Id: \u{e9}\r\n",
        &long,
    ] {
        ids.push(id(odd));
    }
    let made = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), made, "{ids:?}");
    assert!(ids.iter().all(|id| id.len() > 16), "{ids:?}");
    drop(client);
    example.stop();
}

#[test]
fn testing_serves_what_it_tests() {
    let example = Running::start("testing", &[]);
    let mut client = example.connect();
    client.send("POST /double HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n7");
    assert_eq!(client.response().body, "14\n");
    drop(client);
    example.stop();
}
