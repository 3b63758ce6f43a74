//! Limits on bodies by route: the server knows them when it has the head of a request.

use std::sync::Arc;
use std::time::Duration;

use farewell::BodyLimits;
use farewell::Handler;
use farewell::IntoResponse;
use farewell::Request;
use farewell::Response;
use farewell::RouteTable;
use farewell::Router;
use farewell::Routes;

use crate::support::Client;
use crate::support::Gate;
use crate::support::NEVER;
use crate::support::TestServer;
use crate::support::client;
use crate::support::config;

const SHORT: Duration = Duration::from_millis(50);
const SMALL: usize = 1024;
const LARGE: usize = 1 << 20;

fn limit(bytes: usize) -> BodyLimits {
    BodyLimits::new().bytes_max(bytes as u64)
}

/// Answers with the length of the body.
fn length(mut request: Request) -> impl IntoResponse + use<> {
    request.bytes().map(|body| body.len().to_string())
}

/// Notes of 1 KiB, and uploads of 1 MiB.
fn notes_and_files() -> Routes {
    let files = Router::new()
        .put("/files/{name}", length)
        .body_limits(limit(LARGE));
    let routes = Router::new()
        .post("/notes", length)
        .body_limits(limit(SMALL))
        .merge(files);
    routes.build().unwrap()
}

fn begin(client: &mut Client, request_line: &str, length: usize) {
    client.send(format!(
        "{request_line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    ));
}

fn send(client: &mut Client, request_line: &str, length: usize) -> client::Response {
    begin(client, request_line, length);
    client.send("x".repeat(length));
    match request_line.starts_with("HEAD") {
        true => client.head_response(),
        false => client.response(),
    }
}

/// Sends a body in chunks of 1000 bytes. Ignores errors, because the server may close
/// meanwhile.
fn send_chunks(client: &mut Client, request_line: &str, chunks: usize) -> client::Response {
    client.send(format!(
        "{request_line} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    for _ in 0..chunks {
        let _ = client.try_send(format!("3e8\r\n{}\r\n", "x".repeat(1000)));
    }
    let _ = client.try_send("0\r\n\r\n");
    client.response()
}

#[test]
fn a_large_upload_and_a_small_body_have_their_own_limits_in_one_server() {
    let server = TestServer::start(config(), notes_and_files());
    let mut upload = server.connect();
    let mut note = server.connect();
    begin(&mut upload, "PUT /files/a", LARGE);
    upload.send("x".repeat(LARGE / 2));
    assert_eq!(send(&mut note, "POST /notes", SMALL).body, "1024");
    upload.send("x".repeat(LARGE / 2));
    assert_eq!(upload.response().body, LARGE.to_string());
    assert_eq!(
        send_chunks(&mut upload, "PUT /files/b", 1000).body,
        "1000000"
    );
    assert_eq!(send_chunks(&mut note, "POST /notes", 1).body, "1000");
}

#[test]
fn a_body_that_is_too_large_for_its_route_is_refused_before_any_of_it_is_sent() {
    let server = TestServer::start(config(), notes_and_files());
    for (request_line, length) in [("POST /notes", SMALL + 1), ("PUT /files/a", LARGE + 1)] {
        for field in ["", "Expect: 100-continue\r\n"] {
            let mut client = server.connect();
            client.send(format!(
                "{request_line} HTTP/1.1\r\nHost: a\r\n{field}Content-Length: {length}\r\n\r\n"
            ));
            let response = client.response();
            assert_eq!(response.status, 413, "{request_line} {field}");
            assert!(response.closes());
            client.expect_eof();
        }
    }
    let mut client = server.connect();
    client.send(format!(
        "PUT /files/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {LARGE}\r\n\r\n"
    ));
    assert_eq!(client.head(), "http/1.1 100 continue\r\n\r\n");
    client.send("x".repeat(LARGE));
    assert_eq!(client.response().body, LARGE.to_string());
}

#[test]
fn a_chunked_body_is_refused_at_the_limit_of_its_route_also_while_the_handler_reads() {
    let server = TestServer::start(config(), notes_and_files());
    let response = send_chunks(&mut server.connect(), "POST /notes", 2);
    assert_eq!(response.status, 413);
    assert!(response.closes());
    let response = send_chunks(&mut server.connect(), "PUT /files/a", 1100);
    assert_eq!(response.status, 413);
    assert!(response.closes());
}

/// Sends a body at the limit, and one beyond it.
fn assert_limit(server: &TestServer, request_line: &str, limit: usize, status: u16) {
    let within = send(&mut server.connect(), request_line, limit);
    assert_eq!(within.status, status, "{request_line} {limit}");
    let mut client = server.connect();
    begin(&mut client, request_line, limit + 1);
    let beyond = match request_line.starts_with("HEAD") {
        true => client.head_response(),
        false => client.response(),
    };
    assert_eq!(beyond.status, 413, "{request_line} {limit}");
}

#[test]
fn each_method_and_each_answer_of_the_router_itself_has_the_limit_of_its_router() {
    let gets = Router::new().get("/p", length).body_limits(limit(200));
    let posts = Router::new().post("/p", length).body_limits(limit(300));
    let items = Router::new().get("/i/{id}", length).body_limits(limit(400));
    let deep = Router::new().any("/any", length).get("/get", length);
    let nested = Router::new()
        .nest("/deep", deep)
        .merge(Router::new().put("/", length).body_limits(limit(600)))
        .body_limits(limit(500));
    let routes = Router::new()
        .merge(gets)
        .merge(posts)
        .merge(items)
        .nest("/in/{tenant}", nested)
        .body_limits(limit(100));
    let server = TestServer::start(config(), routes.build().unwrap());
    for (request_line, limit, status) in [
        ("GET /p", 200, 200),
        ("HEAD /p", 200, 200),
        ("POST /p", 300, 200),
        ("PUT /p", 100, 405),
        ("OPTIONS /p", 100, 204),
        ("OPTIONS *", 100, 204),
        ("GET /i/1", 400, 200),
        ("PUT /i/1", 400, 405),
        ("GET /i/%FF", 400, 400),
        ("GET /x", 100, 404),
        ("GET /in/a/x", 500, 404),
        ("GET /in/%FF/x", 500, 400),
        ("PUT /in/a", 600, 200),
        ("BREW /in/a/deep/any", 500, 200),
        ("HEAD /in/a/deep/get", 500, 200),
        ("GET /in/a/deep/x", 500, 404),
    ] {
        assert_limit(&server, request_line, limit, status);
    }
}

#[test]
fn the_limits_that_a_router_does_not_set_are_those_around_it_and_of_the_config() {
    let mut config = config();
    config.body_bytes_max = 100;
    let zero = Router::new().post("/zero", length).body_limits(limit(0));
    let inner = Router::new()
        .post("/inner", length)
        .body_limits(BodyLimits::new().buffer(10))
        .merge(zero);
    let outer = Router::new()
        .nest("/outer", inner)
        .body_limits(limit(300))
        .body_limits(BodyLimits::new().timeout(NEVER))
        .body_limits(limit(200));
    let routes = Router::new().post("/config", length).nest("/", outer);
    let server = TestServer::start(config, routes.build().unwrap());
    assert_limit(&server, "POST /config", 100, 200);
    assert_limit(&server, "POST /outer/inner", 200, 200);
    assert_limit(&server, "POST /outer/zero", 0, 200);
}

#[test]
fn a_handler_is_called_when_the_buffer_of_its_route_is_full() {
    let (gate, bar) = Gate::new();
    let started = Arc::clone(&gate);
    let at_gate = move |mut request: Request| {
        started.pass("early");
        request.bytes().map(|body| body.len().to_string())
    };
    let early = Router::new().post("/early", at_gate);
    let routes = early.body_limits(BodyLimits::new().buffer(1)).build();
    let server = TestServer::start(config(), routes.unwrap());
    let mut client = server.connect();
    begin(&mut client, "POST /early", 5);
    client.send("he");
    // With the default buffer the handler would not be called yet.
    gate.wait_started();
    drop(bar);
    client.send("llo");
    assert_eq!(client.response().body, "5");
}

#[test]
fn a_body_is_too_slow_by_the_timeout_of_its_route() {
    let hasty = Router::new()
        .post("/hasty", length)
        .body_limits(BodyLimits::new().timeout(SHORT));
    let routes = Router::new().post("/patient", length).merge(hasty);
    let server = TestServer::start(config(), routes.build().unwrap());
    let mut patient = server.connect();
    let mut hasty = server.connect();
    begin(&mut patient, "POST /patient", 5);
    begin(&mut hasty, "POST /hasty", 5);
    assert_eq!(hasty.response().status, 408);
    patient.send("hello");
    assert_eq!(patient.response().body, "5");
}

#[test]
fn an_upload_waits_for_its_turn_as_long_as_its_route_says() {
    let mut config = config();
    config.workers = 2;
    let early = BodyLimits::new().buffer(1);
    let hasty = Router::new()
        .post("/hasty", length)
        .body_limits(early.timeout(SHORT));
    // One of the two workers may wait for an upload: for this one.
    let (gate, bar) = Gate::new();
    let started = Arc::clone(&gate);
    let first = move |mut request: Request| {
        started.pass("first");
        request.bytes().map(|body| body.len().to_string())
    };
    let first = Router::new().post("/first", first).body_limits(early);
    let routes = Router::new().merge(first).merge(hasty).build();
    let server = TestServer::start(config, routes.unwrap());
    let mut first = server.connect();
    begin(&mut first, "POST /first", 5);
    first.send("he");
    gate.wait_started();
    let mut hasty = server.connect();
    begin(&mut hasty, "POST /hasty", 5);
    hasty.send("he");
    assert_eq!(hasty.response().status, 503);
    drop(bar);
    first.send("llo");
    assert_eq!(first.response().body, "5");
}

/// A handler of the application around routes.
struct Wrapped(Routes);

impl Handler for Wrapped {
    fn handle(&self, request: Request) -> Response {
        self.0.handle(request)
    }

    fn route_table(&self) -> Option<RouteTable> {
        self.0.route_table()
    }
}

#[test]
fn limits_count_in_routes_that_a_handler_forwards_and_not_in_those_that_a_closure_calls() {
    let mut config = config();
    config.body_bytes_max = 100;
    let forwarded = TestServer::start(config.clone(), Wrapped(notes_and_files()));
    assert_limit(&forwarded, "POST /notes", SMALL, 200);
    let routes = notes_and_files();
    let called = TestServer::start(config, move |request: Request| routes.handle(request));
    assert_limit(&called, "POST /notes", 100, 200);
    assert_limit(&called, "PUT /files/a", 100, 200);
}

#[test]
fn a_fallback_has_the_limits_of_the_routers_whose_layers_it_has() {
    let merged = Router::new().fallback(length).body_limits(limit(1000));
    let merged = Router::new().merge(merged).body_limits(limit(1));
    let routes = Router::new()
        .merge(merged)
        .nest("/inherits", Router::new())
        .body_limits(limit(10));
    let server = TestServer::start(config(), routes.build().unwrap());
    assert_limit(&server, "POST /nothing", 1000, 200);
    assert_limit(&server, "POST /inherits/nothing", 1000, 200);

    let without = || Router::new().body_limits(limit(1000));
    let with = Router::new().fallback(length).body_limits(limit(100));
    let routes = Router::new()
        .nest("/without", without())
        .nest("/with", with)
        .fallback(length)
        .body_limits(limit(10));
    let server = TestServer::start(config(), routes.build().unwrap());
    assert_limit(&server, "POST /nothing", 10, 200);
    assert_limit(&server, "POST /without/nothing", 1000, 200);
    assert_limit(&server, "POST /with/nothing", 100, 200);

    let routes = Router::new()
        .nest("/without", without())
        .body_limits(limit(10));
    let server = TestServer::start(config(), routes.build().unwrap());
    assert_limit(&server, "POST /without/nothing", 1000, 404);
    assert_limit(&server, "POST /nothing", 10, 404);
}
