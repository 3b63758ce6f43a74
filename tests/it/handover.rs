//! A server hands its listening socket over to another one, as in a restart: no connection
//! is refused or lost, whichever of the two stops, and when.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;

use farewell::Config;
use farewell::ListenerHandle;
use farewell::Ownership;
use farewell::Request;
use farewell::Server;
use farewell::Trigger;

use crate::support::Client;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;

/// A server that answers with its name, and the handle of its listener.
fn spawn(server: Server, name: &'static str) -> (TestServer, ListenerHandle) {
    let listener = server.listener_handle();
    let server = TestServer::spawn(server, move |_: Request| name);
    assert!(server.stop.wait_until_serving(TOO_LONG));
    (server, listener)
}

fn old(config: Config) -> (TestServer, ListenerHandle) {
    spawn(Server::bind("127.0.0.1:0", config).unwrap(), "old")
}

/// The server that gets the socket.
fn new(from: &ListenerHandle) -> (TestServer, ListenerHandle) {
    let socket = TcpListener::from(from.duplicate().unwrap());
    let server = Server::from_listener(socket, Ownership::Shared, config()).unwrap();
    spawn(server, "new")
}

fn hand_over(old: &ListenerHandle, new: &ListenerHandle) {
    assert!(new.set_ownership(Ownership::Sole).unwrap());
    assert!(old.set_ownership(Ownership::Shared).unwrap());
}

#[test]
fn the_new_server_takes_every_connection_after_the_old_one_and_then_owns_the_socket() {
    let mut with_lame_duck = config();
    with_lame_duck.lame_duck = TOO_LONG;
    let (old, from) = old(with_lame_duck);
    let address = old.address();
    assert_eq!(old.connect().get("/").body, "old");
    let (new, to) = new(&from);
    hand_over(&from, &to);
    old.stop.shutdown_by(Trigger::Restart);
    let report = old.join();
    assert!(report.all_answered());
    assert_eq!(report.trigger, Trigger::Restart);
    assert_eq!(report.refusing_after, None);

    let mut client = Client::connect(address);
    assert_eq!(client.get("/").body, "new");
    drop(client);
    new.stop.shutdown();
    let report = new.join();
    assert!(report.all_answered());
    if cfg!(target_os = "linux") {
        assert!(report.refusing_after.is_some());
    }
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn what_waits_in_the_backlog_while_the_old_server_stops_is_served_by_the_new_one() {
    let (old, from) = old(config());
    let address = old.address();
    // As a new process that is not ready yet.
    let socket = TcpListener::from(from.duplicate().unwrap());
    assert!(from.set_ownership(Ownership::Shared).unwrap());
    old.stop.shutdown_by(Trigger::Restart);
    assert!(old.join().all_answered());
    let mut waiting: Vec<Client> = (0..8).map(|_| Client::connect(address)).collect();
    for client in &mut waiting {
        client.request("/");
    }
    let server = Server::from_listener(socket, Ownership::Sole, config()).unwrap();
    let (new, _) = spawn(server, "new");
    for client in &mut waiting {
        assert_eq!(client.response().body, "new");
    }
    drop(waiting);
    new.stop.shutdown();
    assert!(new.join().all_answered());
}

#[test]
fn after_a_new_server_that_failed_the_old_one_drains_its_backlog_again() {
    let (old, from) = old(config());
    let address = old.address();
    let unused = from.duplicate().unwrap();
    assert!(from.set_ownership(Ownership::Shared).unwrap());
    assert!(from.set_ownership(Ownership::Sole).unwrap());
    assert_eq!(old.connect().get("/").body, "old");
    old.stop.shutdown();
    let report = old.join();
    assert!(report.all_answered());
    if cfg!(target_os = "linux") {
        assert!(report.refusing_after.is_some());
        // The failed process still has the socket, and no client gets into its backlog.
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    drop(unused);
}

#[test]
fn both_servers_stop_without_a_loss_if_the_stop_comes_before_the_hand_over() {
    let (old, from) = old(config());
    let (new, to) = new(&from);
    let mut clients: Vec<Client> = (0..8).map(|_| old.connect()).collect();
    for client in &mut clients {
        client.request("/");
    }
    old.stop.shutdown();
    old.stop.wait_for(farewell::Phase::Draining);
    new.stop.shutdown();
    for client in &mut clients {
        assert!(["old", "new"].contains(&&*client.response().body));
    }
    drop(clients);
    assert!(old.join().all_answered());
    assert!(new.join().all_answered());
    for listener in [from, to] {
        assert!(!listener.set_ownership(Ownership::Shared).unwrap());
        let error = listener.duplicate().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot share the listener: the server has stopped accepting"
        );
    }
}

#[test]
fn a_unix_socket_and_its_file_go_over_to_the_new_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (old, from) = spawn(Server::bind_unix(&path, config()).unwrap(), "old");
    let socket = UnixListener::from(from.duplicate().unwrap());
    let server = Server::from_unix_listener(socket, Ownership::Shared, config()).unwrap();
    let (new, to) = spawn(server, "new");
    hand_over(&from, &to);
    old.stop.shutdown_by(Trigger::Restart);
    assert!(old.join().all_answered());
    let mut client = Client::try_connect_unix(&path).unwrap();
    assert_eq!(client.get("/").body, "new");
    drop(client);
    new.stop.shutdown();
    assert!(new.join().all_answered());
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_whose_file_was_replaced_is_not_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = Server::bind_unix(&path, Config::default()).unwrap();
    let listener = server.listener_handle();
    drop(listener.duplicate().unwrap());
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let error = listener.duplicate().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot share the listener: the file of the unix socket was removed or replaced"
    );
    drop(server);
    // The file is that of the other server.
    drop(UnixStream::connect(&path).unwrap());
    drop(other);
}
