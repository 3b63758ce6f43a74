//! The listener for operators, and the routes that it has.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::client::Client;
use crate::client::Response;
use crate::program::Program;
use crate::program::command;
use crate::program::run;

/// The program with a listener for operators on a free port, and its address.
fn start(options: &[&str]) -> (Program, SocketAddr) {
    let program = Program::start_logging(&[&["--admin", "127.0.0.1:0"], options].concat());
    let admin = admin_of(&program);
    (program, admin)
}

/// The address of its listener for operators.
pub(crate) fn admin_of(program: &Program) -> SocketAddr {
    let line = program.greeting.lines().nth(1).unwrap();
    let address = line.strip_prefix("admin on http://").unwrap();
    address.parse().unwrap()
}

fn get_with(client: &mut Client, path: &str, fields: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
    client.response()
}

#[test]
fn the_admin_listener_answers_while_every_worker_is_busy() {
    let (program, admin) = start(&["--workers", "1"]);
    let mut slow = program.connect();
    slow.request("/slow?delay=60s");
    program.wait_logged("GET /slow");
    let mut operator = Client::connect(admin);
    assert_eq!(operator.get("/healthz").body, "ok\n");
    assert_eq!(operator.get("/readyz").body, "ready\n");
    let metrics = operator.get("/metrics");
    assert!(
        metrics
            .field("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    // The numbers are those of the application.
    let busy = "\nfarewell_connections{state=\"in_progress\"} 1\n";
    assert!(metrics.body.contains(busy), "{}", metrics.body);
    let paths = operator.get("/").body;
    for path in ["/status", "/metrics", "/healthz", "/readyz", "/shutdown"] {
        assert!(paths.lines().any(|line| line.starts_with(path)), "{paths}");
    }
    let stopped = operator.get("/shutdown?now").body;
    assert!(
        stopped.starts_with("shutting down now: 1 other request in progress, 0 idle"),
        "{stopped}"
    );
    drop(operator);
    let ended = program.end();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    ended.assert_balanced();
    assert_eq!(ended.count("requests", "cut"), 1);
    // The requests of operators are none of the application's.
    assert_eq!(ended.report()["requests"]["begun"], 1);
}

#[test]
fn a_follower_of_the_admin_listener_gets_the_report_of_the_application() {
    let (program, admin) = start(&[]);
    let mut slow = program.connect();
    slow.request("/slow?delay=300ms");
    program.wait_logged("GET /slow");
    // An idle connection for operators does not hold up the end.
    let mut idle = Client::connect(admin);
    assert_eq!(idle.get("/healthz").status, 200);
    let mut follower = Client::connect(admin);
    follower.request("/shutdown?wait");
    let text = follower.response().body;
    let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    assert_eq!(first, "1 in progress, 0 idle, 0 lingering");
    assert!(
        last.starts_with("stopped in ") && last.contains("1 answered"),
        "{text}"
    );
    assert_eq!(slow.response().status, 200);
    drop((slow, follower));
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.assert_balanced();
    assert_eq!(ended.report()["followers"], 0);
    assert!(
        ended
            .stderr
            .contains("asked to stop by a request from 127.0.0.1"),
        "{}",
        ended.stderr
    );
}

#[test]
fn with_an_admin_listener_the_application_has_every_path() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["healthz", "readyz", "metrics", "status", "shutdown"] {
        fs::write(folder.path().join(name), format!("the file {name}")).unwrap();
    }
    let (program, admin) = start(&[folder.path().to_str().unwrap()]);
    let mut client = program.connect();
    let mut operator = Client::connect(admin);
    for name in ["healthz", "readyz", "metrics", "status", "shutdown"] {
        let path = format!("/{name}");
        assert_eq!(client.get(&path).body, format!("the file {name}"));
        operator.send(format!("OPTIONS {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_ne!(operator.response().status, 404, "{path}");
    }
    assert_eq!(operator.get("/other").status, 404);
}

#[test]
fn a_signal_stops_both_listeners() {
    let (program, admin) = start(&[]);
    let mut operator = Client::connect(admin);
    assert_eq!(operator.get("/healthz").status, 200);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // The log has one stop, that of the application.
    let stops = ended
        .stderr
        .lines()
        .filter(|line| line.contains("asked to stop"));
    assert_eq!(stops.count(), 1, "{}", ended.stderr);
    operator.expect_end();
    assert!(Client::try_connect(admin).is_err());
}

#[test]
fn on_a_unix_socket_the_user_of_the_program_alone_may_connect_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let admin = format!("unix:{}", path.display());
    let program = Program::start(&["--admin", &admin]);
    assert_eq!(
        program.greeting.lines().nth(1).unwrap(),
        format!("admin on {admin}")
    );
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut operator = Client::try_connect_unix(&path).unwrap();
    assert_eq!(operator.get("/metrics").status, 200);
    let stopped = get_with(&mut operator, "/shutdown", "Host: localhost\r\n");
    assert_eq!(stopped.status, 200, "{stopped:?}");
    drop(operator);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let curl = format!(
        "stop it with: curl --unix-socket {} http://localhost/shutdown  or Ctrl+C",
        path.display()
    );
    assert!(ended.stdout.starts_with(&curl), "{}", ended.stdout);
    assert!(!path.exists());
}

#[test]
fn an_address_that_is_taken_is_one_line() {
    let (program, admin) = start(&[]);
    let taken = admin.to_string();
    let second = run(command(&["--listen", "127.0.0.1:0", "--admin", &taken]));
    assert_eq!(second.code, Some(1));
    let text = format!(
        "farewell: cannot listen on {taken}: Address already in use (os error 98); \
         is another instance running? choose another address with --admin\n"
    );
    assert_eq!(second.stderr, text);
    drop(program);

    for listen in [taken.clone(), format!("0.0.0.0:{}", admin.port())] {
        let same = run(command(&["--listen", &listen, "--admin", &taken]));
        assert_eq!(same.code, Some(2), "{}", same.stderr);
        let text = format!(
            "farewell: --admin is '{taken}', where --listen listens already: choose another port\n"
        );
        assert_eq!(same.stderr, text);
    }
}

#[test]
fn the_numbers_are_for_clients_that_may_stop_the_program() {
    let token = "open-sesame";
    let mut with_token = command(&[]);
    with_token.env("FAREWELL_SHUTDOWN_TOKEN", token);
    let program = Program::spawn(with_token);
    let mut client = program.connect();
    let refused = client.get("/metrics");
    assert_eq!(refused.status, 401);
    assert!(refused.body.starts_with("not allowed: "), "{refused:?}");
    let fields = format!("Host: a\r\nAuthorization: Bearer {token}\r\n");
    assert_eq!(get_with(&mut client, "/metrics", &fields).status, 200);
    assert_eq!(client.get("/healthz").status, 200);

    let program = Program::start(&[]);
    let mut client = program.connect();
    let rebound = get_with(&mut client, "/metrics", "Host: evil.example\r\n");
    assert_eq!(rebound.status, 403);
    assert_eq!(
        get_with(&mut client, "/metrics", "Host: localhost\r\n").status,
        200
    );
}

#[test]
fn an_admin_listener_on_all_addresses_asks_for_the_token_if_there_is_one() {
    let token = "open-sesame";
    let fields = format!("Host: node-7\r\nAuthorization: Bearer {token}\r\n");
    for (address, token, open) in [
        ("0.0.0.0:0", Some(token), false),
        ("0.0.0.0:0", None, true),
        ("127.0.0.1:0", Some(token), true),
    ] {
        let mut command = command(&["--admin", address]);
        token.map(|token| command.env("FAREWELL_SHUTDOWN_TOKEN", token));
        let program = Program::spawn(command);
        let port = admin_of(&program).port();
        let mut client = Client::connect(("127.0.0.1", port));
        let expected = if open { 200 } else { 401 };
        assert_eq!(
            client.get("/metrics").status,
            expected,
            "{address} {token:?}"
        );
        assert_eq!(client.get("/readyz").status, 200);
        if token.is_some() {
            assert_eq!(client.get("/shutdown").status, 401);
            assert_eq!(get_with(&mut client, "/metrics", &fields).status, 200);
        }
    }
}

#[test]
fn a_stop_is_reported_on_stdout_after_the_admin_listener_has_ended() {
    let mut command = command(&["--admin", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    for _ in 0..3 {
        stdout.read_line(&mut lines).unwrap();
    }
    let admin: SocketAddr = lines.lines().nth(1).unwrap()["admin on http://".len()..]
        .parse()
        .unwrap();
    assert!(
        lines.contains(&format!(
            "stop it with: curl http://{admin}/shutdown  or Ctrl+C"
        )),
        "{lines}"
    );
    let mut operator = Client::connect(admin);
    let stopped = get_with(
        &mut operator,
        "/shutdown",
        "Host: localhost\r\nAccept: application/json\r\n",
    );
    assert!(stopped.body.contains("\"in_progress\":0"), "{stopped:?}");
    drop(operator);
    let mut report = String::new();
    stdout.read_to_string(&mut report).unwrap();
    assert!(report.starts_with("stopped in "), "{report}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
