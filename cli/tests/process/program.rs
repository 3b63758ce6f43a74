//! The program as a child process.

use std::cell::RefCell;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::Receiver;
use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

use crate::client::Client;
use crate::inherited::begin_with_default_signals;

/// Turns a hang into a failure. No test takes as long.
const TOO_LONG: Duration = Duration::from_secs(60);

/// The program, listening on a free port.
pub(crate) struct Program {
    child: Child,
    /// `None` once it is closed.
    stdout: Option<BufReader<ChildStdout>>,
    /// Lines of stderr. The channel is closed when the program ends.
    stderr: Receiver<String>,
    logged: RefCell<String>,
    pub(crate) address: SocketAddr,
    /// The first two lines of stdout.
    pub(crate) greeting: String,
}

/// How the program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::spawn(command(options))
    }

    /// Starts the program with a log in which
    /// [`wait_logged`](Self::wait_logged) finds each request when its handler
    /// starts.
    pub(crate) fn start_logging(options: &[&str]) -> Self {
        let mut command = command(options);
        command.env("RUST_LOG", "farewell=debug");
        Self::spawn(command)
    }

    /// Starts a prepared command on a free port, with a report in JSON.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--report", "json"]);
        Self::spawn_as_is(command)
    }

    pub(crate) fn spawn_as_is(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, stderr) = crossbeam_channel::unbounded();
        let from = BufReader::new(child.stderr.take().unwrap());
        // The thread ends when the child closes its stderr.
        std::thread::spawn(move || {
            for line in from.lines() {
                if lines.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut greeting = String::new();
        stdout.read_line(&mut greeting).unwrap();
        stdout.read_line(&mut greeting).unwrap();
        let Some((_, rest)) = greeting.split_once("listening on http://") else {
            panic!(
                "no greeting: {greeting:?}; stderr: {:?}",
                stderr.iter().collect::<Vec<_>>()
            );
        };
        let address = rest.split(' ').next().unwrap().parse().unwrap();
        Self {
            child,
            stdout: Some(stdout),
            stderr,
            logged: RefCell::default(),
            address,
            greeting,
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for a log line that contains `part`, and returns the line.
    pub(crate) fn wait_logged(&self, part: &str) -> String {
        loop {
            let line = self
                .stderr
                .recv_timeout(TOO_LONG)
                .expect("a line of the log");
            *self.logged.borrow_mut() += &(line.clone() + "\n");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits on this connection until `/readyz` reports that the program is
    /// stopping.
    pub(crate) fn wait_stopping(&self, client: &mut Client) {
        loop {
            let response = client.get("/readyz");
            // The stop may begin between the handler and the head of its
            // response.
            if response.status != 200 || response.closes() {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Closes the pipe that the program's stdout goes to.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Waits for the end of the program.
    pub(crate) fn end(mut self) -> Ended {
        let mut stdout = String::new();
        if let Some(mut rest) = self.stdout.take() {
            rest.read_to_string(&mut stdout).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        let mut stderr = self.logged.take();
        for line in &self.stderr {
            stderr += &(line + "\n");
        }
        Ended {
            code,
            stdout,
            stderr,
        }
    }

    /// Waits for the end of the program. Returns also the time since `start`.
    pub(crate) fn end_since(self, start: Instant) -> (Ended, Duration) {
        let ended = self.end();
        (ended, start.elapsed())
    }
}

impl Drop for Program {
    /// If the test has failed, stops the program and prints its output.
    /// Otherwise kills it.
    fn drop(&mut self) {
        if !self.runs() {
            return;
        }
        if !std::thread::panicking() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            return;
        }
        while self.runs() {
            self.signal(Signal::TERM);
            std::thread::yield_now();
        }
        let mut stdout = String::new();
        if let Some(mut rest) = self.stdout.take() {
            rest.read_to_string(&mut stdout).unwrap();
        }
        let stderr: Vec<String> = self.stderr.iter().collect();
        println!("{}{}\n{stdout}", self.logged.borrow(), stderr.join("\n"));
    }
}

impl Ended {
    /// The report, which is the last line of stdout.
    pub(crate) fn report(&self) -> Value {
        let line = self.stdout.lines().last().expect("a report");
        serde_json::from_str(line).unwrap()
    }

    /// A count in the report.
    pub(crate) fn count(&self, of: &str, outcome: &str) -> u64 {
        self.report()[of]["ended"][outcome].as_u64().unwrap()
    }

    /// Asserts that every connection and request has exactly one outcome.
    pub(crate) fn assert_balanced(&self) {
        let report = self.report();
        let sum = |value: &Value| -> u64 {
            value
                .as_object()
                .unwrap()
                .values()
                .map(|n| n.as_u64().unwrap())
                .sum()
        };
        let (connections, requests) = (&report["connections"], &report["requests"]);
        assert_eq!(
            connections["accepted"],
            sum(&connections["ended"]),
            "{report}"
        );
        assert_eq!(requests["begun"], sum(&requests["ended"]), "{report}");
    }
}

/// The command for the program with these options and an empty environment.
pub(crate) fn command(options: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_farewell"), options)
}

/// The command for any program with an empty environment.
pub(crate) fn command_of(program: &str, arguments: &[&str]) -> Command {
    begin_with_default_signals();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
