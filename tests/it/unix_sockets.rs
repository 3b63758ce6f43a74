//! Servers on unix sockets: they serve and stop as servers on TCP do, no connection in
//! the backlog is lost, and the socket's file comes and goes with the server.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

use farewell::Body;
use farewell::Config;
use farewell::IntoResponse;
use farewell::LocalAddr;
use farewell::Ownership;
use farewell::PeerAddr;
use farewell::Report;
use farewell::Request;
use farewell::Response;
use farewell::Server;
use http::HeaderValue;
use http::StatusCode;
use tempfile::TempDir;

use crate::support::Bar;
use crate::support::Client;
use crate::support::Gate;
use crate::support::TOO_LONG;
use crate::support::TestServer;
use crate::support::config;
use crate::support::gated;
use crate::support::short_drain;

/// A folder with a path for a socket.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.sock");
        Self { folder, path }
    }

    fn bind(&self) -> Server {
        Server::bind_unix(&self.path, config()).unwrap()
    }

    fn connect(&self) -> Client {
        self.try_connect().expect("the server listens")
    }

    fn try_connect(&self) -> io::Result<Client> {
        Client::try_connect_unix(&self.path)
    }

    fn error(&self) -> ErrorKind {
        self.try_connect().unwrap_err().kind()
    }
}

fn hello(request: Request) -> String {
    format!("hello {}", request.uri().path())
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

#[test]
fn a_connection_is_kept_and_uploads_arrive() {
    let place = Place::new();
    let server = TestServer::spawn(place.bind(), |mut request: Request| {
        request.bytes().into_response()
    });
    let mut client = place.connect();
    assert_eq!(client.get("/").status, 200);
    for body in [vec![b'a'; 10], vec![b'b'; 1_000_000]] {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(head);
        client.send(&body);
        assert_eq!(client.response().body.into_bytes(), body);
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\nabc\r\n");
    client.send("3\r\ndef\r\n0\r\n\r\n");
    assert_eq!(client.response().body, "abcdef");
    server.stop.shutdown();
    drop(client);
    let report = server.join();
    assert_eq!((report.accepted, report.begun), (1, 4));
    assert!(report.all_answered(), "{report}");
}

#[test]
fn a_client_that_half_closes_gets_its_answer_and_the_servers_half_close() {
    let place = Place::new();
    let server = TestServer::spawn(place.bind(), hello);
    let mut client = place.connect();
    client.request("/a");
    client.half_close();
    assert_eq!(client.response().body, "hello /a");
    client.expect_eof();
    drop(client);
    server.stop.shutdown();
    server.join();
}

#[test]
fn a_file_is_sent_to_clients_that_read_slowly_too() {
    let place = Place::new();
    let file = place.folder.path().join("file");
    let content: String = (0..400_000)
        .map(|number| format!("{number:07}\n"))
        .collect();
    fs::write(&file, &content).unwrap();
    let server = TestServer::spawn(place.bind(), move |_: Request| {
        Body::from_file(fs::File::open(&file).unwrap()).unwrap()
    });
    let mut client = place.connect();
    client.request("/");
    // The file is larger than the kernel's buffers, so the server has to wait.
    client.wait_readable();
    server.wait_in_progress(1);
    assert!(client.response().body == content);
    server.stop.shutdown();
    drop(client);
    assert!(server.join().all_answered());
}

#[test]
fn handlers_the_report_and_upgraded_connections_know_the_addresses() {
    let place = Place::new();
    let (gate, bar) = Gate::new();
    let server = Server::bind_unix(&place.path, short_drain()).unwrap();
    let address = server.local_addr();
    assert_eq!(address, LocalAddr::Unix(place.path.as_path().into()));
    assert_eq!(address.port(), None);
    let server = TestServer::spawn(server, move |request: Request| match request.uri().path() {
        "/slow" => {
            gate.pass("slow");
            String::new().into_response()
        }
        "/upgrade" => {
            let mut response = Response::new(Body::upgrade(|stream| {
                assert_eq!(stream.peer_addr(), PeerAddr::Unix);
                let (mut stream, _) = stream.into_std().unwrap();
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).unwrap();
                stream.write_all(&bytes).unwrap();
            }));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert("upgrade", HeaderValue::from_static("x"));
            response
        }
        _ => format!("{} at {}", request.peer_addr(), request.local_addr()).into_response(),
    });
    let expected = format!("unix socket at unix:{}", place.path.display());
    assert_eq!(place.connect().get("/").body, expected);

    let mut upgraded = place.connect();
    upgraded.send("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert!(upgraded.head().starts_with("http/1.1 101 "));
    upgraded.send("ping");
    assert_eq!(upgraded.raw(4), b"ping");
    drop(upgraded);

    let mut cut = place.connect();
    cut.request("/slow");
    server.wait_in_progress(1);
    server
        .stop
        .shutdown_by(farewell::Trigger::Request(PeerAddr::Unix));
    cut.expect_end();
    drop(bar);
    let report = server.join();
    assert_eq!(report.cut[0].peer, PeerAddr::Unix);
    let text = report.to_string();
    assert!(text.contains("by a request from unix socket"), "{text}");
    assert!(
        text.contains("GET /slow for unix socket: cut after "),
        "{text}"
    );
}

#[test]
fn clients_of_a_unix_socket_are_not_limited_by_their_address() {
    let place = Place::new();
    let mut config = config();
    config.connections_per_peer = Some(1);
    let server = Server::bind_unix(&place.path, config).unwrap();
    let server = TestServer::spawn(server, hello);
    let mut clients = [(); 3].map(|()| place.connect());
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    drop(clients);
    server.stop.shutdown();
    server.join();
}

/// Clients that have sent a request for `/slow`.
fn waiting_clients(place: &Place, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| place.connect()).collect();
    for client in &mut clients {
        client.request("/slow");
    }
    clients
}

/// Stops the server. Its file is gone before the gate opens, and every client gets its
/// answer.
fn stop_and_answer(server: TestServer, place: &Place, clients: Vec<Client>, bar: Bar) -> Report {
    server.stop.shutdown();
    while place.path.exists() {
        thread::yield_now();
    }
    assert_eq!(place.error(), ErrorKind::NotFound);
    drop(bar);
    for mut client in clients {
        assert_eq!(client.response().body, "hello /slow");
    }
    server.join()
}

#[test]
fn a_stop_removes_the_file_and_serves_the_backlog() {
    let place = Place::new();
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.max_connections = 2;
    config.last_call = TOO_LONG;
    let server = Server::bind_unix(&place.path, config).unwrap();
    let server = TestServer::spawn(server, gated(&gate));
    let clients = waiting_clients(&place, 50);
    gate.wait_started();
    gate.wait_started();
    let report = stop_and_answer(server, &place, clients, bar);
    assert_eq!(report.accepted, 50, "the acceptor's wake-up is not counted");
    assert!(report.all_answered(), "{report}");
    assert_eq!(report.refusing_after.is_some(), cfg!(target_os = "linux"));
}

/// The second name stands for clients that have looked the path up just before it was
/// removed, and connect after that.
#[cfg(target_os = "linux")]
#[test]
fn a_client_that_has_found_the_path_in_time_and_connects_late_is_refused_and_not_lost() {
    let place = Place::new();
    let found = place.folder.path().join("found.sock");
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.max_connections = 1;
    config.last_call = TOO_LONG;
    let server = Server::bind_unix(&place.path, config).unwrap();
    fs::hard_link(&place.path, &found).unwrap();
    let server = TestServer::spawn(server, gated(&gate));
    let mut clients: Vec<_> = (0..5)
        .map(|_| Client::try_connect_unix(&found).unwrap())
        .collect();
    for client in &mut clients {
        client.request("/slow");
    }
    gate.wait_started();
    server.stop.shutdown();
    // The drain waits for the one place. Connections that are still made are served.
    let until = Instant::now() + TOO_LONG;
    let refused = loop {
        match Client::try_connect_unix(&found) {
            Ok(mut late) => {
                late.request("/late");
                clients.push(late);
            }
            Err(error) => break error.kind(),
        }
        assert!(Instant::now() < until, "connections are still made");
    };
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    drop(bar);
    let count = clients.len() as u64;
    for mut client in clients {
        let body = client.response().body;
        assert!(body == "hello /slow" || body == "hello /late", "{body}");
    }
    let report = server.join();
    assert_eq!(report.accepted, count);
    assert!(report.all_answered(), "{report}");
}

#[test]
fn a_stop_before_the_start_serves_the_backlog() {
    let place = Place::new();
    let server = place.bind();
    let mut clients: Vec<_> = (0..5).map(|_| place.connect()).collect();
    for client in &mut clients {
        client.request("/a");
    }
    server.shutdown_handle().shutdown();
    let server = TestServer::spawn(server, hello);
    for mut client in clients {
        assert_eq!(client.response().body, "hello /a");
    }
    assert_eq!(server.join().accepted, 5);
}

/// Clients connect without a pause, while one server after the other stops and the next
/// one takes its path. Each connection that was made has to be answered.
#[cfg(target_os = "linux")]
#[test]
fn no_connection_is_lost_while_servers_take_turns_at_one_path() {
    const CLIENTS: usize = 8;
    /// How many connections a client makes before it sends: so many connections are
    /// made in the moment in which a server closes its socket.
    const CONNECTIONS: usize = 30;
    const ANSWERS: u64 = 300;
    let stops = match std::env::var("FAREWELL_ROUNDS") {
        Ok(rounds) => rounds.parse().unwrap(),
        Err(_) => 10,
    };

    let place = Arc::new(Place::new());
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    // On a busy machine, more time than the usual last call may pass until a client sends
    // on the connections that it has made. They would be closed as idle ones.
    let config = || {
        let mut config = config();
        config.last_call = TOO_LONG;
        config
    };
    let start = || {
        let until = Instant::now() + TOO_LONG;
        loop {
            match Server::bind_unix(&place.path, config()) {
                Ok(server) => return TestServer::spawn(server, hello),
                // The server before has not begun to drain.
                Err(error) => {
                    assert_eq!(error.io_error().unwrap().kind(), ErrorKind::AddrInUse);
                    assert!(Instant::now() < until, "the path stays in use");
                }
            }
        }
    };
    let mut server = start();
    let clients = [(); CLIENTS].map(|()| {
        let (place, over, answered) = (place.clone(), over.clone(), answered.clone());
        thread::spawn(move || {
            let mut refused = 0_u64;
            while !over.load(SeqCst) {
                let mut made = Vec::new();
                for _ in 0..CONNECTIONS {
                    match place.try_connect() {
                        Ok(client) => made.push(client),
                        Err(error) => {
                            let kind = error.kind();
                            let is_refused =
                                matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused);
                            assert!(is_refused, "{error}");
                            refused += 1;
                        }
                    }
                }
                // Whether a client writes before or after the server has accepted it, or
                // refuses others already, must not matter.
                for mut client in made {
                    client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                    assert_eq!(client.response().body, "hello /a");
                    client.expect_eof();
                    answered.fetch_add(1, SeqCst);
                }
            }
            refused
        })
    });
    let mut requests = 0;
    for _ in 0..stops {
        let target = answered.load(SeqCst) + ANSWERS;
        while answered.load(SeqCst) < target {
            assert!(clients.iter().all(|client| !client.is_finished()));
            thread::yield_now();
        }
        server.stop.shutdown();
        let next = start();
        let report = server.join();
        assert!(report.all_answered(), "{report}");
        requests += report.begun;
        server = next;
    }
    over.store(true, SeqCst);
    let refused: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    server.stop.shutdown();
    requests += server.join().begun;
    let answered = answered.load(SeqCst);
    assert_eq!(requests, answered);
    println!("unix socket: {stops} stops, {answered} answered, {refused} refused, 0 lost");
}

#[test]
fn where_new_connections_cannot_be_refused_the_file_goes_all_the_same() {
    let place = Place::new();
    let (gate, bar) = Gate::new();
    let mut config = config();
    config.workers = 1;
    config.refuse_new_connections = false;
    let server = Server::bind_unix(&place.path, config).unwrap();
    let server = TestServer::spawn(server, gated(&gate));
    let clients = waiting_clients(&place, 20);
    gate.wait_started();
    let report = stop_and_answer(server, &place, clients, bar);
    assert_eq!((report.accepted, report.refusing_after), (20, None));
}

#[test]
fn the_file_of_a_dead_server_is_replaced() {
    let place = Place::new();
    // std's listener leaves its file.
    drop(UnixListener::bind(&place.path).unwrap());
    assert_eq!(place.error(), ErrorKind::ConnectionRefused);
    let server = TestServer::spawn(place.bind(), hello);
    assert_eq!(place.connect().get("/a").body, "hello /a");
    server.stop.shutdown();
    server.join();
    assert!(!place.path.exists());
}

#[test]
fn a_live_server_and_its_file_are_left_alone() {
    let place = Place::new();
    let server = TestServer::spawn(place.bind(), hello);
    let error = Server::bind_unix(&place.path, config()).unwrap_err();
    let path = place.path.display();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on unix:{path}: another server listens there")
    );
    assert_eq!(error.io_error().unwrap().kind(), ErrorKind::AddrInUse);
    assert_eq!(place.connect().get("/a").body, "hello /a");
    server.stop.shutdown();
    assert!(server.join().all_answered());
}

#[test]
fn a_file_that_is_not_a_socket_is_left_alone() {
    let place = Place::new();
    fs::write(&place.path, "text").unwrap();
    let error = Server::bind_unix(&place.path, config()).unwrap_err();
    let path = place.path.display();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on unix:{path}: the file exists and is not a socket")
    );
    assert_eq!(fs::read(&place.path).unwrap(), b"text");
}

#[test]
fn the_socket_of_another_server_at_the_path_is_not_removed() {
    let place = Place::new();
    let server = TestServer::spawn(place.bind(), hello);
    let mut client = place.connect();
    assert_eq!(client.get("/").status, 200);
    fs::remove_file(&place.path).unwrap();
    let other = UnixListener::bind(&place.path).unwrap();
    let theirs = inode(&place.path);
    server.stop.shutdown();
    drop(client);
    assert!(server.join().all_answered());
    assert_eq!(inode(&place.path), theirs);
    // The server has not connected to the other one either, to wake its acceptor.
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    place.try_connect().unwrap();
}

#[test]
fn a_server_that_never_serves_removes_its_file() {
    let place = Place::new();
    let server = place.bind();
    assert!(place.path.exists());
    drop(server);
    assert!(!place.path.exists());
}

#[test]
fn a_shared_socket_and_its_file_stay_for_the_next_server() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.path).unwrap();
    let ours = listener.try_clone().unwrap();
    let server = Server::from_unix_listener(ours, Ownership::Shared, config()).unwrap();
    let server = TestServer::spawn(server, |_: Request| "first");
    assert_eq!(place.connect().get("/").body, "first");
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.refusing_after, None);

    // Between the two servers no connection is accepted, and none is refused.
    let mut between = place.connect();
    between.request("/");
    let server = Server::from_unix_listener(listener, Ownership::Sole, config()).unwrap();
    let server = TestServer::spawn(server, |_: Request| "second");
    assert_eq!(between.response().body, "second");
    drop(between);
    server.stop.shutdown();
    assert!(server.join().all_answered());
    assert_eq!(place.error(), ErrorKind::NotFound);
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_served_too() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("farewell-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let server = Server::from_unix_listener(listener, Ownership::Sole, config()).unwrap();
    assert_eq!(server.local_addr().to_string(), format!("unix:@{name}"));
    let server = TestServer::spawn(server, hello);
    let mut client = UnixStream::connect_addr(&address).unwrap();
    client
        .write_all(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("hello /a"), "{answer}");
    drop(client);
    server.stop.shutdown();
    let report = server.join();
    assert_eq!(report.accepted, 1);
    let refused = UnixStream::connect_addr(&address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_path_that_is_too_long_or_empty_is_an_error_with_a_reason() {
    let place = Place::new();
    let long = place.folder.path().join("x".repeat(200));
    let error = Server::bind_unix(&long, config()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on unix:{}: the path is too long for a unix socket: {} bytes",
            long.display(),
            long.as_os_str().len()
        )
    );
    assert_eq!(error.io_error().unwrap().kind(), ErrorKind::InvalidInput);
    assert!(Server::bind_unix("", config()).is_err());
    let missing = place.folder.path().join("missing/server.sock");
    let error = Server::bind_unix(missing, config()).unwrap_err();
    assert_eq!(error.io_error().unwrap().kind(), ErrorKind::NotFound);
    let mut wrong = Config::default();
    wrong.workers = 0;
    assert!(
        Server::bind_unix(&place.path, wrong)
            .unwrap_err()
            .is_config()
    );
    assert!(!place.path.exists());
}
