//! The program as containers run it: as process 1 of a PID namespace, behind a proxy that
//! learns of the stop late, and in a network that ends with the process.
//!
//! Namespaces need root, or a system that lets each user create them. Elsewhere their tests
//! are skipped, and say so.

use std::fs;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::program::Program;
use crate::program::command;
use crate::program::command_of;
use crate::program::run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_farewell");

/// Starts a server in a network of its own.
const OWN_NETWORK: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../benches/operating/own_network.sh"
);

/// The words that run a command in new namespaces. `None` if the system does not let us
/// create them.
fn in_namespaces(kinds: &[&'static str]) -> Option<Vec<&'static str>> {
    let as_root = vec!["unshare"];
    let as_user = vec!["unshare", "--user", "--map-root-user"];
    let found = [as_root, as_user].into_iter().find_map(|mut words| {
        words.extend(kinds);
        words.push("--");
        let mut attempt = Command::new(words[0]);
        attempt.args(&words[1..]).arg("true");
        let status = attempt.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success()).then_some(words)
    });
    if found.is_none() {
        eprintln!("skipped: unshare cannot create namespaces ({kinds:?})");
    }
    found
}

/// The program as process 1, started by a shell script in which `"$@"` is the program and
/// its options.
struct Container {
    program: Program,
    /// Process 1, as this namespace numbers it.
    pid: Pid,
}

impl Container {
    /// `None` if the system does not let us create the namespace.
    fn start(script: &str) -> Option<Self> {
        let kinds = ["--pid", "--fork", "--mount-proc", "--kill-child"];
        let mut words = in_namespaces(&kinds)?;
        words.extend(["/bin/sh", "-c", script, "sh", PROGRAM]);
        let mut command = command_of(words[0], &words[1..]);
        command.env("RUST_LOG", "farewell=debug");
        let program = Program::spawn(command);
        let [pid] = children(program.pid())[..] else {
            panic!("unshare has one child");
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = status.lines().find(|line| line.starts_with("NSpid:"));
        assert!(number.unwrap().ends_with("\t1"), "{status}");
        Some(Self { program, pid })
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid, signal).unwrap();
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(file).unwrap();
    let pid = |word: &str| word.parse().ok().and_then(Pid::from_raw).unwrap();
    children.split_whitespace().map(pid).collect()
}

/// The letter that `ps` shows for a process.
fn state(pid: Pid) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn as_process_1_a_signal_drains() {
    for signal in [Signal::TERM, Signal::INT] {
        let Some(container) = Container::start("exec \"$@\"") else {
            return;
        };
        let mut slow = container.program.connect();
        slow.request("/slow?delay=200ms");
        container.program.wait_logged("GET /slow");
        container.signal(signal);
        assert_eq!(slow.response().status, 200, "{signal:?}");
        drop(slow);
        let ended = container.program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(ended.report()["trigger"]["by"], "signal");
        ended.assert_balanced();
    }
}

#[test]
fn as_process_1_a_second_signal_cuts() {
    let Some(mut container) = Container::start("exec \"$@\"") else {
        return;
    };
    let mut slow = container.program.connect();
    slow.request("/slow?delay=60s");
    container.program.wait_logged("GET /slow");
    // The program ignores signals that follow the first one immediately, and process 1
    // has no default effect of a signal, so signals after the abort do nothing.
    while container.program.runs() {
        if !children(container.program.pid()).is_empty() {
            let _ = rustix::process::kill_process(container.pid, Signal::TERM);
        }
        thread::yield_now();
    }
    let ended = container.program.end();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    slow.expect_end();
}

#[test]
fn as_process_1_orphans_do_no_harm() {
    // Each subshell ends at once, and leaves its `sleep` to process 1.
    let script = "(sleep 600 <&- >&- 2>&- &); (sleep 600 <&- >&- 2>&- &); exec \"$@\"";
    let Some(container) = Container::start(script) else {
        return;
    };
    let orphans = children(container.pid);
    assert_eq!(orphans.len(), 2);
    // One ends, and no process waits for it. The other runs until the end.
    rustix::process::kill_process(orphans[0], Signal::KILL).unwrap();
    while state(orphans[0]) != "Z" {
        thread::yield_now();
    }
    assert_eq!(container.program.connect().get("/").status, 200);
    container.signal(Signal::TERM);
    let ended = container.program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.assert_balanced();
}

#[test]
fn during_a_lame_duck_new_connections_are_served_as_before() {
    const LAME_DUCK: &str = "1s";
    /// After this time the proxy knows that the program stops.
    const LEARNS_AFTER: Duration = Duration::from_millis(600);

    let program = Program::start(&["--lame-duck", LAME_DUCK]);
    let address = program.address;
    let stopped = Instant::now();
    program.signal(Signal::TERM);
    let clients: Vec<_> = (0..4)
        .map(|number| {
            thread::spawn(move || {
                let mut answered = 0;
                while stopped.elapsed() < LEARNS_AFTER {
                    let mut client = Client::connect(address);
                    let response = client.get(&format!("/{number}"));
                    assert_eq!(response.status, 200);
                    assert!(!response.closes(), "it serves as before");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let answered: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    let mut proxy = program.connect();
    assert_eq!(proxy.get("/readyz").status, 503);
    drop(proxy);
    let ended = program.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.count("requests", "answered"), answered + 1);
    ended.assert_balanced();
}

/// The number of seconds of an argument such as `--lame-duck=10s`, or of a setting of the
/// manifest.
fn seconds(manifest: &str, setting: &str) -> u64 {
    let (_, rest) = manifest.split_once(setting).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn the_manifest_has_valid_options_and_a_grace_period_that_is_long_enough() {
    let manifest = include_str!("../../../contrib/kubernetes/deployment.yaml");
    let options: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- --"))
        .collect();
    assert!(options.len() > 3, "{options:?}");
    let options: Vec<String> = options.iter().map(|option| format!("--{option}")).collect();
    let mut words: Vec<&str> = options.iter().map(String::as_str).collect();
    words.push("--check");
    let checked = run(command(&words));
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);

    let config = farewell::Config::default();
    let stop = seconds(manifest, "--lame-duck=")
        + seconds(manifest, "--drain-timeout=")
        + 2 * config.linger.as_secs();
    let grace = seconds(manifest, "terminationGracePeriodSeconds: ");
    assert!(grace >= stop + 2, "{grace} s for a stop of {stop} s");
}

#[test]
fn responses_arrive_whole_though_the_network_ends_with_the_process() {
    let Some(mut words) = in_namespaces(&["--net"]) else {
        return;
    };
    let has_tools = Command::new("ip").arg("-V").stdout(Stdio::null()).status();
    if has_tools.is_err() {
        eprintln!("skipped: ip is not installed");
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), vec![b'x'; 100_000]).unwrap();
    let folder = folder.path().to_str().unwrap();
    let drill = "drill --json --allow-remote --url http://10.99.0.2:8080/file --rounds 1 \
        --mode new,slow-reader --clients 16 --load-for 100ms --patience 3s --";
    let server = "--listen 10.99.0.2:8080";
    words.extend([OWN_NETWORK, PROGRAM]);
    words.extend(drill.split_whitespace());
    words.extend([OWN_NETWORK, PROGRAM, folder]);
    words.extend(server.split_whitespace());
    let mut command = command_of(words[0], &words[1..]);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let ended = run(command);
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    // A client that begins to connect just before the network ends gets no answer at all, not
    // even the refusal. The drill counts it as lost. It was promised nothing.
    let examples = result["examples"].as_array().unwrap();
    let never_connected = examples
        .iter()
        .filter(|example| example.to_string().contains("no connection within"));
    let never_connected = never_connected.count() as u64;
    for mode in ["new", "slow-reader"] {
        let totals = &result["totals"][mode];
        let lost = totals["lost"].as_u64().unwrap();
        assert!(
            mode == "new" && lost == never_connected || lost == 0,
            "{result}"
        );
        assert_eq!(totals["truncated"], 0, "{result}");
        assert_eq!(totals["exit_codes"]["0"], 1, "{totals}");
        assert!(totals["answered_after"].as_u64() > Some(0), "{totals}");
    }
}
