//! Connections of slow clients end by their timeouts, without an effect on other clients.

use std::thread;
use std::time::Duration;

use farewell::Body;
use farewell::ConnectionOutcome;
use farewell::Request;
use farewell::RequestOutcome;
use farewell::Server;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::config;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_head_that_does_not_end_is_408() {
    let mut config = config();
    config.head_timeout = SHORT;
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHos");
    assert_eq!(client.response().status, 408);
    client.expect_eof();
}

#[test]
fn a_body_that_stalls_is_408() {
    let mut config = config();
    config.body_timeout = SHORT;
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhel");
    assert_eq!(client.response().status, 408);
    client.expect_eof();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut config = config();
    config.idle_timeout = SHORT;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let connect = || Client::connect(server.local_addr());
    let (mut used, mut fresh, mut blank) = (connect(), connect(), connect());
    // Sent before the server starts, so that no idle timeout passes before the bytes are
    // sent.
    used.request("/");
    blank.send("\r\n");
    let server = TestServer::spawn(server, |_: Request| "hello");
    used.response();
    for client in [&mut used, &mut fresh, &mut blank] {
        client.expect_eof();
    }
    drop((used, fresh, blank));
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.connections.count(ConnectionOutcome::ClosedIdle), 3);
}

#[test]
fn a_client_that_stops_reading_is_closed() {
    let mut config = config();
    config.write_timeout = SHORT;
    let server = TestServer::start(config, |_: Request| vec![b'x'; 64 << 20]);
    let mut client = server.connect();
    client.request("/");
    client.wait_readable();
    server.wait_open(0);
    client.expect_end();
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::ClientStalled), 1);
    assert_eq!(
        report.connections.count(ConnectionOutcome::ClientStalled),
        1
    );
}

#[test]
fn of_two_readers_of_a_large_file_the_one_below_the_minimum_rate_is_cut() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    let mut config = config();
    config.write_timeout = Duration::from_secs(2);
    config.rate_min = 64 * 1024;
    let server = TestServer::start(config, move |_: Request| {
        Body::from_file(file.try_clone().unwrap()).unwrap()
    });
    let [mut above, mut below] = [(); 2].map(|()| server.connect());
    above.request("/");
    below.request("/");
    above.head();
    let mut bytes_read = 0;
    // About 20 KiB a second, and 1.2 MiB. The server cuts one connection, and its client
    // could still read for long what the kernel holds.
    while server.stop.counts().open == 2 && below.try_raw(1024).is_ok() {
        bytes_read += above.raw(64 * 1024).len();
        thread::sleep(Duration::from_millis(50));
    }
    above.raw((64 << 20) - bytes_read);
    drop(above);
    server.stop.shutdown();
    let report = server.join();
    let ended = |outcome| report.requests.count(outcome);
    assert_eq!(ended(RequestOutcome::Answered), 1, "{report}");
    assert_eq!(ended(RequestOutcome::ClientStalled), 1, "{report}");
}

#[test]
fn linger_bounds_the_wait_for_a_client_that_does_not_close() {
    let mut config = config();
    config.linger = SHORT;
    let server = TestServer::hello(config);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.response();
    server.wait_open(0);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(
        report
            .connections
            .count(ConnectionOutcome::DeliveryUnconfirmed),
        1
    );
    assert_eq!(report.requests.count(RequestOutcome::Answered), 1);
}

#[test]
fn slow_clients_occupy_no_worker() {
    let mut config = config();
    config.workers = 1;
    let server = TestServer::hello(config);
    let mut slow: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\nHo");
    }
    server.wait_in_progress(50);
    assert_eq!(server.connect().get("/").status, 200);
    for client in &mut slow {
        client.send("st: a\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
}
