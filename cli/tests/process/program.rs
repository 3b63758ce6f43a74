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

/// No test waits for this; it turns a hang into a failure.
const TOO_LONG: Duration = Duration::from_secs(60);

/// The program, listening on a free port.
pub(crate) struct Program {
    child: Child,
    /// Until it is closed.
    stdout: Option<BufReader<ChildStdout>>,
    /// Its lines, as they come; closed at its end.
    stderr: Receiver<String>,
    logged: RefCell<String>,
    pub(crate) address: SocketAddr,
    /// The two lines that it greets with.
    pub(crate) greeting: String,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::spawn(command(options))
    }

    /// Likewise, with a log in which [`wait_logged`](Self::wait_logged) finds
    /// each request when its handler starts.
    pub(crate) fn start_logging(options: &[&str]) -> Self {
        let mut command = command(options);
        command.env("RUST_LOG", "farewell=debug");
        Self::spawn(command)
    }

    /// Starts a prepared command, whose report is to be JSON.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--report", "json"]);
        Self::spawn_as_is(command)
    }

    pub(crate) fn spawn_as_is(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, stderr) = crossbeam_channel::unbounded();
        let from = BufReader::new(child.stderr.take().unwrap());
        // Ends with the child's stderr.
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

    /// Waits for a line of its log that contains this, and returns it.
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

    /// Waits until `/readyz` says that it is stopping, on this connection.
    pub(crate) fn wait_stopping(&self, client: &mut Client) {
        loop {
            let response = client.get("/readyz");
            // The stop may come between the handler and its answer's head.
            if response.status != 200 || response.closes() {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Nobody reads what it prints any more.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Waits for its end.
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

    /// Waits for its end, for so long at most from `start`, and says how long
    /// it took.
    pub(crate) fn end_since(self, start: Instant) -> (Ended, Duration) {
        let ended = self.end();
        (ended, start.elapsed())
    }
}

impl Drop for Program {
    /// A test that failed leaves no process behind, and says what its program
    /// had to say.
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
    /// The report: the last line of stdout.
    pub(crate) fn report(&self) -> Value {
        let line = self.stdout.lines().last().expect("a report");
        serde_json::from_str(line).unwrap()
    }

    /// A count of the report.
    pub(crate) fn count(&self, of: &str, outcome: &str) -> u64 {
        self.report()[of]["ended"][outcome].as_u64().unwrap()
    }

    /// The accounting balances.
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

/// The program with these options, and an environment that sets none.
pub(crate) fn command(options: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_farewell"), options)
}

/// Another program, likewise.
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

/// Runs the program to its end, which comes at once.
pub(crate) fn run(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
