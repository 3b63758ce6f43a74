//! Signals that were ignored when the drill started.

use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::errors::free_port;
use crate::inherited::begin_with_default_signals;

#[test]
fn a_signal_that_the_drill_ignores_still_stops_the_server() {
    begin_with_default_signals();
    for (name, signal) in [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("TERM", Signal::TERM),
    ] {
        let port = free_port();
        let farewell = env!("CARGO_BIN_EXE_farewell");
        let script = format!(
            "trap '' {name}; exec '{farewell}' drill --url http://127.0.0.1:{port}/ --rounds 1 \
             --clients 4 --mode new --stop {name} -- '{farewell}' --listen 127.0.0.1:{port}"
        );
        let mut drill = Command::new("/bin/sh")
            .args(["-c", &script])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(drill.try_wait().unwrap().is_none(), "it ended");
            thread::yield_now();
        }
        // This signal must come before the one that the drill sends. The server
        // does not ignore that one.
        rustix::process::kill_process(Pid::from_child(&drill), signal).unwrap();
        let output = drill.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {stdout}");
    }
}
