//! What the program prints, and how it reports wrong input.

use std::net::TcpListener;
use std::time::Instant;

use rustix::process::Signal;

use crate::client::Client;
use crate::program::Program;
use crate::program::command;
use crate::program::command_of;
use crate::program::run;

#[test]
fn the_greeting_shows_the_address_and_how_to_stop() {
    let program = Program::start(&["--workers", "3"]);
    let url = format!("http://{}", program.address);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        program.greeting,
        format!(
            "farewell {version} listening on {url} (3 workers)\n\
             stop it with: curl {url}/shutdown  or Ctrl+C; twice to stop at once\n"
        )
    );
}

#[test]
fn the_text_report_counts_requests_by_outcome() {
    let mut text = command(&["--listen", "127.0.0.1:0"]);
    text.env("RUST_LOG", "off");
    let program = Program::spawn_as_is(text);
    let mut client = program.connect();
    client.get("/");
    program.signal(Signal::TERM);
    drop(client);
    let ended = program.end();
    assert!(
        ended.stdout.starts_with("stopped in 0."),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("1 request in all: 1 answered"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");
}

#[test]
fn options_can_be_environment_variables() {
    let mut by_variable = command(&[]);
    by_variable
        .env("FAREWELL_LISTEN", "127.0.0.1:0")
        .env("FAREWELL_WORKERS", "5")
        .env("FAREWELL_NO_SHUTDOWN_ROUTE", "true");
    let program = Program::spawn_as_is(by_variable);
    assert!(
        program.greeting.contains("(5 workers)"),
        "{}",
        program.greeting
    );
    assert!(!program.greeting.contains("curl"), "{}", program.greeting);
}

/// What the program writes to stderr when it starts and stops with this variable.
fn stderr_with(variables: &[(&str, &str)]) -> String {
    let mut command = command(&[]);
    command.envs(variables.iter().copied());
    let program = Program::spawn(command);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_variable_without_an_option_is_named_in_one_line() {
    let stderr = stderr_with(&[
        ("FAREWELL_WROKERS", "3"),
        ("FAREWELL_ZZZ", "3"),
        ("FAREWELL_WORKERS", "3"),
        // Kubernetes sets these for a service with the name `farewell`.
        ("FAREWELL_PORT", "tcp://10.0.0.1:80"),
        ("FAREWELL_SERVICE_HOST", "10.0.0.1"),
    ]);
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("FAREWELL_"))
        .collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(
        lines[0].ends_with(
            "no option has this environment variable: FAREWELL_WROKERS (did you mean \
             FAREWELL_WORKERS?), FAREWELL_ZZZ"
        ),
        "{stderr}"
    );
    let port = stderr_with(&[("FAREWELL_PORT", "8081")]);
    assert!(port.contains("variable: FAREWELL_PORT"), "{port}");
    let token = stderr_with(&[("FAREWELL_SHUTDOWN_TOKEN", "secret")]);
    assert!(!token.contains("FAREWELL_"), "{token}");
}

#[test]
fn a_typo_in_the_log_level_does_not_silence_the_log() {
    for filter in ["inof", "error,bogus"] {
        let stderr = stderr_with(&[("RUST_LOG", filter)]);
        assert!(stderr.contains("RUST_LOG is ignored"), "{stderr}");
        assert!(stderr.contains("is neither a level"), "{stderr}");
        assert!(stderr.contains("asked to stop"), "{stderr}");
    }
    let right = stderr_with(&[("RUST_LOG", "error,farewell::access")]);
    assert_eq!(right, "");
}

/// Expects the program to fail with one line that contains `expected_text`.
pub(crate) fn rejects(options: &[&str], code: i32, expected_text: &str) {
    let ended = run(command(options));
    assert_eq!(ended.code, Some(code), "{options:?}: {}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(
        ended.stderr.lines().count(),
        1,
        "{options:?}: {}",
        ended.stderr
    );
    assert!(ended.stderr.starts_with("farewell: "), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(expected_text),
        "{options:?}: {}",
        ended.stderr
    );
}

#[test]
fn wrong_usage_is_one_line_with_code_2() {
    rejects(&["--nonsense"], 2, "--nonsense");
    rejects(&["stray"], 1, "cannot serve the folder stray");
    rejects(&["--workers", "0"], 2, "--workers is 0");
    rejects(
        &["--workers", "many"],
        2,
        "--workers is 'many': it must be a whole number",
    );
    rejects(
        &["--workers", "-1"],
        2,
        "--workers is '-1': it must not be negative",
    );
    rejects(
        &["--workers=-1"],
        2,
        "--workers is '-1': it must be a whole number",
    );
    rejects(
        &["--linger", "-1s"],
        2,
        "--linger is '-1s': it must not be negative",
    );
    rejects(&["--linger"], 2, "--linger has no value");
    rejects(
        &["--workers", "--linger", "3s"],
        2,
        "--workers has no value",
    );
    rejects(&["--worker", "3"], 2, "did you mean --workers?");
    rejects(&["--access-log=true"], 2, "--access-log takes no value");
    rejects(&["--linger", "5"], 2, "500ms");
    for option in ["--body-bytes-max", "--rate-min"] {
        let expected_text =
            format!("{option} is '2M': write it in bytes, or as 64KiB, 2MiB or 1GiB");
        rejects(&[option, "2M"], 2, &expected_text);
        rejects(&[option, "99999999999999999999"], 2, "it is too large");
    }
    rejects(&["--report", "xml"], 2, "text, json");
    for wrong in ["nowhere", "8081", ":", ":http", ":65536", ""] {
        let expected_text = "write --listen as 127.0.0.1:8081, or :8081 for all addresses";
        rejects(&["--listen", wrong], 2, expected_text);
    }
    rejects(&["dril"], 2, "did you mean drill?");
    rejects(&["help", "nonsense"], 2, "nonsense");
    rejects(&["--workers", "2", "drill"], 2, "drill must come first");
    rejects(
        &["--lame-duck", "1s", "--drain-timeout", "0s"],
        2,
        "--drain-timeout is zero",
    );
    rejects(&["--max-connections", "0"], 2, "--max-connections is 0");
}

#[test]
fn an_error_of_the_system_is_one_line_with_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    rejects(&["--listen", &address], 1, "in use");
    rejects(&["--listen", &address], 1, "is another instance running?");
    rejects(
        &["--listen", "192.0.2.1:0"],
        1,
        "cannot listen on 192.0.2.1:0",
    );
    // An empty label: the resolver asks no server.
    rejects(
        &["--listen", "no..host:80"],
        1,
        "check the host name in --listen",
    );
    rejects(
        &["--shutdown-token-file", "/no/such/file"],
        1,
        "/no/such/file",
    );
    rejects(&["--shutdown-token-file", "/dev/null"], 2, "one word");
}

/// Expects the program to reject this variable with one line that names it.
pub(crate) fn rejects_variable(variable: &str, value: &str, expected_text: &str) {
    let mut command = command(&[]);
    command.env(variable, value);
    let ended = run(command);
    assert_ne!(ended.code, Some(0));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for part in [variable, expected_text] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("--listen"), "{}", ended.stderr);
}

#[test]
fn an_error_names_the_wrong_variable() {
    let (number, duration) = ("a whole number", "write it as 500ms, 10s or 1m");
    let (size, flag) = ("write it in bytes, or as 64KiB", "write true or false");
    for (variable, expected_text) in [
        ("FAREWELL_LISTEN", "write FAREWELL_LISTEN as 127.0.0.1:8081"),
        ("FAREWELL_WORKERS", number),
        ("FAREWELL_MAX_CONNECTIONS", number),
        ("FAREWELL_CONNECTIONS_PER_PEER", number),
        ("FAREWELL_BODY_BYTES_MAX", size),
        ("FAREWELL_DRAIN_TIMEOUT", duration),
        ("FAREWELL_LAST_CALL", duration),
        ("FAREWELL_LINGER", duration),
        ("FAREWELL_HANDSHAKE_GRACE", duration),
        ("FAREWELL_LAME_DUCK", duration),
        ("FAREWELL_IDLE_TIMEOUT", duration),
        ("FAREWELL_HEAD_TIMEOUT", duration),
        ("FAREWELL_BODY_TIMEOUT", duration),
        ("FAREWELL_WRITE_TIMEOUT", duration),
        ("FAREWELL_RATE_MIN", size),
        ("FAREWELL_ACCESS_LOG", flag),
        ("FAREWELL_WORK", duration),
        ("FAREWELL_SHUTDOWN_TOKEN_FILE", ""),
        ("FAREWELL_NO_SHUTDOWN_ROUTE", flag),
        ("FAREWELL_REPORT", "text, json"),
        ("FAREWELL_SHUTDOWN_TOKEN", "one word of visible ASCII"),
    ] {
        rejects_variable(variable, "not right", expected_text);
        rejects_variable(variable, "", expected_text);
    }
    // Values that only the library can check.
    rejects_variable("FAREWELL_WORKERS", "0", "from 1 to 4096");
    rejects_variable("FAREWELL_IDLE_TIMEOUT", "0s", "must not be zero");
    rejects_variable(
        "FAREWELL_LISTEN",
        "192.0.2.1:0",
        "another with FAREWELL_LISTEN",
    );
}

#[test]
fn an_error_names_the_command_line_before_the_environment() {
    let mut command = command(&["--nonsense"]);
    command.env("FAREWELL_WORKERS", "many");
    let ended = run(command);
    assert!(ended.stderr.contains("--nonsense"), "{}", ended.stderr);
}

#[test]
fn sizes_may_have_units() {
    let program = Program::start(&["--body-bytes-max", "1KiB", "--rate-min", "1MiB"]);
    for (length, status) in [(1024, 200), (1025, 413)] {
        let mut client = program.connect();
        let body = "x".repeat(length);
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(client.response().status, status);
    }
}

#[test]
fn too_few_files_are_reported_with_advice() {
    let mut command = command_of(
        "sh",
        &[
            "-c",
            "ulimit -n 6; exec \"$0\" --listen 127.0.0.1:0",
            env!("CARGO_BIN_EXE_farewell"),
        ],
    );
    command.env("RUST_LOG", "off");
    let ended = run(command);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("(ulimit -n)"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("--listen"), "{}", ended.stderr);
}

/// The second line of the greeting, for these options.
fn greeting_stop_line(options: &[&str]) -> (Program, String) {
    let program = Program::spawn_as_is(command(options));
    let hint = program.greeting.lines().nth(1).unwrap().to_owned();
    (program, hint)
}

#[test]
fn the_stop_command_of_the_greeting_works() {
    for (listen, host) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.2:0", "127.0.0.2"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::]:0", "localhost"),
        (":0", "localhost"),
    ] {
        let (program, hint) = greeting_stop_line(&["--listen", listen]);
        let port = program.address.port();
        let expected = format!(
            "stop it with: curl http://{host}:{port}/shutdown  or Ctrl+C; twice to stop at once"
        );
        assert_eq!(hint, expected);
        let ip = match host {
            "localhost" => "127.0.0.1",
            ip => ip,
        };
        let mut client = Client::connect(format!("{ip}:{port}"));
        client.send(format!(
            "GET /shutdown HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        ));
        assert_eq!(client.response().status, 200);
        drop(client);
        assert_eq!(program.end().code, Some(0));
    }
    // Without quotes, a shell could take the brackets for a pattern.
    let (program, hint) = greeting_stop_line(&["--listen", "[::1]:0"]);
    let url = format!("curl 'http://{}/shutdown'", program.address);
    assert!(hint.contains(&url), "{hint}");
}

#[test]
fn the_greeting_shows_no_stop_command_that_does_not_work() {
    // Finds a non-loopback address of this machine: the source address of a
    // packet to another network. No packet is sent.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let Ok(()) = probe.connect("192.0.2.1:9") else {
        return;
    };
    let ip = probe.local_addr().unwrap().ip();
    let listen = format!("{ip}:0");
    let (program, hint) = greeting_stop_line(&["--listen", &listen]);
    assert_eq!(
        hint,
        "stop it with: Ctrl+C; twice to stop at once \
         (on this address, /shutdown needs --shutdown-token-file)"
    );
    // The hint is right: this address is rejected.
    assert_eq!(program.connect().get("/shutdown").status, 403);

    let mut with_token = command(&["--listen", &listen]);
    with_token.env("FAREWELL_SHUTDOWN_TOKEN", "secret");
    let program = Program::spawn_as_is(with_token);
    let curl = format!(
        "curl -H 'Authorization: Bearer TOKEN' http://{}/shutdown",
        program.address
    );
    assert!(program.greeting.contains(&curl), "{}", program.greeting);
}

#[test]
fn a_port_alone_listens_on_all_addresses() {
    let program = Program::spawn_as_is(command(&["--listen", ":0"]));
    assert!(
        program.greeting.contains("; on all addresses)"),
        "{}",
        program.greeting
    );
    let port = program.address.port();
    for ip in ["127.0.0.1", "127.0.0.2", "[::1]"] {
        let mut client = Client::connect(format!("{ip}:{port}"));
        assert_eq!(client.get("/").status, 200, "{ip}");
    }
}

#[test]
fn a_cut_request_is_named_once() {
    let mut text = command(&["--listen", "127.0.0.1:0", "--drain-timeout", "300ms"]);
    text.env("RUST_LOG", "info");
    let program = Program::spawn_as_is(text);
    let mut client = program.connect();
    client.send(
        "POST /echo?cut HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
         Expect: 100-continue\r\n\r\n",
    );
    assert!(client.head().starts_with("http/1.1 100"));
    program.signal(Signal::TERM);
    client.expect_end();
    let ended = program.end();
    assert_eq!(ended.code, Some(3));
    assert!(
        ended.stdout.contains("  POST /echo?cut for 127.0.0.1:"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stderr.contains("/echo?cut"), "{}", ended.stderr);
}

#[test]
fn without_connections_nothing_is_cut_short() {
    for listen in ["127.0.0.1:0", "[::]:0"] {
        let command = command(&["--listen", listen, "--drain-timeout", "0s"]);
        let program = Program::spawn_as_is(command);
        program.signal(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(0));
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains("cut short"), "{text}");
        }
    }
}

#[test]
fn a_token_given_twice_is_refused() {
    let mut twice = command(&["--shutdown-token-file", "/dev/null"]);
    twice.env("FAREWELL_SHUTDOWN_TOKEN", "secret");
    let ended = run(twice);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("twice") && !ended.stderr.contains("secret"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(command(&["--help"]));
    assert_eq!(help.code, Some(0));
    for option in [
        "--listen",
        "--drain-timeout",
        "FAREWELL_LAST_CALL",
        "Exit codes",
    ] {
        assert!(help.stdout.contains(option), "{option}: {}", help.stdout);
    }
    for (question, title) in [
        (&["help"][..], "Serves a folder over HTTP/1.1"),
        (
            &["help", "drill"],
            "Test the graceful shutdown of an HTTP/1.1 server",
        ),
    ] {
        let help = run(command(question));
        assert_eq!(help.code, Some(0), "{}", help.stderr);
        assert!(help.stdout.starts_with(title), "{}", help.stdout);
        assert_eq!(help.stderr, "");
    }
    let version = run(command(&["--version"]));
    assert_eq!(
        version.stdout,
        format!("farewell {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_closed_stdout_does_not_stop_the_server() {
    let mut program = Program::start(&[]);
    program.close_stdout();
    let mut client = program.connect();
    assert_eq!(client.get("/").status, 200);
    drop(client);
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn the_access_log_has_a_line_for_each_request() {
    let program = Program::start_logging(&["--access-log"]);
    let mut client = program.connect();
    client.get("/a?b=c");
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    client.response();
    client.send("nonsense\r\n\r\n");
    client.response();
    drop(client);
    program.signal(Signal::TERM);
    let ended = program.end();
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter_map(|line| line.split_once("farewell::access] "))
        .map(|(_, line)| line)
        .collect();
    let expected = [
        "+0000] \"GET /a?b=c HTTP/1.1\" 200 24 0.",
        "+0000] \"POST /echo HTTP/1.1\" 200 5 0.",
        "+0000] - 400 ",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert!(line.contains(expected), "{line}");
        // No rate: the bodies are small.
        assert!(line.ends_with(" -"), "{line}");
    }
}

#[test]
fn the_log_tells_what_is_left_of_a_large_response_and_then_its_size_and_rate() {
    /// More than fits into the sockets' buffers.
    const BYTES: usize = 32 << 20;
    let program = Program::start_logging(&["--access-log", "--body-bytes-max", "32MiB"]);
    let mut client = program.connect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    client.send(head);
    client.send(vec![b'x'; BYTES]);
    client.wait_readable();
    program.signal(Signal::TERM);
    let progress = program.wait_logged("farewell::live] draining: 1 in progress");
    let (_, left) = progress.split_once(" 0 lingering, ").unwrap();
    assert!(left.contains(" MiB to send"), "{progress}");
    assert!(left.ends_with(" s left"), "{progress}");
    assert_eq!(client.response().body.len(), BYTES);
    drop(client);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let part = format!("\"POST /echo HTTP/1.1\" 200 {BYTES} ");
    let line = ended.stderr.lines().find_map(|line| line.split_once(&part));
    let (seconds, rate) = line.unwrap().1.split_once(' ').unwrap();
    let (seconds, rate): (f64, f64) = (seconds.parse().unwrap(), rate.parse().unwrap());
    let expected = BYTES as f64 / seconds;
    assert!(
        (rate - expected).abs() <= 1.0 + expected / 1000.0,
        "{rate} {expected}"
    );
}

#[test]
fn the_access_log_is_off_by_default() {
    let program = Program::start_logging(&[]);
    program.connect().get("/");
    program.signal(Signal::TERM);
    assert!(!program.end().stderr.contains("farewell::access"));
}

#[test]
fn text_from_a_client_is_escaped() {
    let program = Program::start_logging(&["--drain-timeout", "100ms", "--access-log"]);
    let mut client = program.connect();
    client.request("/slow\u{9b}\u{202e}\u{2028}\u{fc}?delay=60s");
    program.wait_logged("GET /slow");
    program.signal(Signal::TERM);
    client.expect_end();
    let ended = program.end();
    let route = r"GET /slow\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xc3\xbc?delay=60s";
    assert_eq!(ended.report()["cut"][0]["route"], route);
    assert!(ended.stdout.is_ascii(), "{}", ended.stdout);
    assert!(
        ended.stderr.contains(&format!("{route} for 127.0.0.1:")),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.is_ascii(), "{}", ended.stderr);
}

#[test]
fn a_burst_of_refused_requests_is_one_log_line() {
    const REFUSED: u64 = 40;
    let begun = Instant::now();
    let program = Program::start(&[]);
    for number in 0..REFUSED {
        let mut client = program.connect();
        let line = ["NONSENSE", "GET / HTTP/2.0"][usize::from(number == 0)];
        client.send(format!("{line}\r\n\r\n"));
        client.response();
    }
    program.signal(Signal::TERM);
    let ended = program.end();
    assert!(!ended.stderr.contains("rejected with"), "{}", ended.stderr);
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.contains(" rejected ("))
        .collect();
    let count = |line: &&str| -> u64 {
        let (before, _) = line.split_once(" request").unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(lines.iter().map(count).sum::<u64>(), REFUSED, "{lines:?}");
    // One line for the burst, and one more for every ten seconds that it took.
    let most =
        1 + usize::from(begun.elapsed().as_secs() > 0) + begun.elapsed().as_secs() as usize / 10;
    assert!(lines.len() <= most, "{lines:?}");
    assert!(
        lines[0].contains("with 400") && lines[0].contains("1 with 505"),
        "{lines:?}"
    );
    assert_eq!(ended.count("requests", "rejected"), REFUSED);
}

#[test]
fn the_debug_level_logs_each_refused_request() {
    let program = Program::start_logging(&[]);
    for _ in 0..3 {
        let mut client = program.connect();
        client.send("NONSENSE\r\n\r\n");
        client.response();
        program.wait_logged("rejected with 400 Bad Request: invalid request line");
    }
    program.signal(Signal::TERM);
    program.end();
}
