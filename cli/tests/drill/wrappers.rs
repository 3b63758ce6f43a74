//! A server behind a wrapper, and whether the stop reaches it.
//!
//! The signal goes to the command. If the command ends and its server does not,
//! the drill says so, and what to do; and it ends what is left.

use std::net::TcpStream;
use std::process::Command;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::errors::free_port;
use crate::program::Drilled;
use crate::program::command;
use crate::program::faulty;
use crate::program::run;

/// A drill of a shell with this script, in which `SERVER` is the faulty one, and
/// `PORT` where it is to listen. It has ended what it started.
fn drill_script(script: &str, options: &[&str]) -> Drilled {
    let port = free_port();
    let script = script
        .replace("SERVER", &format!("'{}'", faulty()))
        .replace("PORT", &port.to_string());
    let url = format!("http://127.0.0.1:{port}/");
    let mut all = vec!["--url", &url, "--json", "--rounds", "1", "--mode", "new"];
    all.extend(["--clients", "4", "--load-for", "50ms", "--patience", "5s"]);
    all.extend(options);
    let drilled = run(command(&all, &["/bin/sh", "-c", &script]));
    let connected = TcpStream::connect(("127.0.0.1", port));
    assert!(connected.is_err(), "{script} is left behind");
    drilled
}

fn assert_fails(drilled: &Drilled, says: &[&str]) {
    assert_eq!(drilled.code, Some(4), "{}", drilled.stdout);
    let json = drilled.json();
    let error = json["error"].as_str().unwrap();
    for words in says {
        assert!(error.contains(words), "{error}");
    }
    // What the drill has cut is no loss of the server's.
    assert_eq!((&json["lost"], &json["truncated"]), (&0.into(), &0.into()));
    assert_eq!(json["rounds"][0]["stopped"], false, "{json}");
}

#[test]
fn a_server_that_outlives_its_wrapper_is_told_and_ended() {
    for script in [
        "SERVER stays PORT; true",
        "SERVER stays PORT & wait",
        // It ends in good order, and its server goes on.
        "SERVER stays PORT & trap 'exit 0' TERM; wait",
        // It would start the server again.
        "while true; do SERVER stays PORT; done",
        "(SERVER stays PORT; true) & wait",
    ] {
        let drilled = drill_script(script, &[]);
        let says = [
            "new, round 1: the command ended (",
            "accepts connections",
            "`exec`",
            "--stop TERM:group",
        ];
        assert_fails(&drilled, &says);
    }
}

#[test]
fn a_server_in_a_group_of_its_own_is_told_and_ended() {
    let script = "SERVER leaves-group PORT & wait";
    let drilled = drill_script(script, &[]);
    assert_fails(&drilled, &["faulty (process ", "--stop url:/path"]);
    let drilled = drill_script(script, &["--stop", "TERM:group", "--stop-timeout", "300ms"]);
    let says = [
        "did not stop within 300ms",
        "faulty (process ",
        "has left the process group",
    ];
    assert_fails(&drilled, &says);
}

#[test]
fn a_wrapper_that_waits_for_a_server_without_telling_it_does_not_stop() {
    let script = "trap '' TERM; SERVER stays PORT; true";
    let drilled = drill_script(script, &["--stop-timeout", "300ms"]);
    assert_fails(
        &drilled,
        &["did not stop within 300ms", "`exec`", "--stop TERM:group"],
    );
}

#[test]
fn a_group_has_stopped_when_all_of_it_has() {
    for script in [
        "SERVER swallows PORT; true",
        "SERVER swallows PORT & wait",
        "(SERVER swallows PORT; true) & wait",
        // The command ends long before the stop: its group is the server.
        "SERVER swallows PORT &",
    ] {
        let drilled = drill_script(script, &["--stop", "TERM:group"]);
        let json = drilled.json();
        assert_eq!(drilled.code, Some(1), "{script}: {json}");
        assert_eq!(json["stop"], "TERM:group");
        // The shell ends at once, and the server 100 ms after the signal.
        let exit_ms = json["rounds"][0]["exit_ms"].as_f64().unwrap();
        assert!(exit_ms >= 100.0, "{script}: {json}");
    }
}

#[test]
fn a_group_with_a_server_that_does_not_stop_is_told_and_ended() {
    for script in [
        "SERVER stays PORT & wait",
        "trap : TERM; while true; do SERVER swallows PORT; done",
    ] {
        let options = ["--stop", "TERM:group", "--stop-timeout", "500ms"];
        let drilled = drill_script(script, &options);
        assert_eq!(drilled.code, Some(4), "{}", drilled.stdout);
        let error = drilled.json()["error"].to_string();
        assert!(error.contains("did not stop within 500ms"), "{error}");
    }
}

#[test]
fn a_server_that_goes_to_the_background_is_told_and_ended() {
    let drilled = drill_script("exec SERVER goes-to-background PORT", &[]);
    assert_eq!(drilled.code, Some(4), "{}", drilled.stdout);
    let error = drilled.json()["error"].to_string();
    for words in [
        "the server ended b",
        "exit code 0",
        "still runs: run the server in the foreground",
    ] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_server_that_cannot_be_drilled_is_ended() {
    for script in [
        "SERVER is-mute PORT & wait",
        "SERVER leaves-group PORT & sleep 0.1; SERVER is-mute PORT",
        "SERVER fails PORT; true",
    ] {
        let drilled = drill_script(script, &["--start-timeout", "200ms"]);
        assert!(matches!(drilled.code, Some(4)), "{}", drilled.stdout);
    }
}

#[test]
fn processes_that_were_there_before_are_let_live() {
    // A child of the shell that becomes the drill is one of the drill's, too.
    let drill = command(
        &[
            "--url",
            "http://127.0.0.1:{port}/",
            "--rounds",
            "1",
            "--mode",
            "new",
        ],
        &[&faulty(), "stays", "{port}"],
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
    let drilled = run(shell);
    assert_eq!(drilled.code, Some(4), "{}", drilled.stderr);
    assert!(
        drilled.stderr.contains("did not stop"),
        "{}",
        drilled.stderr
    );
    let sleep = Pid::from_raw(drilled.stdout.trim().parse().unwrap()).unwrap();
    // Killed by the drill it would be a zombie at most, whose parent has ended.
    rustix::process::kill_process(sleep, Signal::KILL).unwrap();
}
