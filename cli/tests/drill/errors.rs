//! A server that cannot be tested is an error, not a good result.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::program::command;
use crate::program::drill;
use crate::program::drill_faulty;
use crate::program::faulty;
use crate::program::run;

#[test]
fn a_server_that_cannot_be_tested_is_an_error() {
    for (fault, options, expected_text) in [
        ("never-listens", "--start-timeout 300ms", "does not listen"),
        (
            "never-answers",
            "--start-timeout 300ms",
            "listens, but does not answer",
        ),
        (
            "exits-early",
            "--load-for 20s",
            "ended by itself, before the stop: exit code 3",
        ),
        (
            "never-stops",
            "--stop-timeout 300ms",
            "did not stop within 300ms and was killed",
        ),
        ("unheard-of", "", "ended before it answered: exit code 101"),
    ] {
        let output = drill_faulty(fault, &format!("--json {options}"));
        assert_eq!(output.code, Some(4), "{fault}: {}", output.stderr);
        let json = output.json();
        assert_eq!(json["exit"], 4, "{json}");
        let error = json["error"].as_str().unwrap();
        assert!(error.contains(expected_text), "{json}");
        assert!(error.starts_with("new, round 1: "), "{json}");
        assert!(output.stderr.contains(expected_text), "{}", output.stderr);
        assert!(output.stderr.contains("--show-output"), "{}", output.stderr);
    }
}

#[test]
fn show_output_shows_the_output_of_the_server() {
    let output = drill_faulty("unheard-of", "--show-output");
    assert_eq!(output.code, Some(4));
    assert!(output.stderr.contains("unknown fault"), "{}", output.stderr);
    let output = drill_faulty("unheard-of", "");
    assert!(
        !output.stderr.contains("unknown fault"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_command_that_does_not_exist_is_an_error() {
    let output = drill("", &["/nowhere/to/be/found", "{port}"]);
    assert_eq!(output.code, Some(4));
    assert!(output.stderr.contains("cannot start /nowhere/to/be/found"));
}

#[test]
fn a_port_that_is_in_use_is_an_error() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", other.local_addr().unwrap());
    let output = run(command(&["--url", &url], &["true"]));
    assert_eq!(output.code, Some(4));
    assert!(
        output
            .stderr
            .contains("is in use before the server is started"),
        "{}",
        output.stderr
    );
}

/// A port that is very likely free: it is below the ephemeral ports, and no
/// other test gets it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = 10_000 + u16::try_from(std::process::id() % 90 * 100).unwrap();
    loop {
        let port = offset + NEXT.fetch_add(1, Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn interrupt(drill: &mut Command, port: u16) -> Option<i32> {
    let mut drill = drill.spawn().unwrap();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(drill.try_wait().unwrap().is_none(), "it ended");
        thread::yield_now();
    }
    rustix::process::kill_process(Pid::from_child(&drill), Signal::INT).unwrap();
    drill.wait().unwrap().code()
}

#[test]
fn an_interrupt_leaves_no_process_behind() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/");
    let faulty = faulty();
    let port_text = port.to_string();
    let script = format!("'{faulty}' never-stops {port} & wait");
    let hidden = format!("'{faulty}' leaves-group {port} & wait");
    for server in [
        // Under load, while it starts, as a grandchild, and out of reach of a
        // signal to the group.
        vec![faulty.as_str(), "never-stops", &port_text],
        vec![&faulty, "never-answers", &port_text],
        vec!["/bin/sh", "-c", &script],
        vec!["/bin/sh", "-c", &hidden],
    ] {
        let mut drill = command(&["--url", &url, "--load-for", "1m"], &server);
        assert_eq!(interrupt(&mut drill, port), Some(130), "{server:?}");
        assert!(
            TcpStream::connect(("127.0.0.1", port)).is_err(),
            "{server:?}"
        );
    }
}
