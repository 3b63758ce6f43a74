//! The promise for everything that is more than a short answer: when it is stopped under
//! load, the server loses no upload, no streamed answer, no download of a file, no stream
//! of events, and no upgraded connection.
//!
//! `FAREWELL_ROUNDS=50 cargo test --release --test it loss -- --nocapture --test-threads=1`
//! runs 50 rounds of each.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
#[cfg(feature = "files")]
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
#[cfg(feature = "files")]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use farewell::Body;
use farewell::Config;
use farewell::ConnectionOutcome;
use farewell::Event;
use farewell::Events;
use farewell::IntoResponse;
use farewell::Request;
use farewell::Response;
use farewell::Upgraded;
use http::HeaderValue;
use http::StatusCode;

use crate::support::Client;
use crate::support::TestServer;

const CLIENTS: usize = 32;

/// How many exchanges there are before the stop.
const EXCHANGES: u64 = 300;

/// One exchange on a connection. `Err` says what was lost. `Ok` says whether the
/// connection can be used again.
type Exchange = fn(&mut Client) -> Result<bool, &'static str>;

fn handler(request: Request) -> Response {
    match request.uri().path() {
        "/echo" => echo(request),
        "/chunks" => Body::from_chunks((0..20).map(|_| vec![b'x'; 10_000])).into_response(),
        "/written" => {
            Body::from_writer(|writer| (0..20).try_for_each(|_| writer.write_all(&[b'x'; 10_000])))
                .into_response()
        }
        "/events" => events(),
        _ => {
            let mut response = Response::new(Body::upgrade(|stream| talk(stream).unwrap()));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert("upgrade", HeaderValue::from_static("echo"));
            response
        }
    }
}

fn echo(mut request: Request) -> Response {
    request.bytes().into_response()
}

/// A hundred events, or fewer if the server stops before.
fn events() -> Response {
    let (sender, events) = Events::new();
    thread::spawn(move || {
        for _ in 0..100 {
            if sender.send(&Event::data("tick")).is_err() || sender.draining() {
                return;
            }
            thread::yield_now();
        }
    });
    events.into_response()
}

/// Sends every byte back, and an exclamation mark when the server drains.
fn talk(mut stream: Upgraded) -> io::Result<()> {
    stream.wake_on_drain(true);
    let mut buffer = [0; 100];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => stream.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.write_all(b"!")?,
            Err(error) => return Err(error),
        }
    }
}

fn answered(client: &mut Client, length: usize) -> Result<bool, &'static str> {
    match client.try_response(false) {
        Ok(response) if response.status == 200 && response.body.len() == length => {
            Ok(!response.closes())
        }
        Ok(_) => Err("a wrong answer"),
        Err(_) => Err("no whole answer"),
    }
}

fn send(client: &mut Client, bytes: &[u8]) -> Result<(), &'static str> {
    client.try_send(bytes).map_err(|_| "it could not be sent")
}

fn post(client: &mut Client) -> Result<bool, &'static str> {
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
    send(client, head.as_bytes())?;
    send(client, &[b'x'; 1000])?;
    answered(client, 1000)
}

fn upload(client: &mut Client) -> Result<bool, &'static str> {
    send(
        client,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for _ in 0..20 {
        send(client, b"2710\r\n")?;
        send(client, &[b'x'; 10_000])?;
        send(client, b"\r\n")?;
    }
    send(client, b"0\r\n\r\n")?;
    answered(client, 200_000)
}

fn chunks(client: &mut Client) -> Result<bool, &'static str> {
    send(client, b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n")?;
    answered(client, 200_000)
}

fn written(client: &mut Client) -> Result<bool, &'static str> {
    send(client, b"GET /written HTTP/1.1\r\nHost: a\r\n\r\n")?;
    answered(client, 200_000)
}

/// A stream of events is complete if its end arrives.
fn listen(client: &mut Client) -> Result<bool, &'static str> {
    send(client, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")?;
    match client.try_response(false) {
        Ok(_) => Ok(false),
        Err(_) => Err("the stream has no end"),
    }
}

/// Sends fifty bytes and reads them back, one by one. It stops earlier if the server
/// drains.
fn converse(client: &mut Client) -> Result<bool, &'static str> {
    send(
        client,
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    )?;
    client.try_head().map_err(|_| "it was not switched")?;
    let mut drains = false;
    for _ in 0..50 {
        send(client, b"x")?;
        let mut byte = client.try_raw(1).map_err(|_| "a byte did not come back")?;
        if byte == b"!" {
            drains = true;
            byte = client.try_raw(1).map_err(|_| "a byte did not come back")?;
        }
        if byte != b"x" {
            return Err("a wrong byte came back");
        }
        if drains {
            break;
        }
    }
    Ok(false)
}

/// The lengths of the files, in bytes.
#[cfg(feature = "files")]
const FILES: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 10 << 20];

/// The content of the largest file. The others are its beginning.
#[cfg(feature = "files")]
static CONTENT: LazyLock<String> = LazyLock::new(|| ('a'..='w').cycle().take(FILES[3]).collect());

/// Downloads one file after the other.
#[cfg(feature = "files")]
fn download(client: &mut Client) -> Result<bool, &'static str> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let length = FILES[NEXT.fetch_add(1, SeqCst) % FILES.len()];
    let request = format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n");
    send(client, request.as_bytes())?;
    match client.try_response(false) {
        Ok(response) if response.status == 200 && response.body == CONTENT[..length] => {
            Ok(!response.closes())
        }
        Ok(_) => Err("a wrong answer"),
        Err(_) => Err("no whole file"),
    }
}

fn expect_no_loss(what: &str, exchange: Exchange) {
    expect_no_loss_by(|config| TestServer::start(config, handler), what, exchange);
}

/// Expects that no such exchange with these servers is lost.
fn expect_no_loss_by(start: impl Fn(Config) -> TestServer, what: &str, exchange: Exchange) {
    // See cli/tests/process/loss.rs for the last call.
    let (rounds, last_call) = match std::env::var("FAREWELL_ROUNDS") {
        Ok(rounds) => (rounds.parse().unwrap(), Config::default().last_call),
        Err(_) => (2, Duration::from_secs(8)),
    };
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let mut config = Config::default();
            config.last_call = last_call;
            round(start(config), exchange)
        })
        .collect();
    times.sort_unstable();
    println!(
        "{what}: {rounds} rounds, 0 lost; trigger to end: median {:?}, longest {:?}",
        times[rounds / 2],
        times[rounds - 1]
    );
}

/// One stop under load. Returns how long it took.
fn round(server: TestServer, exchange: Exchange) -> Duration {
    let address = server.address();
    let stopping = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stopping, done) = (Arc::clone(&stopping), Arc::clone(&done));
            thread::spawn(move || client(address, exchange, &stopping, &done))
        })
        .collect();
    while done.load(SeqCst) < EXCHANGES {
        thread::yield_now();
    }
    stopping.store(true, SeqCst);
    let trigger = Instant::now();
    server.stop.shutdown();
    let report = server.join();
    let time = trigger.elapsed();
    for client in clients {
        client.join().unwrap();
    }
    assert!(report.all_answered(), "{report}");
    assert_eq!(report.requests.total(), done.load(SeqCst), "{report}");
    assert_eq!(report.connections.count(ConnectionOutcome::CrossedClose), 0);
    time
}

/// Makes one exchange after the other, until a connection is refused.
fn client(address: SocketAddr, exchange: Exchange, stopping: &AtomicBool, done: &AtomicU64) {
    let mut open: Option<Client> = None;
    loop {
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => match Client::try_connect(address) {
                Ok(connection) => connection,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                    assert!(stopping.load(SeqCst), "refused before the stop");
                    return;
                }
            },
        };
        match exchange(&mut connection) {
            Ok(is_reusable) => {
                done.fetch_add(1, SeqCst);
                open = is_reusable.then_some(connection);
            }
            Err(what) => panic!("lost: {what}; {connection:?}"),
        }
    }
}

#[test]
fn no_post_is_lost() {
    expect_no_loss("POST of 1 kB", post);
}

#[test]
fn no_upload_is_lost() {
    expect_no_loss("chunked upload of 200 kB", upload);
}

#[test]
fn no_answer_in_chunks_is_lost() {
    expect_no_loss("answer in chunks, 200 kB", chunks);
}

#[test]
fn no_answer_that_is_written_is_lost() {
    expect_no_loss("answer by a writer, 200 kB", written);
}

#[cfg(feature = "files")]
#[test]
fn no_download_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    for length in FILES {
        let file = folder.path().join(length.to_string());
        std::fs::write(file, &CONTENT[..length]).unwrap();
    }
    let start = |config| TestServer::start(config, farewell::Files::new(&folder).unwrap());
    expect_no_loss_by(start, "files of 1 KiB to 10 MiB", download);
}

#[test]
fn no_stream_of_events_is_lost() {
    expect_no_loss("server-sent events", listen);
}

#[test]
fn no_upgraded_connection_is_lost() {
    expect_no_loss("upgraded", converse);
}
