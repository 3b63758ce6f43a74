//! A client that follows the shutdown gets its progress until the end.

use farewell::Body;
use farewell::Counts;
use farewell::Progress;
use farewell::Request;
use farewell::Server;

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
        let mut last = Vec::new();
        loop {
            let chunk = follower.chunk().unwrap();
            if chunk.is_empty() {
                break;
            }
            last = chunk;
        }
        assert_eq!(last, b"end: 1 answered\n");
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
    let mut queued = crate::support::Client::try_connect(server.address());
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
