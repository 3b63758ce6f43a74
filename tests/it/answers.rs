//! How requests are answered: framing, order, persistence.

use farewell::Counts;
use farewell::Html;
use farewell::IntoResponse;
use farewell::Request;
use http::StatusCode;

use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

#[test]
fn a_get_is_answered_and_the_connection_persists() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    for path in ["/a", "/b?c=d"] {
        let response = client.get(path);
        assert_eq!(response.status, 200);
        assert_eq!(response.body, format!("hello {}", &path[..2]));
        assert!(
            response.has("content-type: text/plain; charset=utf-8"),
            "{response:?}"
        );
        assert!(!response.closes());
    }
}

/// The pipelines are as long as the budget of a turn.
#[test]
fn a_long_pipeline_is_answered_and_the_connection_is_idle_after_it() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    for requests in 45..=60 {
        let post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
        client.send(post.repeat(requests));
        for _ in 0..requests {
            assert_eq!(client.response().body, "hello /x");
        }
        let idle = |counts: Counts| counts.idle == 1 && counts.waiting == 0;
        assert!(server.stop.wait_for_counts(TOO_LONG, idle), "{requests}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    let all: String = (0..100)
        .map(|n| crate::support::get(&format!("/{n}")))
        .collect();
    client.send(all);
    for n in 0..100 {
        assert_eq!(client.response().body, format!("hello /{n}"));
    }
}

#[test]
fn a_head_gets_the_length_and_no_body() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.head_response();
    assert!(response.has("content-length: 8"), "{response:?}");
    assert_eq!(client.get("/y").body, "hello /y");
}

#[test]
fn a_body_is_read_before_its_handler_runs() {
    let server = TestServer::start(config(), |mut request: Request| request.bytes());
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    server.wait_in_progress(1);
    client.send("loGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().body, "hello");
    assert_eq!(client.response().body, "");

    let large = "x".repeat(2 * 1024 * 1024);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        large.len()
    ));
    client.send(&large);
    assert!(client.response().body == large);
}

#[test]
fn http_1_0_closes_unless_asked_to_persist() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(client.response().has("connection: keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert!(client.response().closes());
    client.expect_eof();
}

#[test]
fn a_client_that_sends_connection_close_gets_its_answer_and_eof() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(client.response().closes());
    client.expect_eof();
}

#[test]
fn a_client_that_has_half_closed_gets_its_answer() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.request("/");
    client.half_close();
    assert_eq!(client.response().body, "hello /");
    client.expect_eof();
}

#[test]
fn empty_lines_before_a_request_are_ignored() {
    let server = TestServer::hello(config());
    let mut client = server.connect();
    client.send("\r\n\r\n");
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_panic_is_a_500_and_the_worker_lives() {
    let mut config = config();
    config.workers = 1;
    let server = TestServer::start(config, |request: Request| {
        assert!(request.uri().path() != "/panic", "on purpose");
        "fine"
    });
    for _ in 0..3 {
        let mut client = server.connect();
        let response = client.get("/panic");
        assert_eq!(response.status, 500);
        assert!(response.closes());
        client.expect_eof();
    }
    assert_eq!(server.connect().get("/").body, "fine");
}

#[test]
fn results_and_statuses_are_responses() {
    let server = TestServer::start(config(), |request: Request| match request.uri().path() {
        "/none" => Ok(StatusCode::NO_CONTENT.into_response()),
        "/early" => Ok(StatusCode::CONTINUE.into_response()),
        _ => Err((StatusCode::NOT_FOUND, "no such thing")),
    });
    let mut client = server.connect();
    assert_eq!(client.get("/none").status, 204);
    assert_eq!(client.get("/other").body, "no such thing");
    assert_eq!(
        client.get("/early").status,
        500,
        "an interim status is not a final response"
    );
}

#[test]
fn a_request_has_both_addresses_and_the_phase() {
    let server = TestServer::start(config(), |request: Request| {
        let (peer, local, phase) = (request.peer_addr(), request.local_addr(), request.phase());
        format!("{peer} {local} {phase} {}", request.deadline().is_none())
    });
    let mut client = server.connect();
    let expected = format!("{} {} running true", client.address(), server.address());
    assert_eq!(client.get("/").body, expected);
}

#[test]
fn a_text_can_be_html_and_a_head_an_http_request() {
    let server = TestServer::start(config(), |request: Request| {
        let request = request.to_http();
        assert_eq!(request.headers()["host"], "localhost");
        Html(format!("<p>{} {}", request.method(), request.uri()))
    });
    let response = server.connect().get("/a?b");
    assert_eq!(response.body, "<p>GET /a?b");
    assert!(response.has("content-type: text/html; charset=utf-8"));
}
