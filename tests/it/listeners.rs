//! The server can be reached, woken and stopped on every kind of address.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;

use farewell::Config;
use farewell::Server;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::config;

fn serves_and_stops(bind: &str, connect: &[&str]) {
    let server = Server::bind(bind, config()).unwrap();
    let port = server.local_addr().port().unwrap();
    let server = TestServer::spawn(server, |request: farewell::Request| {
        format!("{}", request.local_addr().ip().unwrap().to_canonical())
    });
    for ip in connect {
        let address = SocketAddr::new(ip.parse().unwrap(), port);
        assert_eq!(Client::connect(address).get("/").body, *ip);
    }
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.accepted, connect.len() as u64, "{bind}");
    assert!(report.all_answered());
}

#[test]
fn ipv4_and_ipv6_each_alone_and_all_addresses() {
    serves_and_stops("127.0.0.1:0", &["127.0.0.1"]);
    serves_and_stops("[::1]:0", &["::1"]);
    serves_and_stops("0.0.0.0:0", &["127.0.0.1", "127.0.0.2"]);
    serves_and_stops("[::]:0", &["::1", "127.0.0.1"]);
}

#[test]
fn several_servers_in_one_process_are_independent() {
    let (one, two) = (TestServer::hello(config()), TestServer::hello(config()));
    let (mut to_one, mut to_two) = (one.connect(), two.connect());
    assert_eq!(to_one.get("/").status, 200);
    one.stop.shutdown();
    drop(to_one);
    one.join();
    let response = to_two.get("/");
    assert_eq!(response.status, 200);
    assert!(!response.closes());
}

#[test]
fn an_address_in_use_and_a_wrong_config_are_errors_with_a_reason() {
    let taken = Server::bind("127.0.0.1:0", Config::default()).unwrap();
    let error = Server::bind(taken.local_addr(), Config::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot listen on 127.0.0.1:"),
        "{error}"
    );
    assert!(error.io_error().is_some() && !error.is_config());

    let mut config = Config::default();
    config.workers = 0;
    let error = Server::bind("127.0.0.1:0", config).unwrap_err();
    assert!(error.is_config());
    assert_eq!(error.to_string(), "workers is 0: it must be from 1 to 4096");
}

/// An address in use, and the server that uses it.
fn taken() -> (Server, SocketAddr) {
    let server = Server::bind("127.0.0.1:0", Config::default()).unwrap();
    let address = server.local_addr().socket_addr().unwrap();
    (server, address)
}

#[test]
fn bind_takes_every_kind_of_address() {
    fn binds(address: impl ToSocketAddrs) {
        let server = Server::bind(address, Config::default()).unwrap();
        assert_eq!(server.local_addr().ip(), Some(Ipv4Addr::LOCALHOST.into()));
    }

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (_server, taken) = taken();
    binds("127.0.0.1:0");
    binds("127.0.0.1:0".to_owned());
    binds(("127.0.0.1", 0));
    binds(("127.0.0.1".to_owned(), 0));
    binds((Ipv4Addr::LOCALHOST, 0));
    binds(address);
    binds(&[taken, address][..]);
}

#[test]
fn an_address_that_cannot_be_bound_is_named() {
    let error = |address: &[SocketAddr]| {
        let error = Server::bind(address, Config::default()).unwrap_err();
        assert!(error.io_error().is_some());
        error.to_string()
    };
    let ((_first, one), (_second, two)) = (taken(), taken());
    let text = error(&[one, two]);
    let start = format!("cannot listen on {one} or {two}: ");
    assert!(text.starts_with(&start), "{text}");
    let text = error(&[]);
    assert!(text.starts_with("cannot listen: "), "{text}");
    let unresolved = Server::bind("127.0.0.1", Config::default()).unwrap_err();
    assert_eq!(
        unresolved.to_string(),
        "cannot resolve the address to listen on: invalid socket address"
    );
}
