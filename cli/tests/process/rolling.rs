//! A rolling restart behind HAProxy and nginx, by the script that operators use. This is a
//! short form of it: quick checks, and few restarts.

use std::process::Command;
use std::process::Output;

use crate::inherited::begin_with_default_signals;

/// What the script exits with where the proxy is not installed.
const SKIPPED: i32 = 77;

/// Restarts so many of three instances behind this proxy. Returns `None` where a program
/// is missing.
fn restart(count: usize, proxy: &str, edits: &[&str], options: &[&str]) -> Option<Output> {
    begin_with_default_signals();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/rolling/rolling.py");
    let mut command = Command::new("python3");
    command.args(["-B", script, "--proxy", proxy]);
    command.args(["--requests=100", "--every=0", "--clients=8"]);
    command.arg(format!("--restarts={count}"));
    command.args(["--post=/echo", "--echo"]);
    for edit in edits {
        command.args(["--edit", edit]);
    }
    let output = command
        .args(["--", env!("CARGO_BIN_EXE_farewell")])
        .args(["--listen=127.0.0.1:{port}", "--no-shutdown-route"])
        .args(options)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: python3 is not installed");
        return None;
    };
    if output.status.code() == Some(SKIPPED) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(output)
}

fn assert_no_request_failed(output: &Output) {
    assert!(output.status.success(), "{output:#?}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains(" | 1 | 0 | 0 | – | "), "{table}");
}

/// HAProxy's checks, so often that a short lame duck is long enough for them.
const OFTEN: &str = "inter 1s fastinter 250ms downinter 500ms=>inter 50ms";

#[test]
fn behind_haproxy_a_restart_with_a_lame_duck_fails_no_request() {
    let options = ["--lame-duck=700ms", "--last-call=100ms"];
    // Without retries each request that meets a stopped instance fails.
    let edits = [OFTEN, "retries 3=>retries 0"];
    if let Some(output) = restart(1, "haproxy", &edits, &options) {
        assert_no_request_failed(&output);
    }
}

#[test]
fn behind_haproxy_a_restart_without_lame_duck_and_retries_fails_requests() {
    let edits = ["retries 3=>retries 0"];
    if let Some(output) = restart(3, "haproxy", &edits, &["--last-call=300ms"]) {
        assert_eq!(output.status.code(), Some(1), "{output:#?}");
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(table.contains(" × status 503"), "{table}");
    }
}

#[test]
fn behind_nginx_a_restart_with_a_longer_last_call_fails_no_request() {
    let edits = [
        "keepalive_timeout 1s=>keepalive_timeout 100ms",
        "max_fails=1 fail_timeout=1s=>max_fails=0",
    ];
    if let Some(output) = restart(1, "nginx", &edits, &["--last-call=1s"]) {
        assert_no_request_failed(&output);
    }
}
