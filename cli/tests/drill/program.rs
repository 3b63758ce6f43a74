//! `farewell drill` as its users run it.

use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::built::built;
use crate::inherited::begin_with_default_signals;

/// What it says at its end.
pub(crate) struct Drilled {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Drilled {
    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_str(&self.stdout);
        json.unwrap_or_else(|_| panic!("{:?}, {:?}", self.stdout, self.stderr))
    }
}

/// A drill with these options, and a server behind them.
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

pub(crate) fn run(mut command: Command) -> Drilled {
    let output = command.output().unwrap();
    Drilled {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A short drill of few clients, with further options.
pub(crate) fn drill(options: &str, server: &[&str]) -> Drilled {
    run(short(options, server))
}

/// Its command.
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

/// Where the server is that fails in many ways.
pub(crate) fn faulty() -> String {
    built("faulty").into_os_string().into_string().unwrap()
}

/// A short drill of a server that has this fault.
pub(crate) fn drill_faulty(fault: &str, options: &str) -> Drilled {
    drill(options, &[&faulty(), fault, "{port}"])
}
