//! Counts how many instructions a worker executes for a request, with callgrind:
//!
//! ```text
//! cargo run --release --manifest-path benches/instructions/Cargo.toml
//! ```
//!
//! Unlike a duration, the count does not depend on noise. The kernel's instructions are
//! not included. The count is the difference of two runs with different numbers of
//! requests, so that work that is done once is not included either. Only the worker that
//! serves the requests counts: the instructions of other threads depend on the clock.
//!
//! It fails if a request takes more instructions than [`BOUND`] and the allowance. Without
//! valgrind it says so, and passes.

mod server;

use std::env;
use std::error::Error;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

/// The count when this was written, for a GET with three fields on a keep-alive
/// connection.
const BOUND: u64 = 8_025;

/// Allowance for differences between compilers.
const SLACK_PERCENT: u64 = 5;

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    User-Agent: callgrind\r\n\
    Accept: */*\r\n\
    \r\n";

fn main() -> ExitCode {
    let done = match env::args().nth(1).as_deref() {
        None => check(),
        Some(server::ARGUMENT) => server::serve().map(|()| ExitCode::SUCCESS),
        Some(other) => Err(format!("unknown argument '{other}': there is none to give").into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("instructions: {error}");
        ExitCode::FAILURE
    })
}

/// Counts the instructions and compares them with the bound.
fn check() -> Result<ExitCode, Box<dyn Error>> {
    let found = Command::new("valgrind").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        println!("skipped: valgrind, which counts the instructions, is not installed");
        println!("to install it: apt-get install valgrind");
        return Ok(ExitCode::SUCCESS);
    }
    let most = BOUND + BOUND * SLACK_PERCENT / 100;
    let instructions = instructions_per_request()?;
    println!(
        "{instructions} instructions a request; at most {most} are allowed ({BOUND} + {SLACK_PERCENT} %)"
    );
    Ok(match instructions <= most {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn instructions_per_request() -> Result<u64, Box<dyn Error>> {
    let folder = Folder::new()?;
    let few = instructions_of_worker(FEW, &folder.0, "few")?;
    let many = instructions_of_worker(MANY, &folder.0, "many")?;
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// The instructions of the worker that serves this many requests.
fn instructions_of_worker(requests: u64, folder: &Path, name: &str) -> Result<u64, Box<dyn Error>> {
    let counts = folder.join(name);
    let mut server = Running(
        Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(env::current_exe()?)
            .arg(server::ARGUMENT)
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let output = server.0.stdout.take().ok_or("the server has no stdout")?;
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address)?;
    send_requests(address.trim_end(), requests)?;
    server.0.wait()?;
    largest_count(folder, name)
}

/// Sends the requests on one connection, and then one that stops the server.
fn send_requests(address: &str, requests: u64) -> Result<(), Box<dyn Error>> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let mut piece = [0; 4096];
    for _ in 0..requests {
        client.write_all(REQUEST)?;
        let mut response = Vec::new();
        while !response.ends_with(server::RESPONSE_END) {
            match client.read(&mut piece)? {
                0 => return Err("the connection ended in the middle of a response".into()),
                count => response.extend_from_slice(&piece[..count]),
            }
        }
    }
    client.write_all(b"GET /stop HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    client.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Callgrind writes a file for each thread. The worker has the most
/// instructions.
fn largest_count(folder: &Path, name: &str) -> Result<u64, Box<dyn Error>> {
    let mut most = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(name) {
            continue;
        }
        let counts = fs::read_to_string(entry.path())?;
        let totals = counts.lines().filter_map(|line| {
            let total = line
                .strip_prefix("totals: ")
                .or(line.strip_prefix("summary: "))?;
            total.trim().parse::<u64>().ok()
        });
        most = most.max(totals.max().unwrap_or(0));
    }
    match most {
        0 => Err("callgrind has written no counts".into()),
        most => Ok(most),
    }
}

/// A folder for the counts. Its drop removes it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Box<dyn Error>> {
        let name = format!("farewell-instructions-{}", process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Its drop kills the process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
