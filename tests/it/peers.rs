//! The addresses and numbers that a handler sees, and the limit on the connections of a
//! peer.

use farewell::Request;
use farewell::RequestOutcome;

use crate::support::TestServer;
use crate::support::config;

#[test]
fn a_request_has_the_number_of_its_connection_and_its_own_number_and_age() {
    let server = TestServer::start(config(), |request: Request| {
        assert!(request.arrived().elapsed() < crate::support::TOO_LONG);
        let (connection, number) = (request.connection_number(), request.number());
        let (peer, local) = (request.peer_addr(), request.local_addr());
        format!("{connection} {number} {peer} {local}")
    });
    let address = server.address();
    let (mut first, mut second) = (server.connect(), server.connect());
    for (client, connection) in [(&mut first, 1), (&mut second, 2)] {
        let peer = client.address();
        for number in 1..=2 {
            let expected = format!("{connection} {number} {peer} {address}");
            assert_eq!(client.get("/").body, expected);
        }
    }
}

#[test]
fn a_connection_beyond_the_limit_of_its_peer_gets_429() {
    let mut config = config();
    config.connections_per_peer = Some(2);
    let server = TestServer::hello(config);
    let (mut first, mut second) = (server.connect(), server.connect());
    assert_eq!(first.get("/").status, 200);
    assert_eq!(second.get("/").status, 200);

    let mut third = server.connect();
    let response = third.get("/");
    assert_eq!(response.status, 429);
    assert!(response.closes());
    third.expect_eof();
    drop(third);

    drop(first);
    server.wait_open(1);
    assert_eq!(server.connect().get("/").status, 200);
    drop(second);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.requests.count(RequestOutcome::Rejected), 1);
}
