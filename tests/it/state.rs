//! Handlers and layers that share a state, and the responses that they return.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use farewell::Handler;
use farewell::IntoResponse;
use farewell::NoContent;
use farewell::Redirect;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use farewell::State;
use farewell::StatusCode;
use farewell::header;

use crate::support::TestServer;
use crate::support::config;

#[derive(Default)]
struct Counter {
    calls: AtomicUsize,
    name: String,
}

impl Counter {
    fn read(&self, _: Request) -> String {
        self.calls.load(Ordering::Relaxed).to_string()
    }
}

/// The type of its response depends on the lifetime of the reference.
fn name(counter: &Counter, _: Request) -> impl IntoResponse {
    counter.name.clone()
}

fn checked(counter: &Counter, request: Request) -> Result<String, Rejection> {
    let least: usize = request.param_as("least")?;
    match counter.calls.load(Ordering::Relaxed) {
        calls if calls >= least => Ok(calls.to_string()),
        _ => Err(Rejection::new(StatusCode::NOT_FOUND, "not yet")),
    }
}

fn count(counter: &Counter, request: Request, next: &dyn Handler) -> Response {
    counter.calls.fetch_add(1, Ordering::Relaxed);
    next.handle(request)
}

fn guard(_: &Counter, request: Request, next: &dyn Handler) -> impl IntoResponse {
    match request.header::<String>("x-guest")? {
        Some(_) => Err(Rejection::new(StatusCode::FORBIDDEN, "no guests")),
        None => Ok(next.handle(request)),
    }
}

#[test]
fn handlers_and_layers_share_a_state_with_the_program() {
    let state = State::new(Counter {
        name: "counter".to_owned(),
        ..Counter::default()
    });
    let routes = Router::new()
        .get("/name", state.handler(name))
        .get("/read", state.handler(Counter::read))
        .get("/least/{least}", state.handler(checked))
        .get(
            "/closure",
            state.handler(|counter: &Counter, request: Request| {
                format!("{} {}", counter.name, request.uri())
            }),
        )
        .layer(state.layer(count))
        .layer(state.layer(guard));
    let server = TestServer::start(config(), routes.build().unwrap());
    let mut client = server.connect();
    assert_eq!(client.get("/name").body, "counter");
    assert_eq!(client.get("/closure").body, "counter /closure");
    assert_eq!(client.get("/read").body, "3");
    assert_eq!(client.get("/least/4").body, "4");
    assert_eq!(client.get("/least/9").status, 404);
    assert_eq!(client.get("/least/x").status, 400);
    client.send("GET /read HTTP/1.1\r\nHost: a\r\nX-Guest: 1\r\n\r\n");
    assert_eq!(client.response().body, "no guests\n");
    assert_eq!(state.calls.load(Ordering::Relaxed), 6);
    let same = state.clone();
    same.calls.store(0, Ordering::Relaxed);
    assert_eq!(client.get("/read").body, "1");
}

/// A path of a request decides what the handler returns.
fn answers() -> TestServer {
    let routes = Router::new()
        .get("/fields", |_: Request| {
            (
                StatusCode::CREATED,
                [("set-cookie", "a=1"), ("set-cookie", "b=2")],
                "made",
            )
        })
        .get("/split/{value}", |request: Request| {
            let value = request.param("value").unwrap_or_default().to_owned();
            ([("x-value", value)], "text")
        })
        .get("/to/{*path}", |request: Request| {
            Redirect::see_other(request.param("path").unwrap_or_default())
        })
        .get("/nothing", |_: Request| None::<String>)
        .get("/gone", |_: Request| NoContent)
        .get("/failed", |_: Request| io::Error::other("secret"))
        .get("/file", |_: Request| std::fs::File::open(file!()))
        .post("/copy", |mut request: Request| -> io::Result<_> {
            let mut body = Vec::new();
            io::copy(request.body_mut(), &mut body)?;
            Ok(body)
        })
        .get("/cookie/{value}", |request: Request| {
            let mut jar = request.cookies();
            let value = request.param("value").unwrap_or_default().to_owned();
            jar.add(("name", value));
            (StatusCode::ACCEPTED, (jar, [(header::VARY, "cookie")]))
        });
    TestServer::start(config(), routes.build().unwrap())
}

#[test]
fn fields_beside_a_body_are_sent_and_repeated() {
    let server = answers();
    let mut client = server.connect();
    let response = client.get("/fields");
    assert_eq!(response.status, 201);
    assert!(response.has("set-cookie: a=1"), "{response:?}");
    assert!(response.has("set-cookie: b=2"), "{response:?}");
    assert_eq!(response.body, "made");
}

#[test]
fn a_line_end_in_a_value_injects_no_field_and_no_response() {
    let server = answers();
    let mut client = server.connect();
    let evil = "a%0D%0Ax-evil:%201%0D%0A%0D%0AHTTP/1.1%20200%20OK";
    for path in ["/split/", "/to/"] {
        let evil = evil.replace("HTTP/1.1", "HTTP%2F1.1");
        let response = client.get(&format!("{path}{evil}"));
        assert_eq!(response.status, 500, "{response:?}");
        assert_eq!(response.body, "internal server error\n");
        assert!(!response.head.contains("evil"), "{response:?}");
    }
    let cookie = client.get("/cookie/a%0D%0Ax-evil:%201;%20Domain=evil");
    assert_eq!(cookie.status, 202);
    assert!(
        cookie.has("set-cookie: name=a%0d%0ax-evil%3a%201%3b%20domain%3devil"),
        "{cookie:?}"
    );
    assert_eq!(client.get("/split/fine").body, "text", "it is in step");
}

#[test]
fn a_layer_adds_fields_to_a_rejection_from_inside_and_changes_its_status() {
    let routes = Router::new()
        .get("/", |_: Request| (StatusCode::OK, None::<String>))
        .layer(|request: Request, next: &dyn Handler| {
            (StatusCode::GONE, [("x-layer", "1")], next.handle(request))
        });
    let server = TestServer::start(config(), routes.build().unwrap());
    let response = server.connect().get("/");
    assert_eq!((response.status, &*response.body), (410, "not found\n"));
    assert!(response.has("x-layer: 1"), "{response:?}");
}

#[test]
fn redirects_and_empty_answers_have_their_status() {
    let server = answers();
    let mut client = server.connect();
    let redirect = client.get("/to/a%2Fb%3Fc");
    assert_eq!(redirect.status, 303);
    assert!(redirect.has("location: a/b?c"), "{redirect:?}");
    assert!(redirect.has("content-length: 0"), "{redirect:?}");
    let nothing = client.get("/nothing");
    assert_eq!((nothing.status, &*nothing.body), (404, "not found\n"));
    assert_eq!(client.get("/gone").status, 204);
}

#[test]
fn an_error_is_a_500_without_its_text_and_that_of_a_body_has_its_status() {
    let server = answers();
    let mut client = server.connect();
    let failed = client.get("/failed");
    assert_eq!(failed.status, 500);
    assert_eq!(failed.body, "internal server error\n");
    let file = client.get("/file");
    assert_eq!(file.body, include_str!("state.rs"));
    assert!(file.has("content-type: application/octet-stream"));

    client.send("POST /copy HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("{:x}\r\n", 3 << 20));
    let too_large = client.response();
    assert_eq!(too_large.status, 413, "{too_large:?}");
}
