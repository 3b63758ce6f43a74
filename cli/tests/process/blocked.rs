//! Blocked streams: a full pipe that no process reads, and a terminal that
//! Ctrl+S has stopped. Neither a client nor a stop may wait for them.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::pty::OpenptFlags;
use rustix::termios::Action;
use rustix::termios::Winsize;
use serde_json::Value;

use crate::client::Client;
use crate::program::command;

/// Turns a hang into a failure. No test takes as long.
const TOO_LONG: Duration = Duration::from_secs(60);

/// A standard stream of the program, with both of its ends.
struct TestStream {
    reader: File,
    /// The end that the program writes to. The test's copy must be closed
    /// before the reader can reach the end.
    writer: OwnedFd,
    /// How many bytes of filler block the stream.
    filler: usize,
}

impl TestStream {
    fn pipe() -> Self {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        Self {
            reader: reader.into(),
            writer,
            filler: 0,
        }
    }

    fn full_pipe() -> Self {
        let mut pipe = Self::pipe();
        pipe.fill();
        pipe
    }

    /// Writes until the pipe is full.
    fn fill(&mut self) {
        let flags = rustix::fs::fcntl_getfl(&self.writer).unwrap();
        rustix::fs::fcntl_setfl(&self.writer, flags | OFlags::NONBLOCK).unwrap();
        for size in [4096, 1] {
            loop {
                match rustix::io::write(&self.writer, &vec![b'.'; size]) {
                    Ok(written) => self.filler += written,
                    Err(Errno::AGAIN) => break,
                    Err(error) => panic!("cannot fill the pipe: {error}"),
                }
            }
        }
        // The program's end is the same open file, and it must block.
        rustix::fs::fcntl_setfl(&self.writer, flags).unwrap();
    }

    /// A pseudoterminal. The program gets the slave.
    fn terminal(columns: u16) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&slave, size).unwrap();
        Self {
            reader: master.into(),
            writer: slave,
            filler: 0,
        }
    }

    /// Stops and continues the output of the terminal, as Ctrl+S and Ctrl+Q do.
    fn flow(&self, action: Action) {
        rustix::termios::tcflow(&self.writer, action).unwrap();
    }

    fn for_child(&self) -> Stdio {
        self.writer.try_clone().unwrap().into()
    }

    /// Reads at least one byte. Empty at the end.
    fn read(&mut self) -> String {
        let mut buffer = [0; 4096];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(count) => return String::from_utf8_lossy(&buffer[..count]).into_owned(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // No process has the terminal open any more.
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
                    return String::new();
                }
            }
        }
    }

    fn read_until(&mut self, done: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while !done(&text) {
            let more = self.read();
            assert!(!more.is_empty(), "the stream ended early: {text}");
            text += &more;
        }
        text
    }

    /// Reads the filler.
    fn read_filler(&mut self) {
        let mut filler = vec![0; self.filler];
        self.reader.read_exact(&mut filler).unwrap();
        assert!(filler.iter().all(|&byte| byte == b'.'));
    }

    /// Drops the test's copy of the writing end, so that the reader finds the
    /// end when the program closes its own.
    fn close_writer(self) -> Self {
        Self {
            writer: File::open("/dev/null").unwrap().into(),
            ..self
        }
    }

    fn read_to_end(self) -> String {
        let mut rest = self.close_writer();
        let mut text = String::new();
        loop {
            let more = rest.read();
            if more.is_empty() {
                return text;
            }
            text += &more;
        }
    }
}

/// A child process that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

/// The program, running with these streams.
struct Program {
    process: Process,
    stdout: TestStream,
    stderr: TestStream,
    address: String,
}

impl Program {
    /// Starts the program, and reads the greeting from stdout.
    fn start(mut command: Command, mut stdout: TestStream, stderr: TestStream) -> Self {
        command.args(["--listen", "127.0.0.1:0"]);
        let process = spawn(command, &stdout, &stderr);
        let greeting = stdout.read_until(|text| text.matches('\n').count() == 2);
        let (_, rest) = greeting.split_once("listening on http://").unwrap();
        Self {
            process,
            address: rest.split(' ').next().unwrap().to_owned(),
            stdout,
            stderr,
        }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.process.0), signal).unwrap();
    }

    /// Waits until the log thread is idle. It sleeps only when it has nothing
    /// to write.
    fn wait_until_log_is_idle(&self) {
        let tasks = format!("/proc/{}/task", self.process.0.id());
        let logs = |task: &std::path::PathBuf| {
            let name = std::fs::read_to_string(task.join("comm")).unwrap();
            name.trim_end() == "farewell-log"
        };
        let mut tasks = std::fs::read_dir(tasks)
            .unwrap()
            .map(|task| task.unwrap().path());
        let task = tasks.find(logs).expect("the log thread runs");
        let sleeps = || {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap();
            stat.contains("(farewell-log) S ")
        };
        // One sample may show a short wait for a lock.
        while !(0..10).all(|_| sleeps()) {
            thread::yield_now();
        }
    }

    /// Sends invalid requests, each of which logs a line.
    fn send_invalid_requests(&self) {
        let mut clients: Vec<Client> = (0..40).map(|_| self.connect()).collect();
        for client in &mut clients {
            client.send("NONSENSE\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 400);
        }
        assert_eq!(self.connect().get("/").status, 200);
    }

    /// Starts a request that stays in progress: the server waits for a body of
    /// five bytes.
    fn request_in_progress(&self, query: &str) -> Client {
        let mut slow = self.connect();
        slow.send(format!(
            "POST /echo?{query} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert!(slow.head().starts_with("http/1.1 100"));
        slow
    }

    fn end(mut self) -> (Option<i32>, TestStream, TestStream) {
        let code = wait(&mut self.process);
        (code, self.stdout, self.stderr)
    }
}

fn spawn(mut command: Command, stdout: &TestStream, stderr: &TestStream) -> Process {
    command
        .stdout(stdout.for_child())
        .stderr(stderr.for_child());
    Process(command.spawn().unwrap())
}

/// Waits for the end of the process, and returns the exit code.
fn wait(process: &mut Process) -> Option<i32> {
    let until = Instant::now() + TOO_LONG;
    loop {
        if let Some(status) = process.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < until, "the program does not end");
        thread::yield_now();
    }
}

/// The streams that are blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    Stderr,
    Stdout,
    Both,
}

/// Starts the program with blocked streams, makes it log, stops it with `stop`,
/// and expects the exit code `code`.
fn serves_and_stops(blocked: Blocked, command: Command, stop: impl Fn(&mut Program), code: i32) {
    let stderr = match blocked {
        Blocked::Stdout => TestStream::pipe(),
        _ => TestStream::full_pipe(),
    };
    let mut program = Program::start(command, TestStream::pipe(), stderr);
    if blocked != Blocked::Stderr {
        program.stdout.fill();
    }
    program.send_invalid_requests();
    stop(&mut program);
    let (ended, _stdout, _stderr) = program.end();
    assert_eq!(ended, Some(code), "{blocked:?}");
}

/// Runs it with each combination of blocked streams.
fn serves_and_stops_with_any_blocked_streams(
    options: &[&str],
    stop: impl Fn(&mut Program) + Copy + Send,
    code: i32,
) {
    thread::scope(|scope| {
        for blocked in [Blocked::Stderr, Blocked::Stdout, Blocked::Both] {
            scope.spawn(move || serves_and_stops(blocked, command(options), stop, code));
        }
    });
}

#[test]
fn sigterm_stops_with_blocked_streams() {
    serves_and_stops_with_any_blocked_streams(&[], |program| program.signal(Signal::TERM), 0);
}

#[test]
fn a_second_signal_stops_with_blocked_streams() {
    let stop = |program: &mut Program| {
        let mut slow = program.request_in_progress("slow");
        let cut = thread::spawn(move || slow.expect_end());
        // The program ignores a signal that follows the first one immediately.
        // A signal that comes after the requests were cut has its default
        // effect.
        while !cut.is_finished() {
            program.signal(Signal::TERM);
            thread::yield_now();
        }
        cut.join().unwrap();
    };
    serves_and_stops_with_any_blocked_streams(&["--drain-timeout", "1h"], stop, 130);
}

#[test]
fn a_request_stops_with_blocked_streams() {
    let stop = |program: &mut Program| {
        assert_eq!(program.connect().get("/shutdown").status, 200);
    };
    serves_and_stops_with_any_blocked_streams(&["--report", "json"], stop, 0);
}

#[test]
fn a_request_to_stop_now_stops_with_blocked_streams() {
    let stop = |program: &mut Program| {
        let mut slow = program.request_in_progress("slow");
        assert_eq!(program.connect().get("/shutdown?now").status, 200);
        slow.expect_end();
    };
    serves_and_stops_with_any_blocked_streams(&["--drain-timeout", "1h"], stop, 3);
}

#[test]
fn a_request_follows_the_stop_to_its_end_with_blocked_streams() {
    let stop = |program: &mut Program| {
        let response = program.connect().get("/shutdown?wait");
        assert_eq!(response.status, 200);
        assert!(response.body.contains("stopped in"), "{}", response.body);
    };
    serves_and_stops_with_any_blocked_streams(&[], stop, 0);
}

#[test]
fn the_deadline_stops_with_blocked_streams() {
    let stop = |program: &mut Program| {
        let mut slow = program.request_in_progress("slow");
        program.signal(Signal::TERM);
        slow.expect_end();
    };
    serves_and_stops_with_any_blocked_streams(&["--drain-timeout", "300ms"], stop, 3);
}

#[test]
fn the_most_verbose_log_does_not_block() {
    for level in ["debug", "trace"] {
        let mut command = command(&["--report", "json", "--access-log"]);
        command.env("RUST_LOG", level);
        let stop = |program: &mut Program| program.signal(Signal::TERM);
        serves_and_stops(Blocked::Both, command, stop, 0);
    }
}

#[test]
fn a_notice_counts_dropped_lines_once_the_stream_is_read() {
    const REQUESTS: u64 = 200;
    let command = command(&["--access-log"]);
    let mut program = Program::start(command, TestStream::pipe(), TestStream::full_pipe());
    let mut client = program.connect();
    // This logs 800 KB.
    let path = format!("/{}", "x".repeat(4000));
    for _ in 0..REQUESTS {
        assert_eq!(client.get(&path).status, 200);
    }
    drop(client);
    // Every line is now in the queue of stderr, or was dropped.
    program.wait_until_log_is_idle();
    program.stderr.read_filler();
    // A log line follows the notice of dropped lines.
    let mut text = program
        .stderr
        .read_until(|text| text.contains("dropped here because stderr was blocked\n"));
    // The next notice is written only when a message follows it, here the log
    // of the stop.
    program.signal(Signal::TERM);
    text += &program
        .stderr
        .read_until(|text| text.contains("draining: "));
    let (code, _, stderr) = program.end();
    text += &stderr.read_to_end();
    assert_eq!(code, Some(0));

    let logged = text.matches("farewell::access").count() as u64;
    let notices = text.lines().filter(|line| line.contains("dropped here"));
    let dropped: u64 = notices
        .map(|notice| {
            let count = notice.strip_prefix("farewell: ").unwrap();
            count.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum();
    assert!(logged > 10 && dropped > 10, "{logged}, {dropped}");
    assert_eq!(logged + dropped, REQUESTS);
    // Logging continues after the dropped lines.
    let (_, after) = text.split_once("dropped here").unwrap();
    assert!(after.contains("asked to stop by a signal"), "{after}");
}

#[test]
fn a_slow_reader_gets_the_whole_report() {
    const CUT: usize = 50;
    let options = "--report json --workers 64 --drain-timeout 300ms";
    let options: Vec<&str> = options.split(' ').collect();
    let mut command = command(&options);
    command.env("RUST_LOG", "farewell=debug");
    let mut program = Program::start(command, TestStream::pipe(), TestStream::pipe());
    program.stdout.fill();
    let path = format!("/{}?delay=60s", "x".repeat(4000));
    let mut slow: Vec<Client> = (0..CUT).map(|_| program.connect()).collect();
    for client in &mut slow {
        client.request(&path);
        // The handler has started.
        program.stderr.read_until(|text| text.contains("GET /x"));
    }
    program.signal(Signal::TERM);
    for client in &mut slow {
        client.expect_end();
    }
    // Reads slowly. In total this takes longer than the program waits for a
    // blocked stream.
    program.stdout.read_filler();
    let (mut process, stdout) = (program.process, program.stdout);
    let mut stdout = stdout.close_writer();
    let mut text = String::new();
    loop {
        let piece = stdout.read();
        if piece.is_empty() {
            break;
        }
        text += &piece;
        thread::sleep(Duration::from_millis(25));
    }
    assert_eq!(wait(&mut process), Some(3));
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let cut = report["cut"].as_array().unwrap();
    assert_eq!(cut.len(), CUT);
    assert!(text.len() > 100_000, "{}", text.len());
}

#[test]
fn a_stopped_terminal_does_not_block() {
    let terminal = TestStream::terminal(80);
    terminal.flow(Action::OOff);
    let program = Program::start(command(&[]), TestStream::pipe(), terminal);
    program.send_invalid_requests();
    let mut slow = program.request_in_progress("slow");
    program.signal(Signal::TERM);
    slow.send("hello");
    assert_eq!(slow.response().body, "hello");
    drop(slow);
    let (code, stdout, _terminal) = program.end();
    assert_eq!(code, Some(0));
    assert!(stdout.read_to_end().contains("stopped in"));
}

#[test]
fn a_terminal_that_continues_gets_the_queued_lines() {
    let terminal = TestStream::terminal(80);
    terminal.flow(Action::OOff);
    let mut command = command(&[]);
    command.env("RUST_LOG", "farewell=debug");
    let mut program = Program::start(command, TestStream::pipe(), terminal);
    program.send_invalid_requests();
    program.stderr.flow(Action::OOn);
    let mut rejected = String::new();
    while rejected.matches("rejected").count() < 40 {
        rejected += &program.stderr.read();
    }
    program.signal(Signal::TERM);
    assert_eq!(program.end().0, Some(0));
}

/// The first live line on a terminal of this width.
fn live_line(columns: u16) -> String {
    let mut program = Program::start(
        command(&[]),
        TestStream::pipe(),
        TestStream::terminal(columns),
    );
    let slow = program.request_in_progress("slow");
    program.signal(Signal::TERM);
    let shown = |text: &str| {
        let (_, line) = text.split_once("\x1b[?7l")?;
        Some(line.split_once("\x1b[?7h")?.0.to_owned())
    };
    let text = program.stderr.read_until(|text| shown(text).is_some());
    drop(slow);
    shown(&text).unwrap()
}

#[test]
fn a_live_line_fits_the_terminal() {
    let wide = live_line(100);
    assert!(wide.starts_with("draining: 1 in progress"), "{wide}");
    assert!(wide.ends_with("Ctrl+C again to stop at once"), "{wide}");
    for columns in [50, 20] {
        let narrow = live_line(columns);
        assert!(narrow.len() <= usize::from(columns), "{narrow}");
        assert!(narrow.starts_with("draining: 1 in prog"), "{narrow}");
        assert!(!narrow.contains("Ctrl+C"), "{narrow}");
    }
}

#[test]
fn a_closed_stderr_does_not_stop_the_server() {
    let TestStream { reader, writer, .. } = TestStream::pipe();
    drop(reader);
    let closed = TestStream {
        reader: File::open("/dev/null").unwrap(),
        writer,
        filler: 0,
    };
    let program = Program::start(command(&["--access-log"]), TestStream::pipe(), closed);
    program.send_invalid_requests();
    program.signal(Signal::TERM);
    let (code, stdout, _) = program.end();
    assert_eq!(code, Some(0));
    assert!(stdout.read_to_end().contains("stopped in"));
}

#[test]
fn errors_and_help_exit_with_blocked_streams() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let cases = [
        (&["--nonsense"][..], 2),
        (&["--workers", "0"], 2),
        (&["--listen", "bad"], 2),
        (&["--listen", "192.0.2.1:0"], 1),
        (&["--listen", &taken], 1),
        (&["--shutdown-token-file", "/no/such/file"], 1),
        (&["drill"], 2),
        (&["--help"], 0),
        (&["help", "drill"], 0),
        (&["--version"], 0),
    ];
    thread::scope(|scope| {
        for (options, code) in cases {
            scope.spawn(move || {
                let (stdout, stderr) = (TestStream::full_pipe(), TestStream::full_pipe());
                let mut process = spawn(command(options), &stdout, &stderr);
                assert_eq!(wait(&mut process), Some(code), "{options:?}");
            });
        }
    });
}

#[test]
fn a_wrong_log_filter_is_reported_and_does_not_block() {
    let with = |filter: &str| {
        let mut command = command(&[]);
        command.env("RUST_LOG", filter);
        command
    };
    let stop = |program: &mut Program| program.signal(Signal::TERM);
    serves_and_stops(Blocked::Stderr, with("farewell=loud"), stop, 0);

    let program = Program::start(
        with("farewell=loud"),
        TestStream::pipe(),
        TestStream::pipe(),
    );
    program.signal(Signal::TERM);
    let (_, _, stderr) = program.end();
    let stderr = stderr.read_to_end();
    assert!(stderr.contains("RUST_LOG is ignored"), "{stderr}");
    assert!(stderr.contains("asked to stop"), "{stderr}");
}
