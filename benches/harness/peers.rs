//! The servers of `benches/peers`: how each is built, started and stopped.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Result;
use super::process::Process;
use super::process::Session;
use super::process::free_port;
use super::top;

/// How a server is built and started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rust,
    Go,
    Node,
    Nginx,
    /// Not a server, but an upper limit for servers.
    Limit,
    /// The program of a farewell from another commit.
    Base(&'static str),
}

/// One server of the comparison.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// All servers. The first is farewell.
pub(crate) const PEERS: [Peer; 11] = [
    Peer::new("farewell", Kind::Rust),
    Peer::new("axum", Kind::Rust),
    Peer::new("actix", Kind::Rust),
    Peer::new("hyper", Kind::Rust),
    Peer::new("may_minihttp", Kind::Rust),
    Peer::new("tiny_http", Kind::Rust),
    Peer::new("rouille", Kind::Rust),
    Peer::new("go", Kind::Go),
    Peer::new("node", Kind::Node),
    Peer::new("nginx", Kind::Nginx),
    Peer::new("limit", Kind::Limit),
];

impl Peer {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// A farewell from another commit, given by its program.
    pub(crate) fn base(program: String) -> &'static Self {
        let kind = Kind::Base(program.leak());
        Box::leak(Box::new(Self { name: "base", kind }))
    }

    pub(crate) fn is_this_commit(&self) -> bool {
        self.name == PEERS[0].name
    }

    /// Whether it is farewell, from this or another commit, and has its
    /// options.
    pub(crate) fn is_farewell(&self) -> bool {
        self.is_this_commit() || matches!(self.kind, Kind::Base(_))
    }

    /// Whether it is a server that farewell is compared with.
    pub(crate) fn competes(&self) -> bool {
        !self.is_farewell() && self.kind != Kind::Limit
    }

    /// The signal for its graceful stop.
    pub(crate) fn stop_signal(&self) -> &'static str {
        match self.kind {
            Kind::Nginx => "QUIT",
            _ => "TERM",
        }
    }

    /// The program and its arguments, without the port.
    pub(crate) fn program(&self) -> Vec<String> {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        match self.kind {
            Kind::Rust | Kind::Limit => vec![path(built(self.name))],
            Kind::Base(program) => vec![program.to_owned()],
            Kind::Go => vec![path(built("go-http"))],
            Kind::Node => vec!["node".to_owned(), path(folder().join("node/server.js"))],
            Kind::Nginx => vec![path(folder().join("nginx/run.sh"))],
        }
    }

    /// Advice if a program that it needs is not installed.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let (program, advice) = match self.kind {
            Kind::Rust | Kind::Limit | Kind::Base(_) => return None,
            Kind::Go => (
                "go",
                "`go` is not installed: apt-get install golang-go, or https://go.dev/dl",
            ),
            Kind::Node => (
                "node",
                "`node` is not installed: apt-get install nodejs, or https://nodejs.org",
            ),
            Kind::Nginx => (
                "nginx",
                "`nginx` is not installed: apt-get install nginx-light",
            ),
        };
        (!installed(program)).then_some(advice)
    }

    /// Starts the server and waits for its first response.
    ///
    /// # Errors
    ///
    /// If the server does not start, or does not answer within ten seconds.
    pub(crate) fn start<S: AsRef<str>>(
        &self,
        extra: &[S],
        session: Session,
    ) -> Result<RunningServer> {
        let port = free_port()?;
        let mut program = self.program();
        program.extend(["--port".to_owned(), port.to_string()]);
        program.extend(extra.iter().map(|word| word.as_ref().to_owned()));
        let process = Process::start(&program, session, Stdio::null(), Stdio::null())?;
        let mut running = RunningServer { process, port };
        running.wait_until_ready()?;
        running.process.check_session(session)?;
        Ok(running)
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct RunningServer {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl RunningServer {
    pub(crate) fn new(process: Process, port: u16) -> Self {
        Self { process, port }
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.process.child().try_wait()? {
                return Err(
                    format!("the server exited before its first response: {status}").into(),
                );
            }
            if self.answers() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("no response within ten seconds".into())
    }

    /// Whether the server answers a request with 200.
    pub(crate) fn answers(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            let mut start = [0; 12];
            stream.read_exact(&mut start)?;
            Ok(start == *b"HTTP/1.1 200")
        };
        ask().unwrap_or(false)
    }
}

/// Builds the programs of these servers.
///
/// # Errors
///
/// If a build fails.
pub(crate) fn build(chosen: &[&Peer]) -> Result<()> {
    let manifest = folder().join("Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--manifest-path"]);
    cargo.arg(manifest).arg("--target-dir").arg(target());
    run(&mut cargo).map_err(|error| {
        // A new dependency of farewell makes the lock file of the peers
        // outdated.
        format!("{error}\nif the lock file is outdated, run: cargo update -w --manifest-path benches/peers/Cargo.toml")
    })?;
    if chosen.iter().any(|peer| peer.kind == Kind::Go) {
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(built("go-http"));
        run(go.arg("main.go").current_dir(folder().join("go")))?;
    }
    Ok(())
}

/// The chosen servers that can run, and for each of the others why it cannot.
///
/// # Errors
///
/// If no server has one of the names.
pub(crate) fn choose(only: &[String]) -> Result<(Vec<&'static Peer>, Vec<String>)> {
    if let Some(name) = only
        .iter()
        .find(|name| PEERS.iter().all(|peer| peer.name != **name))
    {
        let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
        return Err(format!("unknown server {name}: use {}", names.join(", ")).into());
    }
    let (mut there, mut skipped) = (Vec::new(), Vec::new());
    for peer in &PEERS {
        if !only.is_empty() && only.iter().all(|name| name != peer.name) {
            continue;
        }
        match peer.missing() {
            Some(advice) => skipped.push(format!("{} is left out: {advice}", peer.name)),
            None => there.push(peer),
        }
    }
    Ok((there, skipped))
}

/// Whether a program is in one of the folders of `PATH`.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The versions of the compared crates, from the lock file of the peers.
///
/// # Errors
///
/// If the lock file cannot be read.
pub(crate) fn versions() -> Result<Vec<String>> {
    let lock = fs::read_to_string(folder().join("Cargo.lock"))?;
    let field = |line: Option<&str>, name: &str| -> Option<String> {
        let value = line?.strip_prefix(name)?.strip_prefix(" = ")?;
        Some(value.trim_matches('"').to_owned())
    };
    let compared = "axum actix-web hyper hyper-util may may_minihttp mio rouille tiny_http tokio";
    let mut versions = Vec::new();
    for package in lock.split("[[package]]\n") {
        let mut lines = package.lines();
        let (name, version) = (field(lines.next(), "name"), field(lines.next(), "version"));
        if let (Some(name), Some(version)) = (name, version)
            && compared.split(' ').any(|compared| compared == name)
        {
            versions.push(format!("{name} {version}"));
        }
    }
    Ok(versions)
}

fn run(command: &mut Command) -> Result<()> {
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("{}: {status}", command.get_program().display()).into()),
    }
}

fn folder() -> PathBuf {
    top().join("benches/peers")
}

fn target() -> PathBuf {
    folder().join("target")
}

fn built(name: &str) -> PathBuf {
    target().join("release").join(name)
}
