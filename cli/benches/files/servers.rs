//! The file servers: where they are found, and how they are started.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::harness::Result;
use crate::harness::options::BenchOptions;
use crate::harness::peers::RunningServer;
use crate::harness::process::Process;
use crate::harness::process::Session;
use crate::harness::process::free_port;
use crate::harness::top;
use crate::served::Served;

/// Each server, and each load generator, has a session of its own.
pub(crate) const SESSION: Session = Session::Own;

const ALL: [Server; 4] = [
    Server::Farewell,
    Server::Nginx,
    Server::Sws,
    Server::Miniserve,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Farewell,
    Nginx,
    Sws,
    Miniserve,
}

/// A server, and its program.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) server: Server,
    program: PathBuf,
}

/// The chosen servers, and for each that is not installed how to install it.
///
/// # Errors
///
/// If no server has a name that was chosen.
pub(crate) fn find(options: &BenchOptions) -> Result<(Vec<Found>, Vec<String>)> {
    let names = ALL.map(Server::name);
    if let Some(name) = options.only.iter().find(|name| !names.contains(&&***name)) {
        return Err(format!("unknown server {name}: use {}", names.join(", ")).into());
    }
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for server in ALL {
        if !BenchOptions::chosen(&options.only, server.name()) {
            continue;
        }
        match server.program(options.peers.as_deref()) {
            Some(program) => found.push(Found { server, program }),
            None => left_out.push(format!(
                "{} is left out: it is not installed: {}",
                server.name(),
                server.installation()
            )),
        }
    }
    Ok((found, left_out))
}

impl Server {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Farewell => "farewell",
            Self::Nginx => "nginx",
            Self::Sws => "static-web-server",
            Self::Miniserve => "miniserve",
        }
    }

    fn installation(self) -> &'static str {
        match self {
            Self::Farewell => "cargo builds it",
            Self::Nginx => "apt-get install nginx-light",
            Self::Sws => "cargo install --root FOLDER --locked static-web-server",
            Self::Miniserve => "cargo install --root FOLDER --locked miniserve",
        }
    }

    fn program(self, folder: Option<&Path>) -> Option<PathBuf> {
        if self == Self::Farewell {
            return Some(env!("CARGO_BIN_EXE_farewell").into());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = folder.map(Path::to_owned).into_iter();
        let mut programs = folders
            .chain(std::env::split_paths(&path))
            .map(|folder| folder.join(self.name()));
        programs.find(|program| program.is_file())
    }
}

impl Found {
    /// Its name and version.
    pub(crate) fn version(&self) -> String {
        let option = match self.server {
            Server::Nginx => "-v",
            _ => "--version",
        };
        let output = Command::new(&self.program).arg(option).output();
        // nginx prints it on stderr.
        let text = output.map(|output| [output.stdout, output.stderr].concat());
        let text = text.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = text.trim().lines().next().unwrap_or_default().trim();
        let line = line.trim_start_matches("nginx version: ");
        match line.starts_with(self.server.name()) {
            true => line.to_owned(),
            false => format!("{} {line}", self.server.name()),
        }
    }

    /// Starts the server, with its defaults as far as they do not keep it from serving
    /// and listing the folder, and waits for its first response.
    ///
    /// # Errors
    ///
    /// If the server does not start, or does not answer within ten seconds.
    pub(crate) fn start(&self, served: &Served) -> Result<RunningServer> {
        let port = free_port()?.to_string();
        let folder = served.path().to_string_lossy().into_owned();
        let address = format!("127.0.0.1:{port}");
        let arguments = match self.server {
            Server::Farewell => vec![folder, "--listen".to_owned(), address],
            Server::Nginx => nginx_arguments(&port, &folder)?,
            Server::Sws => {
                let words = ["--host", "127.0.0.1", "--port", &port, "--root", &folder];
                let mut words = words.map(str::to_owned).to_vec();
                words.push("--directory-listing=true".to_owned());
                words
            }
            Server::Miniserve => {
                let words = ["--interfaces", "127.0.0.1", "--port", &port, &folder];
                words.map(str::to_owned).to_vec()
            }
        };
        let mut program = vec![self.program.to_string_lossy().into_owned()];
        program.extend(arguments);
        let process = Process::start(&program, SESSION, Stdio::null(), Stdio::null())?;
        let mut running = RunningServer::new(process, port.parse()?);
        let ready = running.wait_until_ready();
        ready.map_err(|error| format!("{}: {error}", self.server.name()))?;
        running.process.check_session(SESSION)?;
        Ok(running)
    }
}

/// Writes the configuration of nginx. Its files are in `benches/peers/target`.
fn nginx_arguments(port: &str, served: &str) -> Result<Vec<String>> {
    let peers = top().join("benches/peers");
    let folder = peers.join("target/nginx").join(port);
    fs::create_dir_all(&folder)?;
    let template = fs::read_to_string(peers.join("nginx/files.conf.template"))?;
    let user = |option| -> Result<String> {
        let output = Command::new("id").arg(option).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let text = template
        .replace("@PORT@", port)
        .replace("@FOLDER@", &folder.to_string_lossy())
        .replace("@USER@", &format!("{} {}", user("-un")?, user("-gn")?))
        .replace("@SERVED@", served);
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    Ok(vec![
        "-c".to_owned(),
        file.to_string_lossy().into_owned(),
        "-e".to_owned(),
        folder.join("error.log").to_string_lossy().into_owned(),
        "-g".to_owned(),
        "daemon off;".to_owned(),
    ])
}
