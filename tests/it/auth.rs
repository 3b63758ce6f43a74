//! Authentication on the wire: what a client without the right credentials gets, and what
//! it costs the others.

use farewell::Config;
use farewell::Handler;
use farewell::Rejection;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Router;
use farewell::Server;
use farewell::StatusCode;
use farewell::basic_auth;
use farewell::bearer_auth;
use farewell::header;
use serde_json::json;

use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;

/// `GET /` with these lines in its head.
fn get(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// Basic credentials. The names and passwords of these tests need no escape.
const ALI: &str = "Authorization: Basic YWxpOm9wZW4="; // ali:open

fn serve(config: Config, routes: Router) -> TestServer {
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let server =
        server.render_rejections(|rejection: &Rejection| json!({ "error": rejection.message() }));
    TestServer::spawn(server, routes.build().unwrap())
}

fn stop(server: TestServer) -> farewell::Report {
    server.stop.shutdown();
    server.join()
}

#[test]
fn a_refusal_is_rendered_and_keeps_its_challenge_and_its_connection() {
    let routes = Router::new()
        .get("/", |_: Request| "in")
        .layer(bearer_auth("open-sesame").unwrap());
    let server = serve(config(), routes);
    let mut client = server.connect();
    let right = "Authorization: Bearer open-sesame";
    for (lines, status, challenge) in [
        (&[][..], 401, "bearer"),
        (
            &["Authorization: Bearer open"],
            401,
            "bearer error=\"invalid_token\"",
        ),
        (&["Authorization:Bearer"], 401, "bearer"),
        (&["Authorization:"], 401, "bearer"),
        (
            &["Authorization: Bearer \u{ff}"],
            401,
            "bearer error=\"invalid_token\"",
        ),
        (&["Proxy-Authorization: Bearer open-sesame"], 401, "bearer"),
        (&[right, right], 400, "bearer error=\"invalid_request\""),
        (
            &[right, "authorization: Basic YTpi"],
            400,
            "bearer error=\"invalid_request\"",
        ),
    ] {
        client.send(get(lines));
        let refused = client.response();
        assert_eq!(refused.status, status, "{lines:?}: {refused:?}");
        assert!(refused.has("content-type: application/json"), "{refused:?}");
        assert!(
            refused.has(&format!("www-authenticate: {challenge}")),
            "{refused:?}"
        );
        assert!(refused.body.starts_with(r#"{"error":"the "#), "{refused:?}");
        assert!(!refused.body.contains("sesame"), "{refused:?}");
        assert!(!refused.closes(), "{refused:?}");
    }
    client.send(get(&[]).replacen("GET", "HEAD", 1));
    let head = client.head_response();
    assert_eq!((head.status, &*head.body), (401, ""));
    client.send(get(&["aUTHORIZATION:  bEARER  open-sesame  "]));
    assert_eq!(client.response().body, "in");
    drop(client);
    stop(server);
}

#[test]
fn a_client_without_credentials_need_not_send_its_body() {
    let routes = Router::new()
        .post("/", |mut request: Request| request.text())
        .layer(bearer_auth("open-sesame").unwrap());
    let server = serve(config(), routes);
    let mut client = server.connect();
    // The body does not come, so only a response before it can arrive.
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
    );
    assert_eq!(client.response().status, 401);
    drop(client);
    stop(server);
}

#[test]
fn credentials_of_any_length_and_content_are_refused_in_bounds() {
    let mut config = config();
    config.head_bytes_max = 16 * 1024;
    let check = |name: &str, password: &str| name == "ali" && password == "open";
    let routes = Router::new()
        .get("/", |_: Request| "in")
        .layer(basic_auth("my \"notes\"", check).unwrap());
    let server = serve(config, routes);
    let mut client = server.connect();
    let challenge = r#"www-authenticate: basic realm="my \"notes\"", charset="utf-8""#;
    let (long, longer) = ("YTph".repeat(3000), "YTph".repeat(5000));
    for credentials in [
        "Basic",
        "Basic YWxpOm9wZW4",
        "Basic YWxpOm9wZW4==",
        "Basic YWxpOm9wZW4=, Basic YWxpOm9wZW4=",
        "Basic YWxpCm9wZW4=",
        "Basic \u{ff}\u{ff}",
        "Basic YWxpOm9wZW5z", // ali:opens
        "Basic YWxpOm9wZQ==", // ali:ope
        "Digest username=\"ali\"",
        &format!("Basic {long}"),
    ] {
        client.send(get(&[&format!("Authorization: {credentials}")]));
        let refused = client.response();
        assert_eq!(refused.status, 401, "{credentials}");
        assert!(refused.has(challenge), "{refused:?}");
        assert!(!refused.closes());
    }
    client.send(get(&[ALI, ALI]));
    assert_eq!(client.response().status, 400);
    client.send(get(&[ALI]));
    assert_eq!(client.response().body, "in");
    client.send(get(&[&format!("Authorization: Basic {longer}")]));
    assert_eq!(client.response().status, 431);
    drop(client);
    stop(server);
}

#[test]
fn a_check_that_blocks_delays_its_own_request_alone() {
    let (gate, bar) = Gate::new();
    let check = move |name: &str, _: &str| {
        gate.pass(name);
        name == "ali"
    };
    let layer = basic_auth("notes", check).unwrap();
    let secret = Router::new().get("/", |_: Request| "in").layer(layer);
    let routes = Router::new()
        .get("/open", |_: Request| "open")
        .merge(secret);
    let server = serve(config(), routes);
    let mut slow = server.connect();
    slow.send(get(&[ALI]));
    server.wait_in_progress(1);
    assert_eq!(server.connect().get("/open").body, "open");
    drop(bar);
    assert_eq!(slow.response().body, "in");
    drop(slow);
    stop(server);
}

#[test]
fn a_check_that_panics_lets_nothing_pass() {
    let check = |_: &str, _: &str| -> bool { panic!("a bug of the application") };
    let layer = basic_auth("notes", check).unwrap();
    let routes = Router::new().get("/", |_: Request| "in").layer(layer);
    let server = serve(config(), routes);
    let mut client = server.connect();
    client.send(get(&[ALI]));
    let failed = client.response();
    assert_eq!(failed.body, r#"{"error":"internal server error"}"#);
    assert_eq!((failed.status, failed.closes()), (500, true));
    drop(client);
    let report = stop(server);
    assert_eq!(report.requests.count(RequestOutcome::HandlerPanicked), 1);
}

#[test]
fn one_layer_guards_several_routers() {
    let layer = bearer_auth("open-sesame").unwrap();
    let routes = Router::new()
        .merge(
            Router::new()
                .get("/a", |_: Request| "a")
                .layer(layer.clone()),
        )
        .merge(Router::new().get("/b", |_: Request| "b").layer(layer));
    let routes = routes.build().unwrap();
    for path in ["/a", "/b"] {
        let request = http::Request::get(path).body(()).unwrap();
        let response = routes.handle(Request::from_http(request));
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
