//! `farewell drill` as its users run it.

use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::built::built;
use crate::inherited::begin_with_default_signals;

/// The command of a server that loses nothing: `farewell` itself.
///
/// While other tests load the machine, a client may not be able to send within the
/// default last call. A longer one costs nothing, because every client sends soon.
pub(crate) const SERVER: [&str; 5] = [
    env!("CARGO_BIN_EXE_farewell"),
    "--listen",
    "127.0.0.1:{port}",
    "--last-call",
    "8s",
];

/// The output and the exit code of a drill.
pub(crate) struct DrillOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl DrillOutput {
    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_str(&self.stdout);
        json.unwrap_or_else(|_| panic!("{:?}, {:?}", self.stdout, self.stderr))
    }
}

/// The command for a drill with these options and this server command.
pub(crate) fn command(options: &[&str], server: &[&str]) -> Command {
    begin_with_default_signals();
    let mut command = Command::new(env!("CARGO_BIN_EXE_farewell"));
    command
        .arg("drill")
        .args(options)
        .arg("--")
        .args(server)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(mut command: Command) -> DrillOutput {
    let output = command.output().unwrap();
    DrillOutput {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a short drill with few clients and these options.
pub(crate) fn drill(options: &str, server: &[&str]) -> DrillOutput {
    run(short(options, server))
}

/// The command for a short drill.
pub(crate) fn short(options: &str, server: &[&str]) -> Command {
    let mut all = vec!["--url", "http://127.0.0.1:{port}/"];
    all.extend(options.split_whitespace());
    for (option, value) in [
        ("--rounds", "1"),
        ("--clients", "16"),
        ("--load-for", "100ms"),
    ] {
        if !all.contains(&option) {
            all.extend([option, value]);
        }
    }
    command(&all, server)
}

/// The path of the faulty server.
pub(crate) fn faulty() -> String {
    built("faulty").into_os_string().into_string().unwrap()
}

/// Runs a short drill of the faulty server with this fault.
pub(crate) fn drill_faulty(fault: &str, options: &str) -> DrillOutput {
    drill(options, &[&faulty(), fault, "{port}"])
}
