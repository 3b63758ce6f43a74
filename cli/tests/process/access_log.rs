//! `--access-log-file`: every request has its line, through rotations and full disks.

use std::collections::BTreeSet;
use std::fs;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;
use std::thread;

use rustix::fs::Mode;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::output::rejects;
use crate::program::Ended;
use crate::program::Program;
use crate::program::command;
use crate::program::command_of;
use crate::program::run;

/// Starts the program with this file and these further options.
fn start(file: &Path, options: &[&str]) -> Program {
    let mut all = vec!["--access-log-file", file.to_str().unwrap()];
    all.extend(options);
    Program::start(&all)
}

fn stop(program: Program) -> Ended {
    program.signal(Signal::TERM);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// The targets of the lines.
fn targets(lines: &str) -> Vec<&str> {
    let target = |line| {
        let (before, after): (&str, &str) = str::split_once(line, " HTTP/1.1\" 200 ").unwrap();
        let (host, target) = before.split_once("+0000] \"GET ").unwrap();
        assert!(host.starts_with("127.0.0.1 - - ["), "{line}");
        // The size, the seconds, and the rate.
        assert_eq!(after.split(' ').count(), 3, "{line}");
        target
    };
    lines.lines().map(target).collect()
}

#[test]
fn lines_are_appended_to_the_file_and_not_logged() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("access.log");
    for expected in [&["/a", "/b"][..], &["/a", "/b", "/a", "/b"]] {
        // The level of the log does not matter.
        let mut command = command(&["--access-log-file", file.to_str().unwrap()]);
        command.env("RUST_LOG", "error");
        let program = Program::spawn(command);
        let mut client = program.connect();
        client.get("/a");
        client.get("/b");
        drop(client);
        assert_eq!(stop(program).stderr, "");
        let lines = fs::read_to_string(&file).unwrap();
        assert_eq!(targets(&lines), expected);
    }
    let umask = rustix::process::umask(Mode::empty());
    rustix::process::umask(umask);
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640 & !umask.bits());
}

#[test]
fn a_json_line_is_an_object_that_a_parser_reads() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("access.log");
    let program = start(&file, &["--access-log-format", "json"]);
    let mut client = program.connect();
    let port = client.address().port();
    client.get("/a?b=\\\u{fc}\u{1f600}");
    client.send("nonsense\r\n\r\n");
    client.response();
    drop(client);
    stop(program);
    let lines = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["target"], "/a?b=\\\u{fc}\u{1f600}");
    assert_eq!(lines[0]["client"], "127.0.0.1");
    assert_eq!(lines[0]["port"], port);
    assert_eq!(lines[0]["outcome"], "answered");
    assert_eq!(lines[1]["status"], 400);
    assert_eq!(lines[1]["target"], Value::Null);
    assert_eq!(lines[1]["outcome"], "rejected");
}

#[test]
fn a_json_line_can_be_logged_without_a_file() {
    let program = Program::start(&["--access-log", "--access-log-format", "json"]);
    program.connect().get("/a");
    let ended = stop(program);
    let line = ended
        .stderr
        .lines()
        .find_map(|line| line.split_once("farewell::access] "));
    let line: Value = serde_json::from_str(line.unwrap().1).unwrap();
    assert_eq!(line["target"], "/a");
}

#[test]
fn no_line_is_lost_or_torn_when_the_file_is_rotated_under_load() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 400;
    const ROTATIONS: usize = 8;

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("access.log");
    let program = start(&file, &[]);
    let name = |client: usize, request: usize| format!("/{client}/{request}");
    thread::scope(|scope| {
        let address = program.address;
        let load = move |number| {
            let mut client = Client::connect(address);
            for request in 0..REQUESTS {
                assert_eq!(client.get(&name(number, request)).status, 200);
            }
        };
        for number in 0..CLIENTS {
            scope.spawn(move || load(number));
        }
        // As logrotate does it: the file gets another name, and then comes the signal.
        for rotation in 0..ROTATIONS {
            fs::rename(&file, folder.path().join(format!("access.log.{rotation}"))).unwrap();
            program.signal(Signal::HUP);
            program.wait_logged("reopened the access log");
            assert!(file.exists());
        }
    });
    let ended = stop(program);
    assert!(
        !ended.stderr.contains("dropped") && !ended.stderr.contains("lost"),
        "{}",
        ended.stderr
    );

    let files = fs::read_dir(folder.path()).unwrap();
    let texts: Vec<String> = files
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert_eq!(texts.len(), ROTATIONS + 1);
    for text in &texts {
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    }
    let text = texts.concat();
    let found = targets(&text);
    assert_eq!(found.len(), CLIENTS * REQUESTS);
    let expected: BTreeSet<String> = (0..CLIENTS)
        .flat_map(|client| (0..REQUESTS).map(move |request| name(client, request)))
        .collect();
    let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
    assert_eq!(found, expected);
}

#[test]
fn logrotate_rotates_with_the_file_of_contrib() {
    const LOGROTATE: &str = "/usr/sbin/logrotate";
    if !Path::new(LOGROTATE).exists() {
        println!("skipped: logrotate is not installed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let file = at("access.log");
    let program = start(&file, &[]);
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/logrotate/farewell");
    let mut rules = fs::read_to_string(rules).unwrap();
    let kill = format!("kill -HUP {}", program.pid().as_raw_nonzero());
    for (part, here) in [
        (
            "/var/log/farewell/access.log {",
            format!("{} {{", file.display()),
        ),
        (
            "systemctl kill --kill-whom=main --signal=HUP farewell.service",
            kill,
        ),
    ] {
        assert!(rules.contains(part));
        rules = rules.replace(part, &here);
    }
    fs::write(at("rules"), rules).unwrap();
    fs::set_permissions(at("rules"), fs::Permissions::from_mode(0o644)).unwrap();
    let lines = |name| fs::read_to_string(at(name)).unwrap();
    let mut client = program.connect();
    for path in ["/a", "/b"] {
        client.get(path);
        // logrotate leaves an empty file alone.
        while lines("access.log").is_empty() {
            thread::yield_now();
        }
        let (state, rules) = (at("state"), at("rules"));
        let arguments = [
            "--force",
            "--state",
            state.to_str().unwrap(),
            rules.to_str().unwrap(),
        ];
        let mut logrotate = command_of(LOGROTATE, &arguments);
        logrotate.env("PATH", "/usr/bin:/bin");
        let ended = run(logrotate);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
        program.wait_logged("reopened the access log");
    }
    client.get("/c");
    drop(client);
    stop(program);
    assert_eq!(targets(&lines("access.log")), ["/c"]);
    assert!(at("access.log.2.gz").exists());
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn sighup_keeps_the_open_file_if_the_path_cannot_be_opened() {
    let folder = TempDir::new().unwrap();
    let logs = folder.path().join("logs");
    let moved = folder.path().join("moved");
    fs::create_dir(&logs).unwrap();
    let program = start(&logs.join("access.log"), &[]);
    let mut client = program.connect();
    client.get("/a");
    fs::rename(&logs, &moved).unwrap();
    program.signal(Signal::HUP);
    let line = program.wait_logged("cannot reopen the access log");
    assert!(
        line.contains("the file that was open before is still used"),
        "{line}"
    );
    client.get("/b");
    drop(client);
    stop(program);
    let lines = fs::read_to_string(moved.join("access.log")).unwrap();
    assert_eq!(targets(&lines), ["/a", "/b"]);
}

#[test]
fn ctrl_c_and_sigterm_drain_and_cut_beside_sighup() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("access.log");
    for [first, second] in [[Signal::INT, Signal::TERM], [Signal::TERM, Signal::INT]] {
        let mut program = start(&file, &["--access-log-format", "json"]);
        let mut slow = program.connect();
        slow.request("/slow?delay=60s");
        program.connect().get("/");
        program.signal(first);
        program.wait_logged("draining");
        program.signal(Signal::HUP);
        program.wait_logged("reopened the access log");
        // Signals that follow the first one immediately count as the same.
        while program.runs() {
            program.signal(second);
            thread::yield_now();
        }
        let ended = program.end();
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        assert_eq!(ended.count("requests", "cut"), 1);
    }
    // The last line is that of the cut.
    let lines = fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["target"], &last["outcome"]),
        (&"/slow?delay=60s".into(), &"cut".into())
    );
    assert_eq!(lines.lines().count(), 4, "{lines}");
}

#[test]
fn sighup_reopens_the_file_also_under_nohup() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("access.log");
    let mut command = command_of("/bin/sh", &["-c", "exec nohup \"$@\"", "sh"]);
    command
        .arg(env!("CARGO_BIN_EXE_farewell"))
        .arg("--access-log-file")
        .arg(&file);
    let program = Program::spawn(command);
    fs::rename(&file, folder.path().join("old")).unwrap();
    program.signal(Signal::HUP);
    program.wait_logged("reopened the access log");
    program.connect().get("/a");
    stop(program);
    assert_eq!(targets(&fs::read_to_string(&file).unwrap()), ["/a"]);
}

#[test]
#[cfg(target_os = "linux")]
fn lines_that_a_full_disk_does_not_take_are_counted_and_hold_up_nothing() {
    let program = start(Path::new("/dev/full"), &[]);
    let mut client = program.connect();
    client.get("/a");
    program.wait_logged("cannot write the access log /dev/full: No space left on device");
    for _ in 0..9 {
        assert_eq!(client.get("/b").status, 200);
    }
    drop(client);
    let ended = stop(program);
    let about = ended
        .stderr
        .lines()
        .filter(|line| line.contains("/dev/full"));
    let about: Vec<&str> = about.collect();
    // Said once when it begins, and once with the count.
    assert_eq!(about.len(), 2, "{}", ended.stderr);
    assert!(
        about[1].contains("10 lines of the access log /dev/full lost"),
        "{about:?}"
    );
}

#[cfg(target_os = "linux")]
fn new_fifo(folder: &TempDir) -> PathBuf {
    let fifo = folder.path().join("fifo");
    let kind = rustix::fs::FileType::Fifo;
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
    fifo
}

#[test]
#[cfg(target_os = "linux")]
fn a_fifo_takes_the_lines_if_a_process_reads_it() {
    let folder = TempDir::new().unwrap();
    let fifo = new_fifo(&folder);
    let path = fifo.to_str().unwrap();
    rejects(
        &["--access-log-file", path],
        1,
        "a FIFO that no process reads",
    );
    let mut reader = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let program = start(&fifo, &[]);
    program.connect().get("/a");
    stop(program);
    let mut line = [0; 1024];
    let length = reader.read(&mut line).unwrap();
    assert_eq!(targets(str::from_utf8(&line[..length]).unwrap()), ["/a"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_blocks_holds_up_neither_requests_nor_the_stop() {
    let folder = TempDir::new().unwrap();
    let fifo = new_fifo(&folder);
    // It reads nothing, so the pipe fills up.
    let reader = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    rustix::pipe::fcntl_setpipe_size(&reader, 4096).unwrap();
    let program = start(&fifo, &[]);
    let mut client = program.connect();
    let path = format!("/{}", "x".repeat(1000));
    for _ in 0..10 {
        assert_eq!(client.get(&path).status, 200);
    }
    drop(client);
    let start = std::time::Instant::now();
    let ended = stop(program);
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
    assert!(
        ended.stderr.contains(" lines of the access log "),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_one_line() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().to_str().unwrap();
    rejects(&["--access-log-file", folder], 1, "Is a directory");
    let missing = format!("{folder}/missing/access.log");
    rejects(
        &["--access-log-file", &missing],
        1,
        "cannot open the access log",
    );
    rejects(
        &["--access-log-format", "xml"],
        2,
        "use one of common, json",
    );
}
