//! The application renders rejections: those of the server, of a router, of handlers and
//! of layers. A panic behind a layer is a response that the layer sees.

use std::sync::Arc;
use std::sync::Mutex;

use crossbeam_channel::bounded;
use farewell::Body;
use farewell::Config;
use farewell::Handler;
use farewell::HeaderValue;
use farewell::IntoResponse;
use farewell::Rejection;
use farewell::Report;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Response;
use farewell::RouteTable;
use farewell::Router;
use farewell::Routes;
use farewell::Server;
use farewell::StatusCode;
use farewell::UserCode;
use farewell::header;

use crate::support::TestServer;
use crate::support::config;
use crate::support::short_drain;

fn as_json(rejection: &Rejection) -> Response {
    let status = rejection.status().as_u16();
    let text = format!(r#"{{"status":{status},"error":"{}"}}"#, rejection.message());
    let mut response = Response::new(text.into());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn panics(_: Request) -> &'static str {
    panic!("a bug of the application")
}

fn small() -> Config {
    let mut config = config();
    config.head_bytes_max = 1024;
    config.target_bytes_max = 100;
    config.body_bytes_max = 1000;
    config
}

fn routes() -> Routes {
    Router::new()
        .get("/", |_: Request| "hello")
        .post("/body", |mut request: Request| request.bytes())
        .get("/panic", panics)
        .get("/switch", |_: Request| StatusCode::SWITCHING_PROTOCOLS)
        .get("/mine", |_: Request| {
            Rejection::new(StatusCode::CONFLICT, "it is there already")
        })
        .get("/other", |_: Request| {
            let rejection = Rejection::new(StatusCode::CONFLICT, "another status");
            (StatusCode::GONE, rejection)
        })
        .build()
        .unwrap()
}

fn serve(config: Config, routes: impl Handler) -> TestServer {
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    TestServer::spawn(server.render_rejections(as_json), routes)
}

fn stop(server: TestServer) -> Report {
    server.stop.shutdown();
    server.join()
}

#[test]
fn rejections_of_server_router_and_handlers_are_rendered() {
    let server = serve(small(), routes());
    let long = "x".repeat(2000);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    for (request, status, message) in [
        ("hello\r\n\r\n".to_owned(), 400, ""),
        (get(&format!("/{long}")), 414, ""),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"),
            431,
            "request header fields too large",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".to_owned(),
            413,
            "",
        ),
        (
            "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
            501,
            "",
        ),
        (get("/nothing"), 404, "not found"),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_owned(),
            405,
            "method not allowed",
        ),
        (get("/panic"), 500, "internal server error"),
        (get("/switch"), 500, "internal server error"),
        (get("/mine"), 409, "it is there already"),
        (get("/other"), 410, "another status"),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:?}: {response:?}");
        let start = format!(r#"{{"status":{status},"error":"{message}"#);
        assert!(
            response.body.starts_with(&start),
            "{request:?}: {response:?}"
        );
        assert!(
            response.has("content-type: application/json"),
            "{response:?}"
        );
        if status == 405 {
            assert!(response.has("allow: get, head, options"), "{response:?}");
        }
    }
    let report = stop(server);
    assert_eq!(report.requests.count(RequestOutcome::Rejected), 5);
    assert_eq!(report.requests.count(RequestOutcome::HandlerPanicked), 1);
}

#[test]
fn a_rendered_answer_to_a_head_has_no_body() {
    let server = serve(small(), routes());
    let mut client = server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
    let head = client.head_response();
    assert_eq!(head.status, 413);
    assert!(head.has("content-type: application/json"), "{head:?}");
    client.expect_eof();
    stop(server);
}

#[test]
fn a_rejection_before_the_method_is_known_has_an_empty_body() {
    let mut config = config();
    config.connections_per_peer = Some(1);
    let server = serve(config, routes());
    let mut first = server.connect();
    assert_eq!(first.get("/").status, 200);
    let mut second = server.connect();
    second.send("H");
    let response = second.response();
    assert_eq!((response.status, &*response.body), (429, ""));
    drop((first, second));
    stop(server);
}

#[test]
fn the_status_and_the_needed_fields_stay() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let server = server.render_rejections(|_: &Rejection| {
        let mut response = StatusCode::IM_A_TEAPOT.into_response();
        let allow = HeaderValue::from_static("PATCH");
        response.headers_mut().insert(header::ALLOW, allow);
        response
    });
    let server = TestServer::spawn(server, routes());
    let mut client = server.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 405);
    assert!(response.has("allow: patch"), "{response:?}");
    let mut bad = server.connect();
    bad.send("hello\r\n\r\n");
    assert_eq!(bad.response().status, 400);
    drop((client, bad));
    stop(server);
}

#[test]
fn a_function_that_panics_leaves_plain_text() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let server = server.render_rejections(|rejection: &Rejection| -> Response {
        panic!("cannot render {rejection}")
    });
    let server = TestServer::spawn(server, routes());
    for (request, status, body) in [
        ("hello\r\n\r\n", 400, None),
        (
            "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
            404,
            Some("not found\n"),
        ),
        (
            "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n",
            500,
            Some("internal server error\n"),
        ),
    ] {
        let mut client = server.connect();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:?}");
        assert!(
            response.has("content-type: text/plain; charset=utf-8"),
            "{response:?}"
        );
        if let Some(body) = body {
            assert_eq!(response.body, body);
        }
    }
    stop(server);
}

#[test]
fn a_function_that_does_not_return_is_left_behind_and_named() {
    let (started, has_started) = bounded(1);
    let (bar, held) = bounded::<()>(0);
    let server = Server::bind("127.0.0.1:0", short_drain()).unwrap();
    let server = server.render_rejections(move |_: &Rejection| {
        started.send(()).unwrap();
        let _ = held.recv();
        "too late"
    });
    let server = TestServer::spawn(server, routes());
    let mut client = server.connect();
    client.send("hello\r\n\r\n");
    has_started.recv().unwrap();
    server.stop.shutdown();
    // At the deadline, the server's own text.
    let response = client.response();
    assert_eq!(response.status, 400);
    assert!(response.has("content-type: text/plain; charset=utf-8"));
    drop(client);
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Rejected), 1);
    assert_eq!(report.threads_left, 1);
    assert_eq!(report.unreturned[0].code, UserCode::Renderer);
    drop(bar);
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let server = Server::bind("127.0.0.1:0", small()).unwrap();
    let server = server.render_rejections(|_: &Rejection| Body::from_reader(&b"streamed"[..]));
    let server = TestServer::spawn(server, routes());
    let mut client = server.connect();
    client.send("POST /body HTTP/1.0\r\nContent-Length: 5000\r\n\r\n");
    let head = client.head();
    assert!(head.starts_with("http/1.1 413 "), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(client.raw(8), b"streamed");
    client.expect_eof();
    drop(client);
    stop(server);
}

#[test]
fn the_connection_closes_after_a_panic_whatever_the_function_says() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let server = server
        .render_rejections(|_: &Rejection| [("connection", "keep-alive"), ("x-rendered", "yes")]);
    let server = TestServer::spawn(server, routes());
    let mut client = server.connect();
    let response = client.get("/panic");
    assert!(
        response.has("x-rendered: yes") && response.closes(),
        "{response:?}"
    );
    client.expect_eof();
    drop(client);
    stop(server);
}

#[test]
fn a_503_of_an_abort_is_not_rendered() {
    let mut config = config();
    config.workers = 1;
    let (started, has_started) = bounded(1);
    let (bar, held) = bounded::<()>(0);
    let server = serve(config, move |_: Request| {
        started.send(()).unwrap();
        let _ = held.recv();
        "hello"
    });
    let mut busy = server.connect();
    busy.request("/");
    has_started.recv().unwrap();
    let mut waiting = server.connect();
    waiting.request("/");
    server.wait_open(2);
    server.wait_waiting(1);
    server.stop.abort();
    let response = waiting.response();
    assert_eq!(response.status, 503);
    assert!(response.body.contains("try again later"), "{response:?}");
    drop((bar, busy, waiting));
    let _ = server.join();
}

/// What a layer has seen: status, content type and message of each response.
type Seen = Arc<Mutex<Vec<(u16, String, Option<String>)>>>;

fn observed(inner: Router, seen: &Seen) -> Routes {
    let seen = Arc::clone(seen);
    let layer = move |request: Request, next: &dyn Handler| {
        let response = next.handle(request);
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.map_or("", |value| value.to_str().unwrap());
        let rejection = response.extensions().get::<Rejection>();
        seen.lock().unwrap().push((
            response.status().as_u16(),
            content_type.to_owned(),
            rejection.map(|rejection| rejection.message().to_owned()),
        ));
        response
    };
    inner.layer(layer).build().unwrap()
}

#[test]
fn an_outer_layer_sees_panics_and_rejections_as_the_client_gets_them() {
    let seen = Seen::default();
    let inner = Router::new()
        .get("/panic", panics)
        .get("/layer", |_: Request| "not reached")
        .layer(|request: Request, next: &dyn Handler| {
            if request.uri().path() == "/layer" {
                return Rejection::new(StatusCode::FORBIDDEN, "no entry").into_response();
            }
            next.handle(request)
        })
        .layer(|request: Request, next: &dyn Handler| {
            assert!(request.uri().path() != "/bug", "a bug of the layer");
            next.handle(request)
        });
    let server = serve(config(), observed(inner, &seen));
    for (path, status) in [
        ("/panic", 500),
        ("/layer", 403),
        ("/none", 404),
        ("/bug", 500),
    ] {
        let response = server.connect().get(path);
        assert_eq!(response.status, status, "{path}");
        assert!(response.body.starts_with('{'), "{path}: {response:?}");
        assert_eq!(response.closes(), status == 500, "{path}: {response:?}");
    }
    let json = || "application/json".to_owned();
    let message = |text: &str| Some(text.to_owned());
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (500, json(), message("internal server error")),
            (403, json(), message("no entry")),
            (404, json(), message("not found")),
            (500, json(), message("internal server error")),
        ]
    );
    let report = stop(server);
    assert_eq!(report.requests.count(RequestOutcome::HandlerPanicked), 2);
}

#[test]
fn a_layer_may_replace_what_was_rendered() {
    let routes = Router::new()
        .get("/panic", panics)
        .layer(|request: Request, next: &dyn Handler| {
            let mut response = next.handle(request);
            *response.body_mut() = Body::from("replaced");
            response
        })
        .build()
        .unwrap();
    let server = serve(config(), routes);
    let response = server.connect().get("/panic");
    assert_eq!((response.status, &*response.body), (500, "replaced"));
    let response = server.connect().get("/none");
    assert_eq!((response.status, &*response.body), (404, "replaced"));
    stop(server);
}

#[test]
fn without_a_function_a_layer_sees_plain_text() {
    let seen = Seen::default();
    let inner = Router::new().get("/panic", panics);
    let server = TestServer::start(config(), observed(inner, &seen));
    let response = server.connect().get("/panic");
    assert_eq!(response.body, "internal server error\n");
    assert!(response.closes());
    let text = "text/plain; charset=utf-8".to_owned();
    let message = Some("internal server error".to_owned());
    assert_eq!(*seen.lock().unwrap(), [(500, text, message)]);
    let report = stop(server);
    assert_eq!(report.requests.count(RequestOutcome::HandlerPanicked), 1);
}

/// A layer that changes each body, and says so.
fn encoded(mut response: Response) -> Response {
    let coding = HeaderValue::from_static("shout");
    response
        .headers_mut()
        .insert(header::CONTENT_ENCODING, coding);
    response.map(|body| {
        body.map_chunks(|chunk| {
            Ok(chunk
                .map(|chunk| chunk.to_ascii_uppercase().into())
                .unwrap_or_default())
        })
    })
}

#[test]
fn what_the_function_returns_is_not_rendered_again_outside_of_a_layer() {
    let routes = Router::new()
        .get("/", |_: Request| "hello")
        .layer(|request: Request, next: &dyn Handler| encoded(next.handle(request)));
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let server = server.render_rejections(|rejection: &Rejection| {
        Err::<(), _>(Rejection::new(
            StatusCode::CONFLICT,
            format!("my {rejection}"),
        ))
    });
    let server = TestServer::spawn(server, routes.build().unwrap());
    let response = server.connect().get("/nothing");
    assert_eq!(response.status, 404);
    assert_eq!(response.body, "MY NOT FOUND\n");
    assert!(response.has("content-encoding: shout"), "{response:?}");
    stop(server);
}

/// A handler of the application around routes, which passes their table on.
struct Encoded(Routes);

impl Handler for Encoded {
    fn handle(&self, request: Request) -> Response {
        encoded(self.0.handle(request))
    }

    fn route_table(&self) -> Option<RouteTable> {
        self.0.route_table()
    }
}

#[test]
fn a_handler_around_routes_sees_what_the_client_would_get() {
    let (closure, wrapped) = (routes(), Encoded(routes()));
    let closure = move |request: Request| encoded(closure.handle(request));
    for server in [serve(config(), closure), serve(config(), wrapped)] {
        let mut client = server.connect();
        for (path, status, message) in [
            ("/nothing", 404, "NOT FOUND"),
            ("/mine", 409, "IT IS THERE ALREADY"),
            ("/panic", 500, "INTERNAL SERVER ERROR"),
        ] {
            let response = client.get(path);
            assert_eq!(response.status, status, "{path}");
            let text = format!(r#"{{"STATUS":{status},"ERROR":"{message}"}}"#);
            assert_eq!(response.body, text);
            assert!(response.has("content-encoding: shout"), "{response:?}");
            assert!(
                response.has("content-type: application/json"),
                "{response:?}"
            );
        }
        client.expect_eof();
        drop(client);
        let report = stop(server);
        assert_eq!(report.requests.count(RequestOutcome::HandlerPanicked), 1);
    }
}

#[test]
fn rejections_are_rendered_in_a_test_without_a_server() {
    let routes = routes();
    for (path, status) in [("/nothing", 404), ("/mine", 409), ("/panic", 500)] {
        let request = http::Request::get(path).body(()).unwrap();
        let request = Request::from_http(request).render_rejections(as_json);
        let response = routes.handle(request);
        assert_eq!(response.status(), status, "{path}");
        let body = response.into_body().into_bytes(100).unwrap();
        assert!(body.starts_with(b"{\"status\":"), "{body:?}");
    }
}

#[test]
fn the_fields_of_a_rejection_are_sent_unless_its_response_has_others_or_another_body() {
    let routes = Router::new().get("/", |_: Request| -> Result<(), Rejection> {
        let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "the queue is full");
        Err(rejection
            .with_header("retry-after", "10")
            .with_header("x-queue", "1")
            .with_header("x-queue", "2")
            .with_header("etag", "\"old\"")
            .with_header("cache-control", "max-age=1"))
    });
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let server = server.render_rejections(|rejection: &Rejection| {
        assert_eq!(rejection.headers()["retry-after"], "10");
        ([("cache-control", "no-store")], "full!")
    });
    let server = TestServer::spawn(server, routes.build().unwrap());
    let response = server.connect().get("/");
    assert_eq!((response.status, &*response.body), (503, "full!"));
    for line in [
        "retry-after: 10",
        "x-queue: 1",
        "x-queue: 2",
        "cache-control: no-store",
    ] {
        assert!(response.has(line), "{line}: {response:?}");
    }
    for other in ["etag", "max-age"] {
        assert!(!response.head.contains(other), "{other}: {response:?}");
    }
    stop(server);
}

#[test]
fn fields_with_several_values_are_kept_whole_and_those_of_the_old_body_are_not() {
    let routes = Router::new().get("/", |_: Request| {
        let fields = [
            ("www-authenticate", "Basic"),
            ("www-authenticate", "Bearer"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("etag", "\"old\""),
        ];
        (fields, Rejection::new(StatusCode::UNAUTHORIZED, "log in"))
    });
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let server = server.render_rejections(|_: &Rejection| ([("set-cookie", "c=3")], "log in!"));
    let server = TestServer::spawn(server, routes.build().unwrap());
    let response = server.connect().get("/");
    assert_eq!((response.status, &*response.body), (401, "log in!"));
    for line in ["www-authenticate: basic", "www-authenticate: bearer"] {
        assert!(response.has(line), "{response:?}");
    }
    for line in ["set-cookie: a=1", "set-cookie: b=2", "set-cookie: c=3"] {
        assert!(response.has(line), "{response:?}");
    }
    assert!(!response.head.contains("etag"), "{response:?}");
    stop(server);
}
