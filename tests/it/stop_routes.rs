//! The stop as a component: which requests stop a server, what they get, and what the
//! probes say.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use farewell::Phase;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Router;
use farewell::Server;
use farewell::StopAccess;
use farewell::StopRoutes;
use farewell::Trigger;
use serde_json::Value;

use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;

/// A server with the stop routes under `/admin`.
fn server(change: impl FnOnce(StopRoutes) -> StopRoutes) -> TestServer {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    serve(server, StopAccess::loopback(), change)
}

fn serve(
    server: Server,
    access: StopAccess,
    change: impl FnOnce(StopRoutes) -> StopRoutes,
) -> TestServer {
    let stop = change(StopRoutes::new(server.shutdown_handle(), access));
    let routes = Router::new()
        .get("/", |_: Request| "hello")
        .nest("/admin", stop.router());
    TestServer::spawn(server, routes.build().unwrap())
}

/// A server with the stop routes at `/`, and routes that wait at the gate.
fn gated_server(gate: &Arc<Gate>) -> TestServer {
    let mut config = config();
    // A client that is slow to send its request still sends it in time.
    config.last_call = TOO_LONG;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    let routes = Router::new()
        .get("/slow", gated(gate))
        .nest("/", stop.router());
    TestServer::spawn(server, routes.build().unwrap())
}

fn with_token() -> TestServer {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let token = StopAccess::token("open-sesame\n").unwrap();
    serve(server, token, |stop| stop)
}

fn with_fields(path: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\n{fields}\r\n")
}

/// The parts of the last line of a body of JSON lines.
fn last_object(lines: &str) -> Value {
    serde_json::from_str(lines.lines().last().unwrap()).unwrap()
}

#[track_caller]
fn expect_running(server: &TestServer) {
    assert_eq!(server.stop.phase(), Phase::Running);
}

#[test]
fn the_confirmation_arrives_and_the_server_stops() {
    for method in ["GET", "POST"] {
        let server = server(|stop| stop);
        let mut client = server.connect();
        client.send(format!(
            "{method} /admin/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        let confirmation = client.response();
        assert_eq!(confirmation.status, 200);
        let expected =
            "shutting down: 0 other requests in progress, 0 idle connections; what is left after ";
        assert!(confirmation.body.starts_with(expected), "{confirmation:?}");
        assert!(confirmation.has("content-type: text/plain; charset=utf-8"));
        assert!(confirmation.has("cache-control: no-store"));
        assert!(confirmation.closes());
        client.expect_eof();
        let peer = client.address();
        drop(client);
        let report = server.join();
        assert_eq!(report.trigger, Trigger::Request(peer.into()));
        assert!(report.all_answered());
    }
}

#[test]
fn a_stop_by_a_request_lets_the_other_requests_finish() {
    let (gate, bar) = Gate::new();
    let server = gated_server(&gate);
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    let mut client = server.connect();
    client.send(with_fields(
        "/shutdown",
        &["Host: localhost", "Accept: application/json"],
    ));
    let confirmation = client.response();
    assert!(confirmation.has("content-type: application/json"));
    let confirmation: Value = serde_json::from_str(&confirmation.body).unwrap();
    assert_eq!(confirmation["in_progress"], 1, "{confirmation}");
    assert_eq!(confirmation["phase"], "draining");
    let left = confirmation["seconds_left"].as_f64().unwrap();
    assert!(left > 0.0 && left <= TOO_LONG.as_secs_f64(), "{left}");
    drop((bar, client));
    assert_eq!(slow.response().body, "hello /slow");
    drop(slow);
    assert!(server.join().all_answered());
}

#[test]
fn wait_follows_the_stop_to_its_report() {
    let (gate, bar) = Gate::new();
    let server = gated_server(&gate);
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    // Both before the stop, from which on new connections are refused.
    let mut text_client = server.connect();
    let mut json_client = server.connect();
    text_client.request("/shutdown?wait");
    json_client.send(with_fields(
        "/shutdown?wait",
        &[
            "Host: localhost",
            "Accept: text/html, application/json;q=0.9",
        ],
    ));
    text_client.wait_readable();
    json_client.wait_readable();
    drop(bar);
    assert_eq!(slow.response().status, 200);
    drop(slow);

    let text = text_client.response();
    assert!(text.has("content-type: text/plain; charset=utf-8"));
    assert!(text.body.contains(" in progress, "), "{text:?}");
    let last = text.body.lines().last().unwrap();
    assert!(last.starts_with("stopped in "), "{last}");
    let json = json_client.response();
    assert!(json.has("content-type: application/json"));
    let last = last_object(&json.body);
    assert_eq!(last["trigger"]["by"], "request");
    assert_eq!(last["requests"]["ended"]["answered"], 1, "{last}");
    let repeated = json.body.lines().zip(json.body.lines().skip(1));
    assert!(repeated.into_iter().all(|(line, next)| line != next));

    drop((text_client, json_client));
    let report = server.join();
    assert!(report.all_answered());
    let whole = last_object(&report.to_json());
    assert_eq!(whole["requests"]["ended"]["answered"], 3, "{whole}");
}

#[test]
fn now_delivers_its_confirmation_and_cuts_the_rest() {
    let (gate, bar) = Gate::new();
    let server = gated_server(&gate);
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    let mut now = server.connect();
    let confirmation = now.get("/shutdown?now");
    let expected = "shutting down now: 1 other request in progress, 0 idle connections; ";
    assert!(confirmation.body.starts_with(expected), "{confirmation:?}");
    now.expect_eof();
    assert_ne!(server.stop.phase(), Phase::Aborting, "not delivered yet");
    let peer = now.address();
    drop(now);
    slow.expect_end();
    drop(bar);
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Cut), 1, "{report}");
    let json = last_object(&report.to_json());
    assert_eq!(json["abort"]["peer"], peer.to_string());
    assert_eq!(json["cut"][0]["route"], "GET /slow");
    assert_eq!(json["all_answered"], false);
}

#[test]
fn an_unknown_query_stops_nothing_and_names_the_path() {
    let server = server(|stop| stop);
    let mut client = server.connect();
    for query in ["nwo", "now=1", "wait&now", "NOW", "%6eow"] {
        let refused = client.get(&format!("/admin/shutdown?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(
            refused.body,
            "unknown query: use /admin/shutdown, /admin/shutdown?wait or /admin/shutdown?now\n"
        );
    }
    expect_running(&server);
}

#[test]
fn another_method_stops_nothing_and_gets_the_methods() {
    let server = server(|stop| stop);
    let mut client = server.connect();
    for method in ["PUT", "DELETE", "OPTIONS", "BREW"] {
        client.send(format!(
            "{method} /admin/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        let refused = client.response();
        assert_eq!(refused.status, 405, "{method}");
        assert!(refused.has("allow: get, post"), "{refused:?}");
    }
    client.send("HEAD /admin/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let refused = client.head_response();
    assert_eq!(refused.status, 405);
    assert!(refused.has("allow: get, post"), "{refused:?}");
    for probe in ["/admin/healthz", "/admin/readyz"] {
        client.send(format!("POST {probe} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let refused = client.response();
        assert_eq!(refused.status, 405, "{probe}");
        assert!(refused.has("allow: get, head, options"), "{refused:?}");
    }
    expect_running(&server);
}

#[test]
fn a_page_of_another_site_and_a_proxy_stop_nothing() {
    let server = server(|stop| stop);
    for fields in [
        &["Host: evil.example"][..],
        &["Host: localhost.evil.example"],
        &["Host: 127.0.0.1.evil.example"],
        &["Host: [::2]"],
        &["Host: localhost", "Sec-Fetch-Site: cross-site"],
        &["Host: localhost", "Sec-Fetch-Site: same-site"],
        &[
            "Host: localhost",
            "Sec-Fetch-Site: none",
            "Sec-Fetch-Site: cross-site",
        ],
        &["Host: localhost", "Origin: http://evil.example"],
        &["Host: localhost", "Origin: null"],
        &["Host: localhost", "Origin: https://localhost"],
        &[
            "Host: localhost",
            "Origin: http://localhost",
            "Origin: http://evil.example",
        ],
        &["Host: localhost", "X-Forwarded-For: 127.0.0.1"],
        &["Host: localhost", "X-Real-IP: 127.0.0.1"],
        &["Host: localhost", "Forwarded: for=127.0.0.1"],
        &["Host: localhost", "Via: 1.1 proxy"],
        &["Host: localhost", "Sec-Purpose: prefetch;prerender"],
    ] {
        for query in ["", "?wait", "?now"] {
            for method in ["GET", "POST"] {
                let head = with_fields(&format!("/admin/shutdown{query}"), fields);
                let mut client = server.connect();
                client.send(head.replace("GET", method));
                let refused = client.response();
                assert_eq!(refused.status, 403, "{fields:?}");
                let expected = "not allowed to stop this server: ";
                assert!(refused.body.starts_with(expected), "{refused:?}");
                assert!(!refused.head.contains("access-control"), "{refused:?}");
            }
        }
    }
    let mut client = server.connect();
    client.send("GET http://evil.example/admin/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 403);
    let mut client = server.connect();
    client.send("GET /admin/shutdown HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 403);
    expect_running(&server);
}

/// A limit that the documentation states: nginx from 1.29.7 on sends this by default, for
/// `proxy_pass http://127.0.0.1:8081`, whichever client it has the request from.
#[test]
fn a_proxy_that_marks_nothing_stops_a_server_without_a_token_and_none_with_one() {
    let send = |server: &TestServer| {
        let host = format!("Host: {}", server.address());
        let fields = [&*host, "User-Agent: curl/8.5.0", "Accept: */*"];
        let mut client = server.connect();
        client.send(with_fields("/admin/shutdown", &fields));
        client.response().status
    };
    let guarded = with_token();
    assert_eq!(send(&guarded), 401);
    expect_running(&guarded);
    let open = server(|stop| stop);
    assert_eq!(send(&open), 200);
    open.join();
}

#[cfg(unix)]
#[test]
fn a_client_of_a_unix_socket_stops_a_server_that_allows_it() {
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let ask = || {
        let mut client = UnixStream::connect(&path).unwrap();
        let head = "GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    for (access, status) in [
        (StopAccess::loopback(), "403"),
        (StopAccess::unix_socket(), "200"),
    ] {
        let server = Server::bind_unix(&path, config()).unwrap();
        let stop = server.shutdown_handle();
        let routes = StopRoutes::new(stop.clone(), access).router();
        let server = server.spawn(routes.build().unwrap()).unwrap();
        let answer = ask();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        stop.shutdown();
        assert!(server.join().unwrap().all_answered());
    }
}

#[test]
fn a_page_of_the_server_itself_may_stop_it() {
    let server = server(|stop| stop);
    let host = server.address().to_string();
    let mut client = server.connect();
    client.send(with_fields(
        "/admin/shutdown",
        &[
            &format!("Host: {host}"),
            &format!("Origin: http://{host}"),
            "Sec-Fetch-Site: same-origin",
        ],
    ));
    assert_eq!(client.response().status, 200);
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn a_client_on_another_address_stops_nothing_without_a_token() {
    // Finds a non-loopback address of this machine: the source address of a packet to
    // another network. No packet is sent.
    let probe = UdpSocket::bind("0.0.0.0:0").unwrap();
    let Ok(()) = probe.connect("192.0.2.1:9") else {
        return;
    };
    let address = format!("{}:0", probe.local_addr().unwrap().ip());
    let bind = || Server::bind(&*address, config()).unwrap();
    let without = serve(bind(), StopAccess::loopback(), |stop| stop);
    let refused = without.connect().get("/admin/shutdown");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("not on this machine"), "{refused:?}");
    expect_running(&without);

    let token = StopAccess::token("open-sesame").unwrap();
    let with = serve(bind(), token, |stop| stop);
    let mut client = with.connect();
    client.send(with_fields(
        "/admin/shutdown",
        &["Host: a.example", "Authorization: Bearer open-sesame"],
    ));
    assert_eq!(client.response().status, 200);
    drop(client);
    assert!(with.join().all_answered());
}

#[test]
fn with_a_token_only_requests_that_carry_it_stop() {
    let server = with_token();
    let mut client = server.connect();
    for authorization in [
        "X-Nothing: here",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Bearer open-sesam",
        "Authorization: Bearer open-sesame2",
        "Authorization: Bearer OPEN-SESAME",
        "Authorization: Bearer open-sesame, open-sesame",
        "Authorization: Basic open-sesame",
        "Authorization: open-sesame",
        "Authorization: Bearer open-s\u{e9}same",
        "Cookie: token=open-sesame",
    ] {
        client.send(with_fields(
            "/admin/shutdown?token=open-sesame",
            &["Host: localhost", authorization],
        ));
        let refused = client.response();
        assert_eq!(refused.status, 401, "{authorization}");
        let challenge = match authorization.trim_end().contains("Bearer ") {
            true => "www-authenticate: bearer error=\"invalid_token\"",
            false => "www-authenticate: bearer",
        };
        assert!(refused.has(challenge), "{refused:?}");
        assert!(!refused.body.contains("sesame"), "{refused:?}");
    }
    expect_running(&server);
    // Probes need no token, and a request with the token may come through a proxy.
    assert_eq!(client.get("/admin/readyz").status, 200);
    client.send(with_fields(
        "/admin/shutdown",
        &[
            "Host: any.example",
            "X-Forwarded-For: 192.0.2.1",
            "Authorization: bearer open-sesame",
        ],
    ));
    assert_eq!(client.response().status, 200);
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn probes_answer_get_and_head() {
    let server = server(|stop| stop);
    let mut client = server.connect();
    assert_eq!(client.get("/admin/healthz").body, "ok\n");
    assert_eq!(client.get("/admin/readyz").body, "ready\n");
    for (probe, length) in [("/admin/healthz", 3), ("/admin/readyz", 6)] {
        client.send(format!("HEAD {probe} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = client.head_response();
        assert_eq!(response.status, 200, "{probe}");
        let length = format!("content-length: {length}");
        assert!(response.has(&length), "{response:?}");
    }
}

#[test]
fn readyz_is_503_from_the_lame_duck_on() {
    let mut config = config();
    config.lame_duck = TOO_LONG;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let server = serve(server, StopAccess::loopback(), |stop| {
        stop.ready_when(|| panic!("not asked during a stop"))
    });
    let mut open = server.connect();
    assert_eq!(open.get("/admin/healthz").status, 200);
    let mut stopping = server.connect();
    assert_eq!(stopping.get("/admin/shutdown").status, 200);
    assert_eq!(server.stop.phase(), Phase::LameDuck);
    for mut client in [open, server.connect()] {
        let readiness = client.get("/admin/readyz");
        assert_eq!(readiness.status, 503);
        assert_eq!(readiness.body, "stopping\n");
        assert_eq!(client.get("/admin/healthz").status, 200);
        assert_eq!(client.get("/").body, "hello");
    }
    drop(stopping);
    server.stop.abort();
    server.join();
}

#[test]
fn readyz_is_503_until_the_condition_holds() {
    let is_loaded = Arc::new(AtomicBool::new(false));
    let loaded = Arc::clone(&is_loaded);
    let server = server(|stop| stop.ready_when(move || loaded.load(SeqCst)));
    let mut client = server.connect();
    let readiness = client.get("/admin/readyz");
    assert_eq!((readiness.status, &*readiness.body), (503, "not ready\n"));
    assert_eq!(client.get("/admin/healthz").status, 200);
    is_loaded.store(true, SeqCst);
    assert_eq!(client.get("/admin/readyz").status, 200);
}

#[test]
fn a_condition_that_blocks_or_panics_costs_its_own_request_alone() {
    let (gate, bar) = Gate::new();
    let passing = Arc::clone(&gate);
    let server = server(|stop| {
        stop.ready_when(move || {
            passing.pass("readyz");
            panic!("on purpose")
        })
    });
    let mut blocked = server.connect();
    blocked.request("/admin/readyz");
    gate.wait_started();
    assert_eq!(server.connect().get("/admin/healthz").status, 200);
    drop(bar);
    assert_eq!(blocked.response().status, 500);
    assert_eq!(server.connect().get("/").body, "hello");
    expect_running(&server);
}

#[test]
fn each_handler_can_have_a_path_of_its_own() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::loopback());
    let routes = Router::new()
        .post("/stop", stop.shutdown_handler())
        .any("/livez", stop.healthz_handler())
        .get("/ready", stop.readyz_handler());
    let server = TestServer::spawn(server, routes.build().unwrap());
    let mut client = server.connect();
    assert_eq!(client.get("/livez").body, "ok\n");
    client.send("DELETE /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let refused = client.response();
    assert_eq!(refused.status, 405);
    assert!(refused.has("allow: get, head"), "{refused:?}");
    assert_eq!(client.get("/ready").body, "ready\n");
    assert_eq!(client.get("/shutdown").status, 404);
    let refused = client.get("/stop");
    assert_eq!(refused.status, 405, "only POST is routed");
    expect_running(&server);
    client.send("POST /stop HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 200);
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn two_clients_that_stop_are_both_answered() {
    let server = server(|stop| stop);
    let (mut first, mut second) = (server.connect(), server.connect());
    // The second request has begun when the stop begins.
    second.send("GET /admin/shut");
    assert_eq!(first.get("/admin/shutdown").status, 200);
    second.send("down?wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let began = first.address();
    drop(first);
    let followed = second.response();
    assert!(followed.body.contains("stopped in "), "{followed:?}");
    drop(second);
    let report = server.join();
    assert_eq!(report.trigger, Trigger::Request(began.into()));
    assert!(report.all_answered());
}
