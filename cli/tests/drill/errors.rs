//! A server that cannot be drilled is an error, never a perfect score.

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
fn what_cannot_be_drilled_is_told() {
    for (fault, options, says) in [
        ("is-absent", "--start-timeout 300ms", "does not listen"),
        (
            "is-mute",
            "--start-timeout 300ms",
            "listens, but does not answer",
        ),
        (
            "dies",
            "--load-for 20s",
            "ended by itself, before the stop: exit code 3",
        ),
        (
            "stays",
            "--stop-timeout 300ms",
            "did not stop within 300ms and was killed",
        ),
        ("unheard-of", "", "ended before it answered: exit code 101"),
    ] {
        let drilled = drill_faulty(fault, &format!("--json {options}"));
        assert_eq!(drilled.code, Some(4), "{fault}: {}", drilled.stderr);
        let json = drilled.json();
        assert_eq!(json["exit"], 4, "{json}");
        let error = json["error"].as_str().unwrap();
        assert!(error.contains(says), "{json}");
        assert!(error.starts_with("new, round 1: "), "{json}");
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
fn a_server_that_was_there_before_is_not_drilled() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", other.local_addr().unwrap());
    let drilled = run(command(&["--url", &url], &["true"]));
    assert_eq!(drilled.code, Some(4));
    assert!(
        drilled
            .stderr
            .contains("is in use before the server is started"),
        "{}",
        drilled.stderr
    );
}

/// The number is not free for sure, but nothing else asks for it: it lies below
/// those that systems give out, and no other test gets it.
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
    let script = format!("'{faulty}' stays {port} & wait");
    let hidden = format!("'{faulty}' leaves-group {port} & wait");
    for server in [
        // While it is loaded, while it starts, as a child's child, and where no
        // signal to the group reaches it.
        vec![faulty.as_str(), "stays", &port_text],
        vec![&faulty, "is-mute", &port_text],
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
