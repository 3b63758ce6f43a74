//! An example as a child process.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::built::built;
use crate::client::Client;
use crate::inherited::begin_with_default_signals;

/// What examples that read `TOKEN` get.
pub(crate) const TOKEN: &str = "open-sesame";

/// An example, listening on a free port.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Starts an example with these arguments, and the address behind them.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_at(name, arguments, (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// As [`start`](Self::start), at this address.
    pub(crate) fn start_at(name: &str, arguments: &[&str], address: SocketAddr) -> Self {
        let mut child = command(name, arguments)
            .arg(address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{name} says {line:?}"));
        Self {
            child,
            stdout,
            address: address.parse().unwrap(),
        }
    }

    /// Runs an example that ends by itself, to its exit code.
    pub(crate) fn run(name: &str, arguments: &[&str]) -> Option<i32> {
        let output = command(name, arguments).output().unwrap();
        output.status.code()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits for its end: the signal that ended it.
    pub(crate) fn end_signal(mut self) -> Option<i32> {
        self.child.wait().unwrap().signal()
    }

    /// Waits until the kernel refuses new connections.
    pub(crate) fn wait_refusing(&self) {
        while Client::try_connect(self.address).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Waits for its end: the exit code, and what it has printed since it
    /// listens.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        (self.child.wait().unwrap().code(), stdout)
    }

    /// Stops it as its user would, which ends well.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.end().0, Some(0));
    }
}

impl Drop for Running {
    /// A test that failed leaves no process behind.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn command(name: &str, arguments: &[&str]) -> Command {
    begin_with_default_signals();
    let mut command = Command::new(built(name));
    command.args(arguments).stdin(Stdio::null());
    command.env_clear().env("TOKEN", TOKEN);
    command
}
