//! A server that cannot be drilled is an error, never a perfect score.

use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::program::command;
use crate::program::drill;
use crate::program::drill_faulty;
use crate::program::faulty;
use crate::program::run;

#[test]
fn what_cannot_be_drilled_is_told() {
    for (fault, options, says) in [
        ("is-absent", "--start-timeout 300ms", "does not listen"),
        (
            "is-mute",
            "--start-timeout 300ms",
            "listens, but answers nobody",
        ),
        (
            "dies",
            "--load-for 20s",
            "ended by itself, before the stop: exit code 3",
        ),
        (
            "stays",
            "--stop-timeout 300ms",
            "did not stop in 300ms, and was killed",
        ),
        ("unheard-of", "", "ended before it answered: exit code 101"),
    ] {
        let drilled = drill_faulty(fault, &format!("--json {options}"));
        assert_eq!(drilled.code, Some(4), "{fault}: {}", drilled.stderr);
        let json = drilled.json();
        assert_eq!(json["exit"], 4, "{json}");
        assert!(json["error"].as_str().unwrap().contains(says), "{json}");
        assert!(drilled.stderr.contains(says), "{}", drilled.stderr);
        assert!(
            drilled.stderr.contains("--show-output"),
            "{}",
            drilled.stderr
        );
    }
}

#[test]
fn the_server_is_heard_on_demand() {
    let drilled = drill_faulty("unheard-of", "--show-output");
    assert_eq!(drilled.code, Some(4));
    assert!(
        drilled.stderr.contains("no such fault"),
        "{}",
        drilled.stderr
    );
    let drilled = drill_faulty("unheard-of", "");
    assert!(
        !drilled.stderr.contains("no such fault"),
        "{}",
        drilled.stderr
    );
}

#[test]
fn a_command_that_is_none_is_told() {
    let drilled = drill("", &["/nowhere/to/be/found", "{port}"]);
    assert_eq!(drilled.code, Some(4));
    assert!(drilled.stderr.contains("cannot start /nowhere/to/be/found"));
}

#[test]
fn somebody_elses_server_is_not_drilled() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", other.local_addr().unwrap());
    let drilled = run(command(&["--url", &url], &["true"]));
    assert_eq!(drilled.code, Some(4));
    assert!(
        drilled.stderr.contains("somebody listens"),
        "{}",
        drilled.stderr
    );
}

/// The number is not free for sure, but nobody else asks for it either: it lies
/// below those that systems give out.
pub(crate) fn free_port() -> u16 {
    let offset = u16::try_from(std::process::id() % 1000).unwrap();
    (10_000 + offset..20_000)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .unwrap()
}

/// A process that is killed need not be gone at once, if it is a child's child.
fn wait_until_gone(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        thread::yield_now();
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
    let script = format!("'{faulty}' stays {port} & wait");
    for server in [
        // While it is loaded, while it starts, and as a child's child.
        vec![faulty.as_str(), "stays", &port_text],
        vec![&faulty, "is-mute", &port_text],
        vec!["/bin/sh", "-c", &script],
    ] {
        let mut drill = command(&["--url", &url, "--load-for", "1m"], &server);
        assert_eq!(interrupt(&mut drill, port), Some(130), "{server:?}");
        wait_until_gone(port);
    }
}

#[test]
fn what_the_server_leaves_behind_is_ended() {
    let port = free_port() + 1000;
    let url = format!("http://127.0.0.1:{port}/");
    // The shell ends at the stop, and its child stays.
    let script = format!("'{}' stays {port} & trap 'exit 0' TERM; wait", faulty());
    let options = [
        "--url",
        &url,
        "--rounds",
        "1",
        "--mode",
        "new",
        "--clients",
        "2",
    ];
    let mut options = options.to_vec();
    options.extend(["--load-for", "50ms", "--patience", "500ms"]);
    let drilled = run(command(&options, &["/bin/sh", "-c", &script]));
    assert_eq!(drilled.code, Some(0), "{}", drilled.stderr);
    wait_until_gone(port);
}
