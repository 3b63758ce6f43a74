//! The statuses of responses. The drill reports a wrong URL.

use crate::program::DrillOutput;
use crate::program::SERVER;
use crate::program::command;
use crate::program::drill_faulty;
use crate::program::run;

/// Runs a drill of a server that loses nothing, with this path.
fn drill_path(path: &str, options: &[&str]) -> DrillOutput {
    let url = format!("http://127.0.0.1:{{port}}{path}");
    let mut all = vec!["--url", &url, "--rounds", "2", "--clients", "8"];
    all.extend(["--load-for", "100ms"]);
    all.extend(options);
    run(command(&all, &SERVER))
}

#[test]
fn an_unexpected_status_is_reported_at_the_start_and_at_the_end() {
    // This route accepts only POST.
    let output = drill_path("/echo", &["--mode", "new,keep-alive,post"]);
    assert_eq!(output.code, Some(3), "{}", output.stdout);
    for mode in ["new", "keep-alive"] {
        let first = format!(
            "farewell drill: {mode}: the first response to GET /echo has status 405, not 2xx: \
             correct --url, or add --expect 405\n"
        );
        let stderr = &output.stderr;
        assert_eq!(stderr.matches(&first).count(), 1, "{stderr}");
        let last = format!(
            "\n{mode}: no response to GET /echo had status 2xx: correct --url, or add --expect 405\n"
        );
        assert!(output.stdout.contains(&last), "{}", output.stdout);
    }
    assert_eq!(output.stderr.lines().count(), 2, "{}", output.stderr);
    let stdout = &output.stdout;
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
fn the_first_request_has_the_method_of_the_mode() {
    let output = drill_faulty("rejects-post", "--mode new,post");
    let stderr = &output.stderr;
    assert!(
        stderr.contains("post: the first response to POST / has status 405, not 2xx"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let stdout = &output.stdout;
    assert!(
        stdout.contains("\npost: no response to POST / had status 2xx"),
        "{stdout}"
    );
}

#[test]
fn an_expected_status_counts_as_answered() {
    for expect in ["405", "4xx"] {
        let options = ["--json", "--mode", "new", "--expect", expect];
        let output = drill_path("/echo", &options);
        let json = output.json();
        assert_eq!(output.code, Some(0), "{json}");
        assert_eq!(output.stderr, "");
        assert_eq!(json["expect"], expect);
        assert_eq!(json["unexpected"], 0);
        let answered = json["totals"]["new"]["statuses"]["405"].as_u64().unwrap();
        assert!(answered > 0, "{json}");
        assert_eq!(
            json["totals"]["new"]["statuses"].as_object().unwrap().len(),
            1
        );
    }
    // `--expect` does not apply to the request to stop.
    let options = ["--stop", "url:/shutdown?wait", "--expect", "405"];
    let output = drill_path("/echo", &options);
    assert_eq!(output.code, Some(0), "{}", output.stdout);
}

#[test]
fn status_503_can_be_expected() {
    let output = drill_faulty("always-answers-503", "--start-timeout 200ms");
    assert_eq!(output.code, Some(4));
    assert!(
        output.stderr.contains("answers with status 503 only"),
        "{}",
        output.stderr
    );
    let output = drill_faulty("always-answers-503", "--json --expect 503 --mode new");
    let json = output.json();
    assert_eq!(json["error"], serde_json::Value::Null, "{json}");
    assert_eq!(json["totals"]["new"]["answered_5xx"], 0, "{json}");
    assert!(json["totals"]["new"]["statuses"]["503"].as_u64() > Some(0));
}

#[test]
fn a_503_after_the_stop_is_in_the_verdict() {
    let output = drill_faulty("answers-503", "--mode keep-alive");
    let stdout = &output.stdout;
    assert!(
        stdout.contains(" responses had a status other than 2xx: "),
        "{stdout}"
    );
    assert!(stdout.contains(" of 503.\n"), "{stdout}");
    // The URL is right: the responses have this status only after the stop.
    assert!(!stdout.contains("--expect"), "{stdout}");
    assert_eq!(output.stderr, "");
}

#[test]
fn a_rejected_request_to_stop_is_an_error() {
    let output = drill_faulty(
        "always-answers-404",
        "--expect 404 --mode new --stop url:/nowhere --stop-timeout 300ms",
    );
    assert_eq!(output.code, Some(4), "{}", output.stderr);
    assert!(
        output.stderr.contains("/nowhere was answered with 404"),
        "{}",
        output.stderr
    );
}
