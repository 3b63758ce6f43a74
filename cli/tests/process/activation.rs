//! Sockets that a supervisor passes to the program, and what the program tells it.

use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::client::Client;
use crate::program::Program;
use crate::program::command;
use crate::program::command_of;
use crate::program::run;
use crate::restarts::clients::Clients;
use crate::restarts::service::Service;
use crate::restarts::service::activated;

/// Turns a hang into a failure.
const TOO_LONG: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_farewell");

/// The program with this descriptor 3, until it has ended.
fn fails_with(socket: OwnedFd, environment: &[(&str, &str)]) -> String {
    let mut command = activated(Path::new(PROGRAM), socket);
    command.env_clear().envs(environment.iter().copied());
    let ended = run(command);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_socket_that_the_supervisor_holds_is_served_and_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = Service::activate(Path::new(PROGRAM), &listener, &["--listen", "127.0.0.1:1"]);
    let address = listener.local_addr().unwrap();
    assert_eq!(service.address, address);
    let expected =
        format!("--listen 127.0.0.1:1 is ignored: listening on the inherited socket {address}");
    service.wait_logged(&expected);
    let mut client = Client::connect(address);
    assert_eq!(client.get("/").status, 200);
    drop(client);
    assert_eq!(service.stop().code, Some(0));
    // The supervisor still listens.
    let mut waiting = Client::connect(address);
    waiting.request("/b");
    let service = Service::activate(Path::new(PROGRAM), &listener, &[]);
    assert_eq!(waiting.response().status, 200);
    drop(waiting);
    assert_eq!(service.stop().code, Some(0));
}

#[test]
fn stops_and_starts_under_load_refuse_and_lose_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = ["--workers", "4"];
    let mut service = Service::activate(Path::new(PROGRAM), &listener, &options);
    let clients = Clients::start(service.address);
    for _ in 0..2 {
        clients.wait_answered(200);
        assert_eq!(service.stop().code, Some(0));
        service = Service::activate(Path::new(PROGRAM), &listener, &options);
    }
    clients.wait_answered(200);
    let attempts = clients.finish();
    assert_eq!(attempts.failed(), 0, "{attempts:?}");
    assert_eq!(service.stop().code, Some(0));
}

#[test]
fn a_restart_of_an_activated_program_leaves_the_socket_to_the_supervisor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut service = Service::activate(Path::new(PROGRAM), &listener, &[]);
    service.restart();
    assert_eq!(Client::connect(service.address).get("/").status, 200);
    assert_eq!(service.stop().code, Some(0));
    drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
}

#[test]
fn a_descriptor_that_cannot_be_used_is_one_clear_line() {
    let wrong = "is not a TCP or unix stream socket that listens: ";
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(fails_with(udp.into(), &[]).contains(wrong));
    let file = std::fs::File::open("/dev/null").unwrap();
    let line = fails_with(file.into(), &[("LISTEN_FDNAMES", "admin")]);
    assert!(
        line.starts_with("farewell: LISTEN_FDS: descriptor 3 ('admin') "),
        "{line}"
    );
    assert!(line.contains(wrong), "{line}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(fails_with(client.into(), &[]).contains(wrong));
    let (one, _other) = UnixDatagram::pair().unwrap();
    assert!(fails_with(one.into(), &[]).contains(wrong));
}

#[test]
fn a_wrong_description_of_the_sockets_does_not_end_in_a_panic() {
    for wrong in ["", "x", "-1", "17", "99999999999999999999"] {
        // `$$` is the process that `env` becomes.
        let script = "LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"";
        let mut command = command_of("/bin/sh", &["-c", script, "sh", PROGRAM]);
        command.env("LISTEN_FDS", wrong);
        let ended = run(command);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let text = "farewell: LISTEN_FDS is not a number from 0 to 16\n";
        assert_eq!(ended.stderr, text, "{wrong}");
    }
    for process in ["1", ""] {
        let mut command = command(&[]);
        command.env("LISTEN_FDS", "1").env("LISTEN_PID", process);
        let program = Program::spawn(command);
        program.wait_logged("the sockets of LISTEN_FDS are ignored: ");
        program.signal(Signal::TERM);
        assert_eq!(program.end().code, Some(0));
    }
}

/// A supervisor that reads its notifications.
struct Notified {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Notified {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(TOO_LONG)).unwrap();
        Self { socket, folder }
    }

    fn path(&self) -> String {
        let path = self.folder.path().join("notify");
        path.to_str().unwrap().to_owned()
    }

    /// The next message with this line, and what came before.
    fn wait(&self, line: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < TOO_LONG, "no {line}: {lines:?}");
            let length = self.socket.recv(&mut buffer).expect(line);
            let text = str::from_utf8(&buffer[..length]).unwrap();
            lines.extend(text.lines().map(str::to_owned));
            if lines.iter().any(|found| found.starts_with(line)) {
                return lines;
            }
        }
    }
}

#[test]
fn the_supervisor_is_told_that_the_program_is_ready_what_it_does_and_that_it_stops() {
    let notified = Notified::new();
    let mut command = command(&["--lame-duck", "60s"]);
    command
        .env("NOTIFY_SOCKET", notified.path())
        .env("WATCHDOG_USEC", "200000");
    let program = Program::spawn(command);
    let lines = notified.wait("READY=1");
    let status = "STATUS=running: 0 in progress, 0 idle, 0 lingering".to_owned();
    assert!(lines.contains(&status), "{lines:?}");
    let client = program.connect();
    notified.wait("STATUS=running: 0 in progress, 1 idle, 0 lingering");
    // Last, because one message may have both lines.
    notified.wait("WATCHDOG=1");
    drop(client);
    program.signal(Signal::TERM);
    let lines = notified.wait("STOPPING=1");
    let extension = |line: &String| {
        line.strip_prefix("EXTEND_TIMEOUT_USEC=")?
            .parse::<u64>()
            .ok()
    };
    let extension = lines.iter().find_map(extension).unwrap();
    // The bound of a stop: beyond that, the supervisor does not wait.
    assert!(
        (60_000_000..100_000_000).contains(&extension),
        "{extension}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("STATUS=lame duck: ")),
        "{lines:?}"
    );
    let mut operator = program.connect();
    operator.send("GET /shutdown?now HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(operator.response().status, 200);
    drop(operator);
    notified.wait("STATUS=stopped");
}

#[test]
fn in_a_restart_the_supervisor_is_told_the_new_process_before_that_is_ready() {
    let notified = Notified::new();
    let mut command = command(&[]);
    command.env("NOTIFY_SOCKET", notified.path());
    let program = Program::spawn(command);
    notified.wait("READY=1");
    program.signal(Signal::USR2);
    let line = program.wait_logged("starts as process ");
    let (_, new) = line.rsplit_once(' ').unwrap();
    let lines = notified.wait("READY=1");
    let place = |line: &str| lines.iter().position(|found| found == line);
    assert!(place(&format!("MAINPID={new}")).unwrap() < place("READY=1").unwrap());
    assert!(!lines.contains(&"STOPPING=1".to_owned()), "{lines:?}");
    let new = new.parse().ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(new.unwrap(), Signal::TERM).unwrap();
    notified.wait("STOPPING=1");
    program.end();
}

#[test]
fn a_supervisor_that_does_not_read_or_is_gone_holds_up_nothing() {
    let notified = Notified::new();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", notified.path()).is_ok() {}
    for path in [
        notified.path(),
        "/no/such/socket".into(),
        "@none".into(),
        "bad".into(),
    ] {
        let mut command = command(&[]);
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000");
        let program = Program::spawn(command);
        assert_eq!(program.connect().get("/").status, 200);
        program.signal(Signal::TERM);
        assert_eq!(program.end().code, Some(0), "{path}");
    }
}

#[test]
fn handlers_that_hang_do_not_silence_the_watchdog() {
    let notified = Notified::new();
    let mut command = command(&["--workers", "1"]);
    command
        .env("NOTIFY_SOCKET", notified.path())
        .env("WATCHDOG_USEC", "100000")
        .env("RUST_LOG", "farewell=debug");
    let program = Program::spawn(command);
    let mut hanging = program.connect();
    hanging.request("/?delay=60s");
    program.wait_logged("GET /");
    let mut waiting = program.connect();
    waiting.request("/");
    notified.wait("STATUS=running: 2 in progress, 0 idle");
    for _ in 0..4 {
        let lines = notified.wait("WATCHDOG=1");
        assert!(!lines.is_empty());
    }
}

#[test]
fn systemd_socket_activate_starts_the_program_at_the_first_connection() {
    if Command::new("systemd-socket-activate")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: systemd-socket-activate is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farewell.sock");
    let mut child = Command::new("systemd-socket-activate")
        .args(["--fdname=main", "--listen", path.to_str().unwrap(), PROGRAM])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = loop {
        match Client::try_connect_unix(&path) {
            Ok(client) => break client,
            Err(_) => std::thread::yield_now(),
        }
    };
    let response = client.get("/a");
    assert_eq!(response.body, "Hello, you requested /a\n");
    drop(client);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // The file is that of the supervisor.
    assert!(path.exists());
}

#[test]
fn an_inherited_unix_socket_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farewell.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = activated(Path::new(PROGRAM), listener.into());
    let mut child = command
        .env("LISTEN_FDNAMES", "farewell.socket")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut client = Client::try_connect_unix(&path).unwrap();
    assert_eq!(client.get("/a").body, "Hello, you requested /a\n");
    drop(client);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(path.exists());
}
