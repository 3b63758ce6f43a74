//! SIGUSR2 restarts the program: no connection is refused, and no request is lost, whatever
//! the new process does.

use std::sync::atomic::Ordering::SeqCst;

use rustix::process::Pid;
use rustix::process::Signal;
use serde_json::Value;

use crate::client::Client;
use crate::client::get;
use crate::restarts::clients::Clients;
use crate::restarts::service::Output;
use crate::restarts::service::Place;
use crate::restarts::service::Service;

const PROGRAM: &str = env!("CARGO_BIN_EXE_farewell");

/// Answers between two events of a test under load.
const ANSWERS: u64 = 200;

fn start(options: &[&str]) -> (Place, Service) {
    let place = Place::new(PROGRAM);
    let service = Service::start(&place.path, options);
    (place, service)
}

/// Checks that each process has answered everything, and returns what stopped each.
fn triggers(output: &Output) -> Vec<String> {
    let report = |line: &String| -> Value { serde_json::from_str(line).unwrap() };
    let mut triggers = Vec::new();
    for report in output.reports.iter().map(report) {
        assert_eq!(report["requests"]["ended"]["cut"], 0, "{report}");
        assert_eq!(report["requests"]["ended"]["answered_503"], 0, "{report}");
        triggers.push(report["trigger"]["by"].as_str().unwrap().to_owned());
    }
    triggers
}

#[test]
fn restarts_under_load_refuse_and_lose_nothing() {
    let (_place, mut service) = start(&["--workers", "4"]);
    let clients = Clients::start(service.address);
    for _ in 0..3 {
        clients.wait_answered(ANSWERS);
        service.restart();
    }
    clients.wait_answered(ANSWERS);
    let attempts = clients.finish();
    assert_eq!(attempts.failed(), 0, "{attempts:?}");
    let output = service.stop();
    assert_eq!(output.code, Some(0), "{:?}", output.log);
    assert_eq!(
        triggers(&output),
        ["restart", "restart", "restart", "signal"]
    );
}

#[test]
fn a_new_program_that_does_not_get_ready_leaves_the_old_one_as_it_was() {
    let (place, mut service) = start(&["--workers", "4"]);
    let first = service.process;
    let clients = Clients::start(service.address);
    for (script, why) in [
        ("exit 7", "ended before it was ready: exit status: 7"),
        ("kill -9 $$", "ended before it was ready: signal: 9"),
        (
            "exec \"$real\" --no-such-option",
            "ended before it was ready: exit status: 2",
        ),
        (
            "exec \"$real\" --listen 127.0.0.1:0 /no/such/folder",
            "ended before it was ready",
        ),
        (
            "echo hello >&0; exec sleep 600",
            "does not take over, and is killed",
        ),
        ("exec sleep 600 </dev/null", "has closed its standard input"),
    ] {
        place.install(script);
        service.signal(Signal::USR2);
        let line = service.wait_logged("the restart has failed, and this process goes on: ");
        assert!(line.contains(why), "{script}: {line}");
        clients.wait_answered(ANSWERS / 2);
    }
    std::fs::remove_file(&place.path).unwrap();
    service.signal(Signal::USR2);
    let line = service.wait_logged("the restart has failed, and this process goes on: ");
    assert!(line.contains("cannot start "), "{line}");

    // The next one succeeds.
    place.install_the_program();
    service.restart();
    assert_ne!(service.process, first);
    clients.wait_answered(ANSWERS);
    let attempts = clients.finish();
    assert_eq!(attempts.failed(), 0, "{attempts:?}");
    assert_eq!(triggers(&service.stop()), ["restart", "signal"]);
}

#[test]
fn a_new_program_that_hangs_is_killed_after_the_timeout() {
    let (place, service) = start(&["--workers", "4", "--restart-timeout", "100ms"]);
    let clients = Clients::start(service.address);
    place.install("exec sleep 600");
    for _ in 0..2 {
        service.signal(Signal::USR2);
        let line = service.wait_logged("starts as process ");
        let (_, new) = line.rsplit_once(' ').unwrap();
        let new = new.parse().ok().and_then(Pid::from_raw).unwrap();
        let why = "was not ready within 100ms (--restart-timeout), and is killed";
        service.wait_logged(why);
        assert!(rustix::process::test_kill_process(new).is_err());
        clients.wait_answered(ANSWERS);
    }
    let attempts = clients.finish();
    assert_eq!(attempts.failed(), 0, "{attempts:?}");
    assert_eq!(triggers(&service.stop()), ["signal"]);
}

#[test]
fn a_second_request_for_a_restart_is_ignored_and_a_stop_ends_both_processes() {
    let (place, service) = start(&["--restart-timeout", "60s"]);
    place.install("exec sleep 600");
    service.signal(Signal::USR2);
    let line = service.wait_logged("starts as process ");
    let (_, new) = line.rsplit_once(' ').unwrap();
    let new = new.parse().ok().and_then(Pid::from_raw).unwrap();
    service.signal(Signal::USR2);
    service.wait_logged("SIGUSR2 is ignored: a restart is in progress");
    let mut client = Client::connect(service.address);
    assert_eq!(client.get("/").status, 200);
    drop(client);
    service.signal(Signal::TERM);
    service.wait_logged("the restart is given up, because the program stops");
    // It was waited for, so its ID is free.
    assert!(rustix::process::test_kill_process(new).is_err());
    let output = service.end();
    assert_eq!(output.code, Some(0));
    assert_eq!(triggers(&output), ["signal"]);
}

#[test]
fn a_request_in_progress_is_answered_by_the_old_process() {
    let (_place, mut service) = start(&["--lame-duck", "60s"]);
    let mut slow = Client::connect(service.address);
    slow.request("/slow?delay=500ms");
    // The connection is accepted before the next one.
    assert_eq!(Client::connect(service.address).get("/").status, 200);
    service.restart();
    assert_eq!(slow.response().status, 200);
    // The restart has no lame duck: the old process closes the connection.
    slow.expect_eof();
    drop(slow);
    let clients = Clients::start(service.address);
    clients.wait_answered(10);
    assert_eq!(clients.finish().refused.load(SeqCst), 0);
    // A stop by a signal has a lame duck, which this request ends.
    service.signal(Signal::TERM);
    service.wait_logged("asked to stop by a signal");
    let mut client = Client::connect(service.address);
    client.request("/shutdown?now");
    assert_eq!(client.response().status, 200);
    drop(client);
    assert_eq!(triggers(&service.end()), ["restart", "signal"]);
}

#[test]
fn requests_of_operators_are_for_the_new_process_while_the_old_one_drains() {
    let folder = tempfile::tempdir().unwrap();
    let admin = folder.path().join("admin.sock");
    let (_place, mut service) = start(&["--admin", &format!("unix:{}", admin.display())]);
    let mut upload = Client::connect(service.address);
    upload.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    // The connection is accepted before the next one.
    assert_eq!(Client::connect(service.address).get("/").status, 200);
    service.restart();
    // The old process would say that it stops.
    let is_ready = || {
        let mut operator = Client::try_connect_unix(&admin).unwrap();
        operator.try_send(get("/readyz")).ok()?;
        let response = operator.try_response(false).ok()?;
        Some(response.status == 200)
    };
    let mut in_a_row = 0;
    while in_a_row < 20 {
        in_a_row = if is_ready() == Some(true) {
            in_a_row + 1
        } else {
            0
        };
    }
    upload.send("67890");
    assert_eq!(upload.response().body, "1234567890");
    drop(upload);
    assert_eq!(triggers(&service.stop()), ["restart", "signal"]);
}

#[test]
fn a_unix_socket_keeps_its_file_in_a_restart() {
    use std::io::BufRead;
    use std::io::BufReader;

    let place = Place::new(PROGRAM);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farewell.sock");
    let mut command = crate::program::command_of(
        place.path.to_str().unwrap(),
        &["--listen", &format!("unix:{}", path.display())],
    );
    command.stdout(std::process::Stdio::null());
    let mut old = command.spawn().unwrap();
    let mut log = BufReader::new(old.stderr.take().unwrap()).lines();
    while !path.exists() {
        assert!(matches!(old.try_wait(), Ok(None)));
        std::thread::yield_now();
    }
    let get = || Client::try_connect_unix(&path).unwrap().get("/a").body;
    assert_eq!(get(), "Hello, you requested /a\n");
    rustix::process::kill_process(Pid::from_child(&old), Signal::USR2).unwrap();
    let line = log.find(|line| line.as_ref().unwrap().contains("has taken over"));
    let line = line.unwrap().unwrap();
    assert_eq!(old.wait().unwrap().code(), Some(0));
    assert_eq!(get(), "Hello, you requested /a\n");
    let (_, new) = line.split_once("process ").unwrap();
    let new = new.split(' ').next().unwrap().parse().ok();
    rustix::process::kill_process(new.and_then(Pid::from_raw).unwrap(), Signal::TERM).unwrap();
    assert!(log.all(|line| line.is_ok()));
    assert!(!path.exists());
}
