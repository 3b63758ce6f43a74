//! Signals to a process with several servers. A signal reaches all servers of the
//! process, so this is one test, in a process of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use farewell::Abort;
use farewell::Config;
use farewell::Phase;
use farewell::Request;
use farewell::Server;
use farewell::Spawned;
use farewell::Trigger;
use rustix::process::Signal;

#[path = "support/inherited.rs"]
#[allow(dead_code, reason = "the tests of the program use the rest")]
mod inherited;

fn server() -> Server {
    let mut config = Config::default();
    config.drain_timeout = Duration::from_secs(3600);
    Server::bind("127.0.0.1:0", config).unwrap()
}

fn signal(signal: Signal) {
    rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
}

fn hello(server: Server) -> Spawned {
    server.spawn(|_: Request| "hello\n").unwrap()
}

#[test]
fn signals_stop_every_server_that_asks_for_it() {
    inherited::begin_with_default_signals();

    // The first signal drains the servers that asked for it. The other server goes on.
    let [first, second, other] = [server(), server(), server()];
    let of_first = first.stop_on_signals().unwrap();
    let again = first.stop_on_signals().unwrap();
    let of_second = second.stop_on_signals().unwrap();
    assert!(!of_first.seen() && !of_second.seen());
    let [first, second, other] = [first, second, other].map(hello);
    signal(Signal::TERM);
    for server in [first, second] {
        let report = server.join().unwrap();
        assert_eq!(report.trigger, Trigger::Signal);
        assert_eq!(report.abort, None);
    }
    assert!(of_first.seen() && again.seen() && of_second.seen());
    assert_eq!(other.shutdown_handle().phase(), Phase::Running);

    // For a later server, the next signal is the first one, and the one after that cuts.
    let third = server();
    let of_third = third.stop_on_signals().unwrap();
    let (say, started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let third = third
        .spawn(move |_: Request| {
            say.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            "hello\n"
        })
        .unwrap();
    let mut client = TcpStream::connect(third.local_addr()).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    started.recv().unwrap();
    let stop = third.shutdown_handle();
    signal(Signal::HUP);
    stop.wait_for(Phase::Draining);
    assert!(of_third.seen());
    // Signals that follow within a short time count as the same signal.
    while stop.phase() < Phase::Aborting {
        signal(Signal::INT);
        std::thread::yield_now();
    }
    drop(release);
    let report = third.join().unwrap();
    assert_eq!(report.trigger, Trigger::Signal);
    assert_eq!(report.abort, Some(Abort::Requested(Trigger::Signal)));

    // After a signal before `spawn`, the server stops as soon as it runs.
    let fourth = server();
    let of_fourth = fourth.stop_on_signals().unwrap();
    signal(Signal::INT);
    while !of_fourth.seen() {
        std::thread::yield_now();
    }
    let report = hello(fourth).join().unwrap();
    assert_eq!(report.trigger, Trigger::Signal);

    // A server that asks for two of the signals goes on when the third one stops others.
    let [fifth, sixth] = [server(), server()];
    let of_fifth = fifth.stop_on_interrupt_and_terminate().unwrap();
    fifth.stop_on_signals().unwrap();
    sixth.stop_on_signals().unwrap();
    let [fifth, sixth] = [fifth, sixth].map(hello);
    signal(Signal::HUP);
    assert_eq!(sixth.join().unwrap().trigger, Trigger::Signal);
    assert!(!of_fifth.seen());
    assert_eq!(fifth.shutdown_handle().phase(), Phase::Running);
    signal(Signal::TERM);
    assert_eq!(fifth.join().unwrap().trigger, Trigger::Signal);

    // The server that did not ask for signals still runs.
    let mut client = BufReader::new(TcpStream::connect(other.local_addr()).unwrap());
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client.get_mut().write_all(request).unwrap();
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    drop(client);
    let stop = other.shutdown_handle();
    stop.shutdown();
    assert_eq!(other.join().unwrap().trigger, Trigger::Call);
}
