//! A server behind a wrapper, and whether the stop reaches it.
//!
//! The signal goes to the command. If the command ends and its server does not,
//! the drill reports it with advice, and kills what is left.

use std::net::TcpStream;
use std::process::Command;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::errors::free_port;
use crate::program::DrillOutput;
use crate::program::command;
use crate::program::faulty;
use crate::program::run;

/// Runs a drill of a shell script, in which `SERVER` stands for the faulty
/// server and `PORT` for its port. Asserts that the drill leaves no process
/// behind.
fn drill_script(script: &str, options: &[&str]) -> DrillOutput {
    let port = free_port();
    let script = script
        .replace("SERVER", &format!("'{}'", faulty()))
        .replace("PORT", &port.to_string());
    let url = format!("http://127.0.0.1:{port}/");
    let mut all = vec!["--url", &url, "--json", "--rounds", "1", "--mode", "new"];
    all.extend(["--clients", "4", "--load-for", "50ms", "--patience", "5s"]);
    all.extend(options);
    let output = run(command(&all, &["/bin/sh", "-c", &script]));
    let connected = TcpStream::connect(("127.0.0.1", port));
    assert!(connected.is_err(), "{script} is left behind");
    output
}

fn assert_fails(output: &DrillOutput, expected_text: &[&str]) {
    assert_eq!(output.code, Some(4), "{}", output.stdout);
    let json = output.json();
    let error = json["error"].as_str().unwrap();
    for words in expected_text {
        assert!(error.contains(words), "{error}");
    }
    // Requests that fail because the drill kills the server are not losses.
    assert_eq!((&json["lost"], &json["truncated"]), (&0.into(), &0.into()));
    assert_eq!(json["rounds"][0]["stopped"], false, "{json}");
}

#[test]
fn a_server_that_outlives_its_wrapper_is_reported_and_killed() {
    for script in [
        "SERVER never-stops PORT; true",
        "SERVER never-stops PORT & wait",
        // The wrapper ends in an orderly way, and its server continues.
        "SERVER never-stops PORT & trap 'exit 0' TERM; wait",
        // This wrapper would start the server again.
        "while true; do SERVER never-stops PORT; done",
        "(SERVER never-stops PORT; true) & wait",
    ] {
        let output = drill_script(script, &[]);
        let expected_text = [
            "new, round 1: the command ended (",
            "accepts connections",
            "`exec`",
            "--stop TERM:group",
        ];
        assert_fails(&output, &expected_text);
    }
}

#[test]
fn a_server_in_its_own_group_is_reported_and_killed() {
    let script = "SERVER leaves-group PORT & wait";
    let output = drill_script(script, &[]);
    assert_fails(&output, &["faulty (process ", "--stop url:/path"]);
    let output = drill_script(script, &["--stop", "TERM:group", "--stop-timeout", "300ms"]);
    let expected_text = [
        "did not stop within 300ms",
        "faulty (process ",
        "has left the process group",
    ];
    assert_fails(&output, &expected_text);
}

#[test]
fn a_wrapper_that_does_not_forward_the_signal_does_not_stop() {
    let script = "trap '' TERM; SERVER never-stops PORT; true";
    let output = drill_script(script, &["--stop-timeout", "300ms"]);
    assert_fails(
        &output,
        &["did not stop within 300ms", "`exec`", "--stop TERM:group"],
    );
}

#[test]
fn a_group_has_stopped_when_all_its_processes_have() {
    for script in [
        "SERVER closes-unanswered PORT; true",
        "SERVER closes-unanswered PORT & wait",
        "(SERVER closes-unanswered PORT; true) & wait",
        // The command ends long before the stop, but its process group still
        // runs.
        "SERVER closes-unanswered PORT &",
    ] {
        let output = drill_script(script, &["--stop", "TERM:group"]);
        let json = output.json();
        assert_eq!(output.code, Some(1), "{script}: {json}");
        assert_eq!(json["stop"], "TERM:group");
        // The shell ends at once, and the server 100 ms after the signal.
        let exit_ms = json["rounds"][0]["exit_ms"].as_f64().unwrap();
        assert!(exit_ms >= 100.0, "{script}: {json}");
    }
}

#[test]
fn a_group_that_does_not_stop_is_reported_and_killed() {
    for script in [
        "SERVER never-stops PORT & wait",
        "trap : TERM; while true; do SERVER closes-unanswered PORT; done",
    ] {
        let options = ["--stop", "TERM:group", "--stop-timeout", "500ms"];
        let output = drill_script(script, &options);
        assert_eq!(output.code, Some(4), "{}", output.stdout);
        let error = output.json()["error"].to_string();
        assert!(error.contains("did not stop within 500ms"), "{error}");
    }
}

#[test]
fn a_server_in_the_background_is_reported_and_killed() {
    let output = drill_script("exec SERVER goes-to-background PORT", &[]);
    assert_eq!(output.code, Some(4), "{}", output.stdout);
    let error = output.json()["error"].to_string();
    for words in [
        "the server ended b",
        "exit code 0",
        "still runs: run the server in the foreground",
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_server_that_cannot_be_tested_is_killed() {
    for script in [
        "SERVER never-answers PORT & wait",
        "SERVER leaves-group PORT & sleep 0.1; SERVER never-answers PORT",
        "SERVER always-answers-503 PORT; true",
    ] {
        let output = drill_script(script, &["--start-timeout", "200ms"]);
        assert!(matches!(output.code, Some(4)), "{}", output.stdout);
    }
}

#[test]
fn earlier_children_are_not_killed() {
    // The drill inherits the children of the shell that it replaces.
    let drill = command(
        &[
            "--url",
            "http://127.0.0.1:{port}/",
            "--rounds",
            "1",
            "--mode",
            "new",
        ],
        &[&faulty(), "never-stops", "{port}"],
    );
    let words = drill.get_args().map(|word| format!("'{}'", word.display()));
    let script = format!(
        "sleep 60 >/dev/null 2>&1 & echo $!; exec '{}' {} >&2",
        drill.get_program().display(),
        words
            .collect::<Vec<_>>()
            .join(" ")
            .replace("'--'", "--stop TERM:group --stop-timeout 200ms --")
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]);
    let output = run(shell);
    assert_eq!(output.code, Some(4), "{}", output.stderr);
    assert!(output.stderr.contains("did not stop"), "{}", output.stderr);
    let sleep = Pid::from_raw(output.stdout.trim().parse().unwrap()).unwrap();
    // The signal fails if the drill has killed the process: then it has ended
    // and been reaped.
    rustix::process::kill_process(sleep, Signal::KILL).unwrap();
}
