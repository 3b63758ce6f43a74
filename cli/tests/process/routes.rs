//! The routes of the program, and which requests may stop it.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::program::Program;
use crate::program::command;

#[test]
fn hello_echo_and_health() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    let hello = client.get("/a/b?c=d");
    assert_eq!(hello.body, "Hello, you requested /a/b\n");
    assert!(hello.has("content-type: text/plain; charset=utf-8"));

    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nhi");
    let echo = client.response();
    assert_eq!(echo.body, "hi");
    assert!(echo.has("content-type: a/b"));
    assert!(client.get("/echo").has("allow: post"));

    assert_eq!(client.get("/healthz").status, 200);
    assert_eq!(client.get("/readyz").status, 200);
    for wrong in ["3", "x", "61s", "", "-1s"] {
        assert_eq!(
            client.get(&format!("/?delay={wrong}")).status,
            400,
            "{wrong:?}"
        );
    }
}

#[test]
fn other_methods_and_queries_do_not_stop() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    for method in ["PUT", "DELETE", "OPTIONS"] {
        client.send(format!(
            "{method} /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(response.status, 405);
        assert!(response.has("allow: get, post"), "{response:?}");
    }
    client.send("HEAD /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head_response().status, 405);
    assert_eq!(client.get("/shutdown?nwo").status, 400);
    assert_eq!(client.get("/readyz").status, 200);
}

#[test]
fn a_post_without_content_type_stops() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    client.send("POST /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let response = client.response();
    assert!(
        response.body.starts_with("shutting down: 0 other requests"),
        "{response:?}"
    );
    assert!(response.has("connection: close") && response.has("cache-control: no-store"));
    drop(client);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn the_response_to_a_stop_counts_other_requests_and_can_be_json() {
    // One worker has the slow request. The other worker suspends the idle
    // connection before it serves the stop, so the counts are exact.
    let program = Program::start_logging(&["--drain-timeout", "20s", "--workers", "2"]);
    let mut slow = program.connect();
    slow.request("/slow?delay=2s");
    program.wait_logged("GET /slow");
    let mut idle = program.connect();
    idle.get("/");
    let mut stop = program.connect();
    stop.send("GET /shutdown HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    let response = stop.response();
    assert!(response.has("content-type: application/json"));
    let message: serde_json::Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(message["in_progress"], 1, "{message}");
    assert_eq!(message["idle"], 1, "{message}");
    let left = message["seconds_left"].as_f64().unwrap();
    assert!(left > 10.0 && left <= 20.0, "{message}");
    slow.response();
    drop((slow, idle, stop));
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn probes_and_a_request_to_stop_are_answered_while_every_worker_is_busy() {
    for stop in ["/shutdown", "/shutdown?wait", "/shutdown?now"] {
        let program = Program::start_logging(&["--drain-timeout", "20s", "--workers", "2"]);
        let mut slow: Vec<_> = (0..6).map(|_| program.connect()).collect();
        for client in &mut slow[..2] {
            client.request("/slow?delay=800ms");
            program.wait_logged("GET /slow");
        }
        for client in &mut slow[2..] {
            client.request("/?delay=1ms");
        }
        let mut probe = program.connect();
        assert_eq!(probe.get("/healthz").status, 200);
        assert_eq!(probe.get("/readyz").status, 200);
        probe.request(stop);
        // The answer begins while both are in their handlers.
        let head = probe.head();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let cuts = stop.ends_with("now");
        match stop.ends_with("wait") {
            true => {
                let first = String::from_utf8(probe.chunk().unwrap()).unwrap();
                assert!(first.starts_with("6 in progress"), "{first}");
            }
            false => {
                let begin = ["shutting down: 6 other", "shutting down now: 6 other"];
                let text = String::from_utf8(probe.raw(begin[usize::from(cuts)].len())).unwrap();
                assert_eq!(text, begin[usize::from(cuts)]);
            }
        }
        if cuts {
            drop((probe, slow));
            assert_eq!(program.end().code, Some(3));
            continue;
        }
        for client in &mut slow {
            assert_eq!(client.response().status, 200);
        }
        drop(slow);
        probe.expect_end();
        drop(probe);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.count("requests", "answered"), 9);
    }
}

#[test]
fn wait_ends_with_the_report_when_all_other_requests_have_ended() {
    let program = Program::start_logging(&[]);
    let mut slow = program.connect();
    slow.request("/slow?delay=300ms");
    program.wait_logged("GET /slow");
    let mut wait = program.connect();
    let mut json = program.connect();
    wait.request("/shutdown?wait");
    json.send("GET /shutdown?wait HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
    let lines = wait.response().body;
    let mut lines = lines.lines();
    assert!(lines.next().unwrap().contains("in progress"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("stopped in "));
    let objects = json.response().body;
    let last: serde_json::Value = serde_json::from_str(objects.lines().last().unwrap()).unwrap();
    assert_eq!(last["requests"]["ended"]["answered"], 1, "{last}");
    assert_eq!(last["followers"], 2, "{last}");
    assert_eq!(slow.response().status, 200);
    drop((slow, wait, json));
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.count("requests", "answered"), 3);
}

#[test]
fn now_delivers_its_response_and_cuts_all_other_requests() {
    let program = Program::start_logging(&["--workers", "2"]);
    let mut slow = program.connect();
    slow.request("/slow?delay=60s");
    program.wait_logged("GET /slow");
    let mut idle = program.connect();
    idle.get("/");
    let mut now = program.connect();
    let response = now.get("/shutdown?now");
    assert!(
        response
            .body
            .starts_with("shutting down now: 1 other request in"),
        "{response:?}"
    );
    now.expect_eof();
    drop(now);
    slow.expect_end();
    let ended = program.end();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert_eq!(ended.report()["cut"][0]["route"], "GET /slow?delay=60s");
    assert_eq!(ended.report()["abort"]["by"], "request");
}

#[test]
fn now_with_nothing_to_cut_exits_with_0() {
    let program = Program::start(&[]);
    let mut now = program.connect();
    assert_eq!(now.get("/shutdown?now").status, 200);
    drop(now);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn without_the_route_shutdown_is_an_ordinary_path() {
    let program = Program::start(&["--no-shutdown-route"]);
    assert!(!program.greeting.contains("curl"), "{}", program.greeting);
    let mut client = program.connect();
    assert_eq!(
        client.get("/shutdown").body,
        "Hello, you requested /shutdown\n"
    );
    drop(client);
    program.signal(Signal::TERM);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn only_a_local_client_without_proxy_may_stop() {
    let program = Program::start(&[]);
    let mut client = program.connect();
    for field in [
        "Host: evil.example",
        "Host: localhost\r\nSec-Fetch-Site: cross-site",
        "Host: localhost\r\nOrigin: http://evil.example",
        "Host: localhost\r\nX-Forwarded-For: 1.2.3.4",
        "Host: localhost\r\nForwarded: for=1.2.3.4",
        "Host: localhost\r\nVia: 1.1 proxy",
    ] {
        client.send(format!("GET /shutdown HTTP/1.1\r\n{field}\r\n\r\n"));
        assert_eq!(client.response().status, 403, "{field}");
    }
    client.send("GET http://evil.example/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.response().status, 403);
    assert_eq!(client.get("/readyz").status, 200);
    let peer = client.address().to_string();
    drop(client);
    program.signal(Signal::TERM);
    let ended = program.end();
    let logged = ended
        .stderr
        .lines()
        .filter(|line| line.contains(&peer))
        .count();
    // At most one line a second, so not one for each of the seven.
    assert!((1..7).contains(&logged), "{}", ended.stderr);
}

struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str, content: &str) -> Self {
        let path = std::env::temp_dir().join(format!("farewell-{name}-{}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn with_a_token_only_requests_that_carry_it_may_stop() {
    let file = TokenFile::new("token", "open-sesame\n");
    let mut by_variable = command(&[]);
    by_variable.env("FAREWELL_SHUTDOWN_TOKEN", "open-sesame");
    for program in [
        Program::start(&["--shutdown-token-file", file.path()]),
        Program::spawn(by_variable),
    ] {
        let mut client = program.connect();
        let without = client.get("/shutdown");
        assert_eq!(without.status, 401);
        assert!(without.has("www-authenticate: bearer"), "{without:?}");
        assert_eq!(client.get("/shutdown?token=open-sesame").status, 401);
        let with = |token: &str| {
            format!(
                "GET /shutdown HTTP/1.1\r\nHost: any.example\r\nAuthorization: Bearer {token}\r\n\r\n"
            )
        };
        client.send(with("open-sesam"));
        assert_eq!(client.response().status, 401);
        client.send(with("open-sesame"));
        assert_eq!(client.response().status, 200);
        drop(client);
        let ended = program.end();
        assert_eq!(ended.code, Some(0));
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains("sesame"), "the token is in the output: {all}");
    }
}
