//! A second instance takes over the port while the first drains a download. What the
//! first has to cut, clients of daily use continue at the second.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::TOO_LONG;
use crate::ascii;
use crate::path;
use crate::running::Running;

/// More than the sockets' buffers and a client with a limited rate take.
const BYTES: usize = 32 << 20;

/// A program that downloads, with its arguments in a folder of its own.
struct Downloader {
    program: &'static str,
    /// Before the URL: slowly, and without a new attempt of its own.
    begin: &'static [&'static str],
    /// Before the URL: continues what is there.
    resume: &'static [&'static str],
    /// What it prints if the server has sent a part.
    partial: &'static str,
}

const CURL: Downloader = Downloader {
    program: "curl",
    begin: &["-sS", "--limit-rate", "1M", "-O"],
    resume: &["-sS", "-w", "%{http_code}", "-C", "-", "-O"],
    partial: "206",
};

const WGET: Downloader = Downloader {
    program: "wget",
    begin: &["-q", "--tries=1", "--limit-rate=1m"],
    resume: &["-nv", "-S", "-c"],
    partial: " 206 Partial Content",
};

impl Downloader {
    fn spawn(&self, arguments: &[&str], url: &str, folder: &Path) -> std::io::Result<Child> {
        Command::new(self.program)
            .args(arguments)
            .arg(url)
            .current_dir(folder)
            .env("no_proxy", "*")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

#[test]
fn curl_continues_a_download_at_the_next_instance() {
    continues_at_the_next_instance(&CURL);
}

#[test]
fn wget_continues_a_download_at_the_next_instance() {
    continues_at_the_next_instance(&WGET);
}

#[expect(clippy::print_stderr, reason = "says that it tests nothing")]
fn continues_at_the_next_instance(downloader: &Downloader) {
    let (served, got) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = ascii(BYTES);
    fs::write(served.path().join("big.iso"), &content).unwrap();
    fs::write(served.path().join("small"), "small").unwrap();
    let first = Running::start("files", &[path(served.path())]);
    let address = first.address;
    let url = format!("http://{address}/big.iso");

    let client = match downloader.spawn(downloader.begin, &url, got.path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "not tested, because {} is not installed",
                downloader.program
            );
            return first.stop();
        }
        client => client.unwrap(),
    };
    let part = got.path().join("big.iso");
    wait_for(|| fs::metadata(&part).is_ok_and(|part| part.len() > 0));

    first.signal(Signal::TERM);
    first.wait_refusing();
    // The kernel refuses some milliseconds before the first instance frees the port.
    wait_for(|| TcpListener::bind(address).is_ok());
    let second = Running::start_at("files", &[path(served.path())], address);
    assert_eq!(second.connect().get("/small").body, "small");
    let mut first = first;
    assert!(first.runs(), "the first instance drains the download");

    // Signals within 200 ms count as one.
    thread::sleep(Duration::from_millis(300));
    first.signal(Signal::TERM);
    let (_, report) = first.end();
    assert!(report.contains("  GET /big.iso for 127.0.0.1:"), "{report}");
    assert!(report.contains(": cut after "), "{report}");
    assert!(report.contains(" of 32.0 MiB in "), "{report}");
    let cut = client.wait_with_output().unwrap();
    assert!(
        !cut.status.success(),
        "it notices that the file is not whole"
    );
    let length = fs::metadata(&part).unwrap().len();
    assert!(0 < length && length < BYTES as u64, "{length}");

    let resumed = downloader.spawn(downloader.resume, &url, got.path());
    let resumed = resumed.unwrap().wait_with_output().unwrap();
    assert!(resumed.status.success(), "{resumed:?}");
    let printed = [resumed.stdout, resumed.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(printed.contains(downloader.partial), "{printed}");
    assert!(fs::read(&part).unwrap() == content.as_bytes());
    second.stop();
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < TOO_LONG);
        thread::sleep(Duration::from_millis(5));
    }
}
