//! A client that follows the shutdown gets its progress until the end.

use farewell::Body;
use farewell::Counts;
use farewell::Progress;
use farewell::Request;
use farewell::Server;

use crate::support::Client;
use crate::support::Gate;
use crate::support::TestServer;
use crate::support::config;

fn line(progress: &Progress) -> String {
    match progress {
        Progress::Counts(Counts {
            in_progress,
            followers,
            ..
        }) => {
            format!("{} in progress\n", in_progress - followers)
        }
        Progress::Finished(report) => format!("end: {}\n", report.requests),
        _ => unreachable!("there are two kinds of progress"),
    }
}

/// The last chunk of a body, read to its end.
fn last_chunk(client: &mut Client) -> Vec<u8> {
    let mut last = Vec::new();
    loop {
        let chunk = client.chunk().unwrap();
        if chunk.is_empty() {
            return last;
        }
        last = chunk;
    }
}

fn server(gate: &std::sync::Arc<Gate>, config: farewell::Config) -> TestServer {
    let gate = std::sync::Arc::clone(gate);
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let stop = server.shutdown_handle();
    TestServer::spawn(server, move |request: Request| match request.uri().path() {
        "/wait" => {
            stop.shutdown();
            stop.follow(line)
        }
        path => {
            gate.pass(path);
            Body::from("done")
        }
    })
}

#[test]
fn all_other_requests_end_before_the_last_line() {
    let (gate, bar) = Gate::new();
    let server = server(&gate, config());
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    let mut followers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for follower in &mut followers {
        follower.request("/wait");
        let head = follower.head();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
        // The number depends on the moment: a follower's own request is counted until
        // the server knows that it follows.
        assert!(follower.chunk().unwrap().ends_with(b" in progress\n"));
    }
    drop(bar);
    assert_eq!(slow.response().body, "done");
    drop(slow);
    for follower in &mut followers {
        assert_eq!(last_chunk(follower), b"end: 1 answered\n");
        follower.expect_eof();
    }
    drop(followers);
    let report = server.join();
    assert_eq!(report.requests.to_string(), "4 answered");
    assert!(report.all_answered());
}

#[test]
fn a_follower_gets_the_end_although_other_requests_are_cut() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 2;
    config.drain_timeout = std::time::Duration::from_millis(200);
    let server = server(&gate, config);
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    let mut follower = server.connect();
    follower.request("/wait");
    let response = follower.response();
    assert!(response.body.ends_with("end: 1 cut\n"), "{response:?}");
    drop(follower);
    assert_eq!(server.join().requests.to_string(), "1 answered, 1 cut");
    drop(bar);
}

#[test]
fn http_1_0_follows_until_the_connection_closes() {
    let (gate, _bar) = Gate::new();
    let server = server(&gate, config());
    let mut follower = server.connect();
    follower.send("GET /wait HTTP/1.0\r\n\r\n");
    let response = follower.response();
    assert!(!response.head.contains("chunked"));
    assert!(response.body.ends_with("end: none\n"), "{response:?}");
}

#[test]
fn a_follower_does_not_count_against_max_connections_during_a_stop() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.max_connections = 1;
    let server = server(&gate, config);
    drop(bar);
    let mut follower = server.connect();
    follower.request("/wait");
    follower.wait_readable();
    let mut queued = Client::try_connect(server.address());
    if let Ok(client) = &mut queued {
        client.request("/queued");
        assert_eq!(client.response().body, "done");
    }
    drop(queued);
    assert!(follower.response().body.contains("end: "));
    drop(follower);
    assert!(server.join().all_answered());
}

#[test]
fn a_follower_gets_progress_during_the_lame_duck_too() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.lame_duck = crate::support::TOO_LONG;
    let server = server(&gate, config);
    let mut follower = server.connect();
    follower.request("/wait");
    follower.head();
    assert!(follower.chunk().unwrap().ends_with(b"in progress\n"));
    let mut client = server.connect();
    client.request("/slow");
    while follower.chunk().unwrap() != b"1 in progress\n" {}
    drop((bar, client));
    server.stop.abort();
    server.join();
}

#[test]
fn a_panic_in_a_follower_cuts_it_and_stops_nothing_else() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let stop = server.shutdown_handle();
    let server = TestServer::spawn(server, move |_: Request| {
        stop.follow(|_| panic!("on purpose"))
    });
    let mut client = server.connect();
    client.request("/");
    client.expect_end();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 body failed");
}

#[test]
fn an_abort_ends_the_wait_for_a_follower_to_close() {
    let (gate, bar) = Gate::new();
    let server = server(&gate, config());
    drop(bar);
    let mut follower = server.connect();
    follower.request("/wait");
    assert!(follower.response().body.ends_with("end: none\n"));
    // The client has the last line and does not close: the server lingers.
    server.stop.abort();
    assert!(server.join().all_answered());
    drop(follower);
}

#[test]
fn a_follower_that_does_not_read_does_not_block_the_stop() {
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.linger = std::time::Duration::from_millis(100);
    let server = server(&gate, config);
    let mut follower = server.connect();
    follower.request("/wait");
    drop(bar);
    let report = server.join();
    assert_eq!(report.requests.total(), 1);
    assert!(report.all_answered());
}

#[test]
fn after_delivery_is_called_once_the_client_has_closed() {
    let (called, calls) = crossbeam_channel::unbounded();
    let server = TestServer::start(config(), move |_: Request| {
        let called = called.clone();
        Body::from("text").after_delivery(move || called.send(()).unwrap())
    });
    let mut client = server.connect();
    let response = client.get("/");
    assert!(response.closes(), "only the client's EOF proves a delivery");
    client.expect_eof();
    assert!(calls.try_recv().is_err(), "the client has not closed yet");
    drop(client);
    calls.recv_timeout(crate::support::TOO_LONG).unwrap();
}

/// A server of another address, whose clients follow the stop of this one.
fn operators_of(server: &TestServer, config: farewell::Config) -> TestServer {
    let stop = server.stop.clone();
    TestServer::start(config, move |_: Request| stop.follow(line))
}

#[test]
fn a_follower_at_another_server_gets_the_report_and_is_not_counted() {
    let (gate, bar) = Gate::new();
    let server = server(&gate, config());
    let operators = operators_of(&server, config());
    let mut slow = server.connect();
    slow.request("/slow");
    gate.wait_started();
    let mut follower = operators.connect();
    follower.request("/");
    assert!(follower.head().contains("connection: close"));
    assert_eq!(follower.chunk().unwrap(), b"1 in progress\n");
    assert_eq!(server.stop.counts().followers, 0);

    server.stop.shutdown();
    // It is no connection of the server, so the other one is cause enough to wait.
    assert!(!server.stop.wait_for_timeout(
        farewell::Phase::Aborting,
        std::time::Duration::from_millis(50)
    ));
    drop(bar);
    assert_eq!(slow.response().body, "done");
    drop(slow);
    let report = server.join();
    assert_eq!(report.requests.to_string(), "1 answered");
    assert_eq!(operators.stop.phase(), farewell::Phase::Running);
    assert_eq!(last_chunk(&mut follower), b"end: 1 answered\n");
    drop(follower);
    operators.stop.shutdown();
    assert_eq!(operators.join().requests.to_string(), "1 answered");
}

#[test]
fn another_server_that_stops_earlier_ends_its_followers_at_its_last_call() {
    let (gate, bar) = Gate::new();
    let server = server(&gate, config());
    let operators = operators_of(&server, config());
    let mut follower = operators.connect();
    follower.request("/");
    follower.wait_readable();
    operators.stop.shutdown();
    // A complete response, without a report.
    assert_eq!(follower.response().body, "0 in progress\n");
    drop(follower);
    assert!(operators.join().all_answered());
    assert_eq!(server.stop.phase(), farewell::Phase::Running);
    drop(bar);
    server.stop.shutdown();
    assert!(server.join().all_answered());
}

#[test]
fn each_follower_sends_a_piece_when_it_is_told_to() {
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let stop = server.shutdown_handle();
    let server = TestServer::spawn(server, move |_: Request| {
        let mut pieces = 0;
        stop.follow(move |_| {
            pieces += 1;
            format!("piece {pieces}\n")
        })
    });
    let mut followers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for follower in &mut followers {
        follower.request("/");
        follower.head();
        assert_eq!(follower.chunk().unwrap(), b"piece 1\n");
    }
    for piece in [&b"piece 2\n"[..], b"piece 3\n"] {
        server.stop.notify_followers();
        for follower in &mut followers {
            assert_eq!(follower.chunk().unwrap(), piece);
        }
    }
    server.stop.shutdown();
    for follower in &mut followers {
        while !follower.chunk().unwrap().is_empty() {}
        // After the report there is nothing to tell.
        server.stop.notify_followers();
        follower.expect_eof();
    }
    drop(followers);
    assert!(server.join().all_answered());
}

#[test]
fn a_stop_without_connections_waits_for_no_follower_at_another_server() {
    let (gate, _bar) = Gate::new();
    let server = server(&gate, config());
    let operators = operators_of(&server, config());
    let mut follower = operators.connect();
    follower.request("/");
    follower.wait_readable();
    server.stop.shutdown();
    // The follower does not read.
    assert!(server.join().all_answered());
    assert!(follower.response().body.ends_with("end: none\n"));
    drop(follower);
    operators.stop.shutdown();
    assert!(operators.join().all_answered());
}
