//! How many instructions a worker takes for a request, counted by callgrind.
//!
//! What the kernel does is not in it. Two runs of the program that differ in
//! nothing but the number of requests are compared, so what is done once is not
//! in it either, and of the threads only the worker that serves them counts:
//! the others look around at times that depend on the clock.

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

/// What a request took when this was written: a plain GET with three fields, on
/// a connection that is kept.
const BOUND: u64 = 8_350;

/// Compilers differ a little.
const SLACK_PERCENT: u64 = 5;

const FEW: u64 = 1_000;
const MANY: u64 = 3_000;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    User-Agent: callgrind\r\n\
    Accept: */*\r\n\
    \r\n";

const ANSWER_ENDS: &[u8] = b"Hello, you requested /\n";

/// Counts, and compares with the bound.
pub(crate) fn check() -> ExitCode {
    let found = Command::new("valgrind").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        say("skipped: the instructions of a request are counted by valgrind, which is not here");
        say("install it, for example by: apt-get install valgrind");
        return ExitCode::SUCCESS;
    }
    let most = BOUND + BOUND * SLACK_PERCENT / 100;
    match a_request_takes() {
        Ok(instructions) => {
            say(&format!(
                "{instructions} instructions a request; the bound is {BOUND} and {SLACK_PERCENT} %, {most}"
            ));
            match instructions <= most {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(stderr(), "instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn a_request_takes() -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let few = serving(FEW, folder.path(), "few")?;
    let many = serving(MANY, folder.path(), "many")?;
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

/// The instructions of the worker that serves so many requests.
fn serving(requests: u64, folder: &Path, name: &str) -> Result<u64, Box<dyn Error>> {
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
    let output = program.0.stdout.take().ok_or("no output to read")?;
    let mut output = BufReader::new(output);
    let mut greeting = String::new();
    output.read_line(&mut greeting)?;
    let address = greeting
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://"))
        .ok_or_else(|| format!("no address in {greeting:?}"))?;
    request(address, requests)?;
    rustix::process::kill_process(Pid::from_child(&program.0), Signal::TERM)?;
    // To its end, so that nothing it prints is in its way.
    std::io::copy(&mut output, &mut std::io::sink())?;
    program.0.wait()?;
    most_of_a_thread(folder, name)
}

fn request(address: &str, requests: u64) -> Result<(), Box<dyn Error>> {
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let mut piece = [0; 4096];
    for _ in 0..requests {
        client.write_all(REQUEST)?;
        let mut answer = Vec::new();
        while !answer.ends_with(ANSWER_ENDS) {
            match client.read(&mut piece)? {
                0 => return Err("the connection ended in the middle of an answer".into()),
                count => answer.extend_from_slice(&piece[..count]),
            }
        }
    }
    Ok(())
}

/// Callgrind writes a file for each thread; the one that does the work is the
/// one with most instructions.
fn most_of_a_thread(folder: &Path, name: &str) -> Result<u64, Box<dyn Error>> {
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
        0 => Err("callgrind has counted nothing".into()),
        most => Ok(most),
    }
}

/// Killed if it is still there when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, as a rule; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn say(text: &str) {
    // Nobody is left to tell if stdout is closed.
    let _ = writeln!(stdout(), "{text}");
}
