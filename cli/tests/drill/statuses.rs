//! What servers answer: a wrong URL is not drilled in silence.

use crate::program::Drilled;
use crate::program::command;
use crate::program::drill_faulty;
use crate::program::run;

/// A drill of a server that loses nothing, on this path.
fn drill_path(path: &str, options: &[&str]) -> Drilled {
    let url = format!("http://127.0.0.1:{{port}}{path}");
    let mut all = vec!["--url", &url, "--rounds", "2", "--clients", "8"];
    all.extend(["--load-for", "100ms"]);
    all.extend(options);
    let server = [
        env!("CARGO_BIN_EXE_farewell"),
        "--listen",
        "127.0.0.1:{port}",
        "--last-call",
        "8s",
    ];
    run(command(&all, &server))
}

#[test]
fn a_status_that_is_not_expected_is_told_first_and_last() {
    // The route is for POST.
    let drilled = drill_path("/echo", &["--mode", "new,keep-alive,post"]);
    assert_eq!(drilled.code, Some(3), "{}", drilled.stdout);
    for mode in ["new", "keep-alive"] {
        let first = format!(
            "farewell drill: {mode}: the first response to GET /echo has status 405, not 2xx: \
             correct --url, or add --expect 405\n"
        );
        let stderr = &drilled.stderr;
        assert_eq!(stderr.matches(&first).count(), 1, "{stderr}");
        let last = format!(
            "\n{mode}: no response to GET /echo had status 2xx: correct --url, or add --expect 405\n"
        );
        assert!(drilled.stdout.contains(&last), "{}", drilled.stdout);
    }
    assert_eq!(drilled.stderr.lines().count(), 2, "{}", drilled.stderr);
    let stdout = &drilled.stdout;
    assert!(!stdout.contains("post: "), "{stdout}");
    let verdict = "Nothing was lost in 6 stops, but ";
    let verdict = stdout.lines().find(|line| line.starts_with(verdict));
    let verdict = verdict.unwrap_or_else(|| panic!("{stdout}"));
    assert!(
        verdict.contains(" responses had a status other than 2xx: "),
        "{verdict}"
    );
    assert!(verdict.ends_with(" of 405."), "{verdict}");
    for row in ["status 200 ", "status 405 "] {
        assert!(stdout.lines().any(|line| line.starts_with(row)), "{stdout}");
    }
}

#[test]
fn a_post_is_asked_as_a_post_from_the_start() {
    let drilled = drill_faulty("takes-no-post", "--mode new,post");
    let stderr = &drilled.stderr;
    assert!(
        stderr.contains("post: the first response to POST / has status 405, not 2xx"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let stdout = &drilled.stdout;
    assert!(
        stdout.contains("\npost: no response to POST / had status 2xx"),
        "{stdout}"
    );
}

#[test]
fn a_status_that_is_expected_is_right() {
    for expect in ["405", "4xx"] {
        let options = ["--json", "--mode", "new", "--expect", expect];
        let drilled = drill_path("/echo", &options);
        let json = drilled.json();
        assert_eq!(drilled.code, Some(0), "{json}");
        assert_eq!(drilled.stderr, "");
        assert_eq!(json["expect"], expect);
        assert_eq!(json["unexpected"], 0);
        let answered = json["totals"]["new"]["statuses"]["405"].as_u64().unwrap();
        assert!(answered > 0, "{json}");
        assert_eq!(
            json["totals"]["new"]["statuses"].as_object().unwrap().len(),
            1
        );
    }
    // The status of the load is not that of the stop.
    let options = ["--stop", "url:/shutdown?wait", "--expect", "405"];
    let drilled = drill_path("/echo", &options);
    assert_eq!(drilled.code, Some(0), "{}", drilled.stdout);
}

#[test]
fn a_server_that_always_fails_can_be_expected_to() {
    let drilled = drill_faulty("fails", "--start-timeout 200ms");
    assert_eq!(drilled.code, Some(4));
    assert!(
        drilled.stderr.contains("answers with status 503 only"),
        "{}",
        drilled.stderr
    );
    let drilled = drill_faulty("fails", "--json --expect 503 --mode new");
    let json = drilled.json();
    assert_eq!(json["error"], serde_json::Value::Null, "{json}");
    assert_eq!(json["totals"]["new"]["answered_5xx"], 0, "{json}");
    assert!(json["totals"]["new"]["statuses"]["503"].as_u64() > Some(0));
}

#[test]
fn a_503_in_the_stop_is_in_the_verdict() {
    let drilled = drill_faulty("apologizes", "--mode keep-alive");
    let stdout = &drilled.stdout;
    assert!(
        stdout.contains(" responses had a status other than 2xx: "),
        "{stdout}"
    );
    assert!(stdout.contains(" of 503.\n"), "{stdout}");
    // It is the stop that makes it fail, and not the URL.
    assert!(!stdout.contains("--expect"), "{stdout}");
    assert_eq!(drilled.stderr, "");
}

#[test]
fn a_stop_that_is_refused_is_told() {
    let drilled = drill_faulty(
        "knows-nothing",
        "--expect 404 --mode new --stop url:/nowhere --stop-timeout 300ms",
    );
    assert_eq!(drilled.code, Some(4), "{}", drilled.stderr);
    assert!(
        drilled.stderr.contains("/nowhere was answered with 404"),
        "{}",
        drilled.stderr
    );
}
