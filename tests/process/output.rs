//! What the program prints, and what it says to wrong input.

use std::net::TcpListener;
use std::time::Instant;

use rustix::process::Signal;

use crate::program::Program;
use crate::program::command;
use crate::program::run;

#[test]
fn it_greets_with_where_it_listens_and_how_to_stop_it() {
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
fn the_report_for_people_says_what_became_of_everyone() {
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
fn options_are_environment_variables_too() {
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

/// The program says no, in one line that contains this.
fn refuses(options: &[&str], code: i32, says: &str) {
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
    assert!(ended.stderr.contains(says), "{options:?}: {}", ended.stderr);
}

#[test]
fn wrong_usage_is_told_in_one_line_with_code_2() {
    refuses(&["--nonsense"], 2, "--nonsense");
    refuses(&["stray"], 2, "stray");
    refuses(&["--workers", "0"], 2, "--workers is 0");
    refuses(&["--workers", "many"], 2, "--workers");
    refuses(&["--linger", "5"], 2, "500ms");
    refuses(&["--report", "xml"], 2, "text, json");
    refuses(&["--listen", "nowhere"], 2, "write it as 127.0.0.1:8081");
    refuses(
        &["--lame-duck", "1s", "--drain-timeout", "0s"],
        2,
        "--drain-timeout is zero",
    );
    refuses(&["--max-connections", "0"], 2, "--max-connections is 0");
}

#[test]
fn what_the_system_refuses_is_told_in_one_line_with_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refuses(&["--listen", &address], 1, "in use");
    refuses(
        &["--listen", "192.0.2.1:0"],
        1,
        "cannot listen on 192.0.2.1:0",
    );
    refuses(
        &["--shutdown-token-file", "/no/such/file"],
        1,
        "/no/such/file",
    );
    refuses(&["--shutdown-token-file", "/dev/null"], 2, "one word");
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
    let version = run(command(&["--version"]));
    assert_eq!(
        version.stdout,
        format!("farewell {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_closed_stdout_is_no_reason_to_stop_serving() {
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
    }
}

#[test]
fn without_being_asked_for_there_is_no_access_log() {
    let program = Program::start_logging(&[]);
    program.connect().get("/");
    program.signal(Signal::TERM);
    assert!(!program.end().stderr.contains("farewell::access"));
}

#[test]
fn what_a_client_has_chosen_is_shown_escaped() {
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
        ended.stderr.contains(&format!("cut: {route} from ")),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.is_ascii(), "{}", ended.stderr);
}

#[test]
fn a_burst_of_refusals_is_one_line() {
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
    assert!(!ended.stderr.contains("refused with"), "{}", ended.stderr);
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.contains(" refused ("))
        .collect();
    let count = |line: &&str| -> u64 {
        let (before, _) = line.split_once(" request").unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(lines.iter().map(count).sum::<u64>(), REFUSED, "{lines:?}");
    // One for the burst, and if it took so long, one more each ten seconds.
    let most =
        1 + usize::from(begun.elapsed().as_secs() > 0) + begun.elapsed().as_secs() as usize / 10;
    assert!(lines.len() <= most, "{lines:?}");
    assert!(
        lines[0].contains("with 400") && lines[0].contains("1 with 505"),
        "{lines:?}"
    );
    assert_eq!(ended.count("requests", "refused"), REFUSED);
}

#[test]
fn the_debug_level_names_each_refusal() {
    let program = Program::start_logging(&[]);
    for _ in 0..3 {
        let mut client = program.connect();
        client.send("NONSENSE\r\n\r\n");
        client.response();
        program.wait_logged("refused with 400 Bad Request: the request line is not valid");
    }
    program.signal(Signal::TERM);
    program.end();
}
