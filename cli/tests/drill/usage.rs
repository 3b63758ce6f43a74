//! Options of the drill.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::command;
use crate::program::drill;
use crate::program::drill_faulty;
use crate::program::faulty;
use crate::program::run;
use crate::program::short;

#[test]
fn wrong_usage_is_one_line() {
    for (options, expected_text) in [
        (
            vec!["--url", "https://localhost/"],
            "https is not supported: the drill speaks plain http",
        ),
        (vec!["--url", "http://192.0.2.1/"], "--allow-remote"),
        (
            vec!["--url", "http://localhost/", "--stop", "KILL"],
            "TERM, INT, QUIT or HUP, with or without :group, or url:/path",
        ),
        (
            vec!["--url", "http://localhost/", "--mode", "x"],
            "keep-alive",
        ),
        (
            vec!["--url", "http://localhost/", "--svg", "/nowhere/x.svg"],
            "cannot write /nowhere/x.svg",
        ),
        (
            vec!["--url", "http://localhost/", "--clients", "0"],
            "--clients",
        ),
        (
            vec![],
            "farewell drill: missing --url <URL> (see farewell drill --help)",
        ),
        (
            vec!["--url", "http://localhost/", "--rounds", "-1"],
            "--rounds is '-1': it must not be negative",
        ),
        (
            vec!["--url", "http://localhost/", "--rounds", "0"],
            "--rounds is '0': it must be from 1 to 10000",
        ),
    ] {
        let output = run(command(&options, &["true"]));
        assert_eq!(output.code, Some(2), "{options:?}");
        assert!(output.stderr.contains(expected_text), "{}", output.stderr);
        assert!(
            output.stderr.starts_with("farewell drill: "),
            "{}",
            output.stderr
        );
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert_eq!(output.stdout, "");
    }
    let output = run(command(
        &["--url", "http://localhost:1/"],
        &["true", "{port}"],
    ));
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("{port}"), "{}", output.stderr);
}

#[test]
fn the_port_is_in_the_environment() {
    let script = format!("exec '{}' exits-at-once $PORT", faulty());
    let output = drill("--json --mode new", &["/bin/sh", "-c", &script]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
}

#[test]
fn variables_of_the_server_do_not_affect_the_drill() {
    let mut command = short("--json --mode new", &[&faulty(), "exits-at-once", "{port}"]);
    command.env("FAREWELL_WORKERS", "2");
    assert_eq!(run(command).code, Some(1));
}

#[test]
fn the_modes_alternate() {
    let output = drill_faulty("exits-at-once", "--json --rounds 2 --mode new,post,new");
    let json = output.json();
    let rounds = json["rounds"].as_array().unwrap();
    let turns: Vec<(&str, u64)> = rounds
        .iter()
        .map(|round| {
            (
                round["mode"].as_str().unwrap(),
                round["round"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(turns, [("new", 1), ("post", 1), ("new", 2), ("post", 2)]);
    assert_eq!(json["seed"], 1);
    assert_eq!(json["clients"], 16);
    assert_eq!(json["stop"], "TERM");
    assert_eq!(json["error"], Value::Null);
}

#[test]
fn a_chart_is_drawn() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("chart.svg");
    let options = format!("--mode new,keep-alive --svg {}", file.display());
    let output = drill_faulty("closes-unanswered", &options);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let svg = fs::read_to_string(file).unwrap();
    for text in [
        "<svg",
        "faulty closes-unanswered {port}",
        "16 clients, stopped by TERM: 2 stops in all",
        "answered",
        "refused",
        "lost or truncated",
        "milliseconds from the stop",
        "</svg>",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    // Each panel shows the same loss as the table.
    let row = output.stdout.lines();
    let row = row.filter_map(|line| line.strip_prefix("lost per stop"));
    let lost: Vec<&str> = row.flat_map(str::split_whitespace).collect();
    for (mode, lost) in ["new", "keep-alive"].into_iter().zip(lost) {
        let title = format!("{mode}: {lost} lost per stop");
        assert!(svg.contains(&title), "{title}");
    }
}

#[test]
fn a_chart_shows_the_error_that_ended_the_drill() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("chart.svg");
    for (fault, options, titles) in [
        (
            "never-stops",
            "--stop-timeout 300ms",
            vec![
                "new, round 1: the server did not stop within 300ms",
                "1 of 1 did not stop",
            ],
        ),
        (
            "never-listens",
            "--start-timeout 100ms",
            vec!["new, round 1: the server does not listen", "0 stops in all"],
        ),
    ] {
        let options = format!("--mode new {options} --svg {}", file.display());
        let output = drill_faulty(fault, &options);
        assert_eq!(output.code, Some(4), "{}", output.stderr);
        let svg = fs::read_to_string(&file).unwrap();
        for title in titles {
            assert!(svg.contains(title), "{title}");
        }
    }
}

#[test]
fn the_help_explains_classes_and_exit_codes() {
    let help = run({
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_farewell"));
        command.args(["drill", "--help"]);
        command
    });
    assert_eq!(help.code, Some(0));
    for word in [
        "unprocessed",
        "truncated",
        "Exit codes:\n  0 ",
        "Usage: farewell drill ",
        "TERM:group",
        "--expect",
        "{port}",
        "slow-reader",
    ] {
        assert!(help.stdout.contains(word), "{word}");
    }
}
