//! How many instructions a worker executes for a request, counted by callgrind.
//!
//! The kernel's instructions are not included. The count is the difference of
//! two runs with different numbers of requests, so that work that is done once
//! is not included either. Only the worker that serves the requests counts: the
//! instructions of other threads depend on the clock.

use std::error::Error;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::io::stderr;
use std::io::stdout;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;

/// The count when this was written, for a GET with three fields on a keep-alive
/// connection.
const BOUND: u64 = 8_100;

/// Allowance for differences between compilers.
const SLACK_PERCENT: u64 = 5;

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    User-Agent: callgrind\r\n\
    Accept: */*\r\n\
    \r\n";

const RESPONSE_END: &[u8] = b"Hello, you requested /\n";

/// Counts the instructions and compares them with the bound.
pub(crate) fn check() -> ExitCode {
    let found = Command::new("valgrind").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        print_line("skipped: valgrind, which counts the instructions, is not installed");
        print_line("to install it: apt-get install valgrind");
        return ExitCode::SUCCESS;
    }
    let most = BOUND + BOUND * SLACK_PERCENT / 100;
    match instructions_per_request() {
        Ok(instructions) => {
            print_line(&format!(
                "{instructions} instructions a request; at most {most} are allowed ({BOUND} + {SLACK_PERCENT} %)"
            ));
            match instructions <= most {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            // If stderr is closed, there is no other place for the message.
            let _ = writeln!(stderr(), "instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn instructions_per_request() -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let few = instructions_of_worker(FEW, folder.path(), "few")?;
    let many = instructions_of_worker(MANY, folder.path(), "many")?;
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// The instructions of the worker that serves this many requests.
fn instructions_of_worker(requests: u64, folder: &Path, name: &str) -> Result<u64, Box<dyn Error>> {
    let counts = folder.join(name);
    let mut program = Running(
        Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(env!("CARGO_BIN_EXE_farewell"))
            .args(["--listen", "127.0.0.1:0", "--workers", "1"])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let output = program.0.stdout.take().ok_or("the program has no stdout")?;
    let mut output = BufReader::new(output);
    let mut greeting = String::new();
    output.read_line(&mut greeting)?;
    let address = greeting
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://"))
        .ok_or_else(|| format!("no address in {greeting:?}"))?;
    send_requests(address, requests)?;
    rustix::process::kill_process(Pid::from_child(&program.0), Signal::TERM)?;
    // Reads stdout to its end, so that the program's output does not block it.
    std::io::copy(&mut output, &mut std::io::sink())?;
    program.0.wait()?;
    largest_count(folder, name)
}

fn send_requests(address: &str, requests: u64) -> Result<(), Box<dyn Error>> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let mut piece = [0; 4096];
    for _ in 0..requests {
        client.write_all(REQUEST)?;
        let mut response = Vec::new();
        while !response.ends_with(RESPONSE_END) {
            match client.read(&mut piece)? {
                0 => return Err("the connection ended in the middle of an response".into()),
                count => response.extend_from_slice(&piece[..count]),
            }
        }
    }
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

/// Dropping it kills the process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn print_line(text: &str) {
    // If stdout is closed, there is no other place for the message.
    let _ = writeln!(stdout(), "{text}");
}
