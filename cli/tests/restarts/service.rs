//! The program as a service that is restarted. Its processes share their output.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;

/// Turns a hang into a failure.
const TOO_LONG: Duration = Duration::from_secs(60);

/// A folder with the program's file, which can be replaced by another one.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    real: &'static str,
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new(real: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("farewell");
        let place = Self { folder, real, path };
        place.install_the_program();
        place
    }

    /// Puts the program there.
    pub(crate) fn install_the_program(&self) {
        let new = self.folder.path().join("new");
        std::os::unix::fs::symlink(self.real, &new).unwrap();
        fs::rename(new, &self.path).unwrap();
    }

    /// Puts a script there. In it, `$real` is the program.
    pub(crate) fn install(&self, script: &str) {
        let new = self.folder.path().join("new");
        let text = format!("#!/bin/sh\nreal='{}'\n{script}\n", self.real);
        // Written by a process of its own: if this one had the file open while it starts
        // another process, the file could not be executed at that moment.
        let write = "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"";
        let written = Command::new("/bin/sh")
            .args(["-c", write, "sh", &text])
            .arg(&new)
            .status();
        assert!(written.unwrap().success());
        fs::rename(new, &self.path).unwrap();
    }
}

/// The process that serves, and those before it.
pub(crate) struct Service {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Receiver<String>,
    /// The process that serves.
    pub(crate) process: u32,
    pub(crate) address: SocketAddr,
}

/// The output of all processes.
pub(crate) struct Output {
    /// The reports, each a line of JSON.
    pub(crate) reports: Vec<String>,
    pub(crate) log: Vec<String>,
    /// The exit code of the first process.
    pub(crate) code: Option<i32>,
}

impl Service {
    /// Starts the program on a free port.
    pub(crate) fn start(program: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(options).args(["--listen", "127.0.0.1:0"]);
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts the program with a socket that the caller holds, as systemd does.
    pub(crate) fn activate(program: &Path, listener: &TcpListener, options: &[&str]) -> Self {
        Self::spawn(activated(program, listener.try_clone().unwrap().into()).args(options))
    }

    fn spawn(command: &mut Command) -> Self {
        command
            .args(["--report", "json"])
            .env_remove("NOTIFY_SOCKET")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let from = BufReader::new(child.stderr.take().unwrap());
        let (lines, stderr) = mpsc::channel();
        // The thread ends when the last process has ended.
        thread::spawn(move || {
            for line in from.lines() {
                if lines.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut greeting = String::new();
        stdout.read_line(&mut greeting).unwrap();
        let Some((_, rest)) = greeting.split_once("http://") else {
            let log: Vec<String> = stderr.iter().collect();
            panic!("no greeting: {greeting:?}, {log:?}");
        };
        Self {
            process: child.id(),
            address: rest.split(' ').next().unwrap().parse().unwrap(),
            child,
            stdout,
            stderr,
        }
    }

    /// Signals the process that serves.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.process.try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for a line of the log with this text.
    pub(crate) fn wait_logged(&self, part: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(TOO_LONG).expect(part);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Restarts the program, and waits until the new process has taken over.
    pub(crate) fn restart(&mut self) {
        self.signal(Signal::USR2);
        let line = self.wait_logged("has taken over");
        let (_, process) = line.split_once("process ").unwrap();
        self.process = process.split(' ').next().unwrap().parse().unwrap();
    }

    /// Stops the program, and waits until every process has ended.
    pub(crate) fn stop(self) -> Output {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Waits until every process has ended.
    pub(crate) fn end(mut self) -> Output {
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let lines = stdout.lines().filter(|line| line.starts_with('{'));
        Output {
            reports: lines.map(str::to_owned).collect(),
            log: self.stderr.iter().collect(),
            code: self.child.wait().unwrap().code(),
        }
    }
}

/// A test that fails leaves no process.
impl Drop for Service {
    fn drop(&mut self) {
        if thread::panicking() {
            let id = self.process.try_into().ok().and_then(Pid::from_raw);
            let _ = id.map(|id| rustix::process::kill_process(id, Signal::KILL));
            let _ = self.child.kill();
        }
    }
}

/// The command for the program with this socket as its third descriptor, and as a
/// supervisor describes it.
pub(crate) fn activated(program: &Path, socket: OwnedFd) -> Command {
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1; LISTEN_PID=$$; \
                  export LISTEN_FDS LISTEN_PID; exec \"$@\"";
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "sh"])
        .arg(program)
        .stdin(Stdio::from(socket));
    command
}
