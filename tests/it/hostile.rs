//! Hostile input: every message that can be read in two ways is refused with the right
//! status, and what follows it is not read.
//!
//! The rules, and which test shows which, stand in `src/http1/mod.rs`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use farewell::Request;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::client::get;
use crate::support::config;

/// A request that follows the refused message.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server for many cases, which counts the requests that reach its handler.
struct Target {
    server: TestServer,
    handled: Arc<AtomicUsize>,
}

impl Target {
    fn new() -> Self {
        let mut config = config();
        config.head_bytes_max = 2048;
        config.headers_max = 10;
        config.target_bytes_max = 200;
        config.body_bytes_max = 1000;
        let handled = Arc::new(AtomicUsize::new(0));
        let server = TestServer::start(config, {
            let handled = Arc::clone(&handled);
            move |mut request: Request| {
                handled.fetch_add(1, SeqCst);
                request.bytes()
            }
        });
        Self { server, handled }
    }

    /// Checks that the message is refused with this status, that the connection closes,
    /// and that what follows is not taken for a request. Checks the same for the message
    /// byte by byte (or in a thousand pieces).
    fn refuses(&self, message: &str, status: u16) {
        let mut client = self.server.connect();
        client.send(format!("{message}{SMUGGLED}"));
        self.refused(client, message, status);

        let client = self.server.connect();
        let mut sender = client.try_clone();
        for piece in message.as_bytes().chunks(1 + message.len() / 1000) {
            // The server may refuse it before it is complete.
            if sender.try_send(piece).is_err() {
                break;
            }
            thread::yield_now();
        }
        let _ = sender.try_send(SMUGGLED);
        drop(sender);
        self.refused(client, message, status);
    }

    fn refused(&self, mut client: Client, message: &str, status: u16) {
        let response = client.response();
        assert_eq!(response.status, status, "{message:?} gave {response:?}");
        assert!(response.closes(), "{message:?} gave {response:?}");
        client.expect_eof();
        let handled = self.handled.load(SeqCst);
        assert_eq!(handled, 0, "{message:?} reached the handler");
    }

    /// Checks that the message is taken for one request with this body, and that the
    /// request that follows is answered too.
    fn takes(&self, message: &str, body: &str) {
        let mut client = self.server.connect();
        client.send(format!("{message}{SMUGGLED}"));
        let response = client.response();
        assert_eq!(response.status, 200, "{message:?} gave {response:?}");
        assert_eq!(response.body, body, "{message:?}");
        assert_eq!(client.response().status, 200, "{message:?}");
        self.handled.store(0, SeqCst);
    }
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[test]
fn empty_lines_before_a_request_are_ignored() {
    let target = Target::new();
    target.takes(&format!("\r\n\r\n{}", get("/")), "");
    // Only complete empty lines are.
    target.refuses(&format!("\r{}", get("/")), 400);
    target.refuses(&format!("\n{}", get("/")), 400);
    target.refuses(&format!(" {}", get("/")), 400);
}

#[test]
fn a_bare_lf_ends_no_line() {
    let target = Target::new();
    target.refuses("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
    target.refuses("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    target.refuses("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n", 400);
    target.refuses(&chunked("5\nhello\r\n0\r\n\r\n"), 400);
    target.refuses(&chunked("5\r\nhello\n0\r\n\r\n"), 400);
    target.refuses(&chunked("5\r\nhello\r\n0\n\r\n"), 400);
    target.refuses(&chunked("5\r\nhello\r\n0\r\nX: y\n\r\n"), 400);
    target.refuses(&chunked("5;a\n\r\nhello\r\n0\r\n\r\n"), 400);
}

#[test]
fn a_bare_cr_or_a_nul_is_refused() {
    let target = Target::new();
    for wrong in ['\r', '\0', '\x01', '\x0b', '\x7f'] {
        target.refuses(&post(&format!("X: a{wrong}b\r\n"), ""), 400);
        target.refuses(&post(&format!("X{wrong}: a\r\n"), ""), 400);
        target.refuses(&format!("GET /{wrong} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
        target.refuses(&chunked(&format!("5;{wrong}x\r\nhello\r\n0\r\n\r\n")), 400);
    }
}

#[test]
fn blanks_before_the_first_field_are_refused() {
    let target = Target::new();
    target.refuses("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    target.refuses("GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn a_request_line_has_three_parts_and_two_spaces() {
    let target = Target::new();
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET /",
        "GET",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "GET / HTTP/1.1.1",
        "GET / HTTP/+1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/01.01",
        "GET / HTTP/01.1",
        "GET / HTTP/2",
        "GET / HTTP/2.0 ",
        "GET / HTTP/2.00",
    ] {
        target.refuses(&format!("{line}\r\nHost: a\r\n\r\n"), 400);
    }
}

#[test]
fn another_major_or_minor_version_is_505() {
    let target = Target::new();
    for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"] {
        target.refuses(&format!("GET / {version}\r\nHost: a\r\n\r\n"), 505);
    }
}

#[test]
fn a_target_is_in_one_of_four_forms() {
    let target = Target::new();
    let with = |method: &str, form: &str| format!("{method} {form} HTTP/1.1\r\nHost: a\r\n\r\n");
    for form in [
        "/",
        "/?a",
        "//a",
        "http://a/",
        "http://a",
        "http://a?b",
        "HTTP://a:80/",
        "http://a:/",
        "http://a%41/",
        "http://[::1]/",
    ] {
        target.takes(&with("GET", form), "");
    }
    target.takes(&with("OPTIONS", "*"), "");
    target.takes(&with("OPTIONS", "http://a"), "");
    for form in [
        "*",
        "a",
        "a:80",
        "http:///b",
        "http://u@a/",
        "http://u:p@a/",
        "a/b",
        "#",
        "/a#b",
        "http://a/#b",
        "http:/x",
        "http:x",
        "http://",
        "http://:80/x",
        "http://?b",
        "http://@a/",
        "http://a:65536/",
        "http://a:b/",
        "http://[zz]/",
        "http://[]:80/",
        "ftp://a/x",
        "ws://a/x",
        "https:///x",
    ] {
        target.refuses(&with("GET", form), 400);
    }
    for form in ["https://a/x", "HTTPS://a", "https://a:443/x"] {
        target.refuses(&with("GET", form), 421);
    }
    target.refuses(&with("CONNECT", "a:80"), 501);
    for form in ["a", "a:", ":80", "/", "http://a:80"] {
        target.refuses(&with("CONNECT", form), 400);
    }
}

#[test]
fn a_host_is_there_once_and_valid() {
    let target = Target::new();
    target.refuses("GET / HTTP/1.1\r\n\r\n", 400);
    for hosts in [
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
        "Host: a/b\r\n",
        "Host: http://a\r\n",
        "Host: a:x\r\n",
        "Host: a:65536\r\n",
        "Host: :80\r\n",
        "Host: a%4\r\n",
        "Host: a\\b\r\n",
        "Host: \u{fc}\r\n",
        "Host: [::1\r\n",
        "Host: [zz]\r\n",
        "Host: []\r\n",
        "Host: []:80\r\n",
        "Host: [127.0.0.1]\r\n",
        "Host: [fe80::1%25eth0]\r\n",
        "Host: [v1]\r\n",
    ] {
        target.refuses(&format!("GET / HTTP/1.1\r\n{hosts}\r\n"), 400);
    }
    for host in [
        "",
        "a%41",
        "a_b:",
        "a,b",
        "[::1]:80",
        "[v1.a:b]",
        "999.1.1.1:65535",
    ] {
        target.takes(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), "");
    }
    target.refuses("GET http://a/ HTTP/1.1\r\n\r\n", 400);
}

#[test]
fn the_host_of_the_target_counts() {
    let server = TestServer::start(config(), |request: Request| {
        request.headers()["host"].to_str().unwrap().to_owned()
    });
    let mut client = server.connect();
    for host in ["a:1", "a%41:1", "[v1.1:2:3:4:5:6:7:8:9:10]"] {
        client.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert_eq!(client.response().body, host);
    }
}

#[test]
fn one_rule_for_path_and_query() {
    let server = TestServer::start(config(), |request: Request| request.uri().to_string());
    let mut client = server.connect();
    for taken in [
        "/?filter[name]=x",
        "/a[0]/{b}|c^d\\e",
        "/?{\\}|^`",
        "/a!$&'()*+,;=:@-._~/?/?!$&'()*+,;=:@-._~",
        "/%41%zz%?100%",
        "/\u{fc}/\u{1f600}?\u{fc}",
        "//a//b",
    ] {
        assert_eq!(client.get(taken).body, taken);
    }
    assert_eq!(client.get("/`a?`").body, "/%60a?`");

    let target = Target::new();
    for wrong in ['"', '<', '>', '#', '\x01', '\x1b', '\x7f', '\t'] {
        for before in ["/", "/?", "http://a/", "http://a/?"] {
            let line = format!("GET {before}{wrong}b HTTP/1.1");
            target.refuses(&format!("{line}\r\nHost: a\r\n\r\n"), 400);
        }
    }
    let mut client = target.server.connect();
    client.send(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status, 400);
}

#[test]
fn a_method_longer_than_any_is_501() {
    let target = Target::new();
    let method = |length| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length));
    target.takes(&method(32), "");
    for length in [33, 2000, 3000, 9 * 1024, 17 * 1024] {
        target.refuses(&method(length), 501);
    }
    target.refuses(&"x".repeat(3000), 501);
    // The first bytes decide, however the message is split.
    target.refuses(&format!("{}(\r\n\r\n", "x".repeat(40)), 501);
}

#[test]
fn a_field_is_a_token_and_a_colon_with_no_blank_between() {
    let target = Target::new();
    for field in [
        "X : y",
        "X\t: y",
        ": y",
        "X",
        "X y",
        "X(: y",
        "X\"Y: z",
        "\u{e9}: y",
    ] {
        target.refuses(&post(&format!("{field}\r\n"), ""), 400);
    }
}

#[test]
fn a_folded_line_is_refused() {
    let target = Target::new();
    target.refuses(&post("X: a\r\n b\r\n", ""), 400);
    target.refuses(&post("X: a\r\n\tb\r\n", ""), 400);
    target.refuses(&post("Content-Length: 5\r\n 0\r\n", "hello"), 400);
}

#[test]
fn a_head_is_bounded_in_every_direction() {
    let target = Target::new();
    let long = "x".repeat(3000);
    target.refuses(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
    target.refuses(&format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
    target.refuses(&post(&format!("X: {long}\r\n"), ""), 431);
    target.refuses(&post(&format!("{long}: x\r\n"), ""), 431);
    target.refuses(&post(&"X: y\r\n".repeat(10), ""), 431);
}

#[test]
fn a_length_is_digits_and_one_number() {
    let target = Target::new();
    for length in [
        "+5", "-5", " ", "", "5 5", "5,5", "0x5", "5.0", "5e0", "\u{665}", "five",
    ] {
        target.refuses(
            &post(&format!("Content-Length: {length}\r\n"), "hello"),
            400,
        );
    }
    target.refuses(
        &post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        400,
    );
    target.refuses(
        &post("Content-Length: 99999999999999999999\r\n", "hello"),
        413,
    );
    target.refuses(&post("Content-Length: 1001\r\n", "hello"), 413);
    target.takes(
        &post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        "hello",
    );
    target.takes(&post("Content-Length: 005\r\n", "hello"), "hello");
}

#[test]
fn a_length_beside_a_transfer_coding_is_refused() {
    let target = Target::new();
    let body = "5\r\nhello\r\n0\r\n\r\n";
    target.refuses(
        &post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\n", body),
        400,
    );
    target.refuses(
        &post("Transfer-Encoding: chunked\r\nContent-Length: 15\r\n", body),
        400,
    );
    target.refuses(
        &post("Transfer-Encoding: gzip\r\nContent-Length: 15\r\n", body),
        400,
    );
}

#[test]
fn chunked_is_the_last_coding_once_and_alone() {
    let target = Target::new();
    let body = "5\r\nhello\r\n0\r\n\r\n";
    for (codings, status) in [
        ("chunked, chunked", 400),
        ("chunked, identity", 501),
        ("chunked, gzip", 501),
        ("gzip, chunked", 501),
        ("identity", 501),
        ("xchunked", 501),
        ("chunked;q=1", 501),
        ("\"chunked\"", 501),
        ("chunked\u{b}", 400),
        ("", 400),
        (",", 400),
        ("chunked,", 400),
        (",chunked", 400),
    ] {
        let status = match codings {
            // A request without chunked as its last coding has no certain end.
            "chunked, identity" | "chunked, gzip" => 400,
            _ => status,
        };
        target.refuses(
            &post(&format!("Transfer-Encoding: {codings}\r\n"), body),
            status,
        );
    }
    target.refuses(
        &post(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            body,
        ),
        400,
    );
    target.takes(&post("transfer-encoding:\t CHUNKED \r\n", body), "hello");
}

#[test]
fn http_1_0_has_no_transfer_codings() {
    let target = Target::new();
    target.refuses(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        400,
    );
}

#[test]
fn a_chunk_size_is_hexadecimal_digits_alone() {
    let target = Target::new();
    for size in [
        "+5",
        "-5",
        " 5",
        "5 ",
        "0x5",
        "5h",
        "",
        ";a",
        "\t5",
        "5\t",
        "000000000000000005",
    ] {
        target.refuses(&chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")), 400);
    }
    target.refuses(&chunked("10000000000000000\r\n"), 400);
    target.refuses(&chunked("ffffffffffffffff\r\n"), 413);
    target.refuses(&chunked("3e9\r\n"), 413);
    target.takes(&chunked("0005\r\nhello\r\n00\r\n\r\n"), "hello");
    target.takes(&chunked("A\r\nhellohello\r\n0\r\n\r\n"), "hellohello");
}

#[test]
fn a_chunk_is_as_long_as_it_says() {
    let target = Target::new();
    target.refuses(&chunked("4\r\nhello\r\n0\r\n\r\n"), 400);
    target.refuses(&chunked("6\r\nhello\r\n0\r\n\r\n"), 400);
}

#[test]
fn a_chunk_line_that_never_ends_is_refused() {
    let target = Target::new();
    let endless = "e".repeat(17 * 1024);
    target.refuses(&chunked(&format!("5;{endless}\r\nhello\r\n0\r\n\r\n")), 400);
    let many = format!("1;{}\r\nx\r\n", "e".repeat(100)).repeat(200);
    target.refuses(&chunked(&format!("{many}0\r\n\r\n")), 400);
    target.takes(&chunked("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n"), "hello");
}

#[test]
fn a_chunk_extension_is_a_name_and_perhaps_a_value() {
    let target = Target::new();
    for wrong in [
        ";",
        ";=b",
        ";a=",
        ";a=\"b",
        ";a=\"b\"c",
        ";bad[=x",
        ";;a",
        ";a ",
        ";a=b ",
        ";a b",
        ";a=b=c",
        ";a=\u{e9}",
        ";a,b",
    ] {
        target.refuses(&chunked(&format!("5{wrong}\r\nhello\r\n0\r\n\r\n")), 400);
        target.refuses(&chunked(&format!("5\r\nhello\r\n0{wrong}\r\n\r\n")), 400);
    }
    for fine in [
        ";a",
        " ; a = b",
        "\t;\ta\t=\t\"b\" ;c",
        ";a=\"\\\"\\\\;\u{e9}\"",
        ";a=\"\"",
        ";a;b=c",
    ] {
        target.takes(
            &chunked(&format!("5{fine}\r\nhello\r\n0{fine}\r\n\r\n")),
            "hello",
        );
    }
}

#[test]
fn a_trailer_frames_and_routes_nothing() {
    let target = Target::new();
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Trailer",
        "Upgrade",
        "Expect",
        "TE",
    ] {
        target.refuses(&chunked(&format!("0\r\n{name}: 1\r\n\r\n")), 400);
    }
    target.refuses(&chunked("0\r\nX : y\r\n\r\n"), 400);
    target.refuses(&chunked("0\r\nX: y\r\n z\r\n\r\n"), 400);
    target.refuses(
        &chunked(&format!("0\r\nX: {}\r\n\r\n", "x".repeat(3000))),
        431,
    );
    target.refuses(
        &chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(11))),
        431,
    );
    target.takes(&chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "hello");
}

#[test]
fn what_follows_a_request_that_closes_is_not_answered() {
    let target = Target::new();
    let mut client = target.server.connect();
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{SMUGGLED}garbage"
    ));
    assert_eq!(client.response().status, 200);
    client.expect_eof();
    assert_eq!(target.handled.load(SeqCst), 1);
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    let many: String = (0..100).map(|number| get(&format!("/{number}"))).collect();
    client.send(many);
    for number in 0..100 {
        assert_eq!(client.response().body, format!("hello /{number}"));
    }
}

#[test]
fn a_request_that_breaks_off_gets_no_handler() {
    let target = Target::new();
    for begun in [
        "GET / HT",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel",
    ] {
        let mut client = target.server.connect();
        client.send(begun);
        client.half_close();
        client.expect_eof();
    }
    assert_eq!(target.handled.load(SeqCst), 0);
}

#[test]
fn a_status_without_a_name_has_its_space() {
    let server = TestServer::start(config(), |_: Request| {
        http::StatusCode::from_u16(299).unwrap()
    });
    let mut client = server.connect();
    client.request("/");
    assert!(client.head().starts_with("http/1.1 299 \r\n"));
}
