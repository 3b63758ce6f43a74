//! A service and its tests: `cargo test --example testing`.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::{env, error::Error, sync::Arc};

use farewell::{Config, Rejection, Request, Router, Routes, Server, StatusCode};

fn add(sum: &AtomicU32, mut request: Request) -> Result<String, Rejection> {
    let invalid = |_| Rejection::new(StatusCode::BAD_REQUEST, "not a small number");
    let number: u8 = request.text()?.parse().map_err(invalid)?;
    Ok(format!("{}", sum.fetch_add(number.into(), SeqCst)))
}

fn routes(sum: Arc<AtomicU32>) -> Result<Routes, farewell::Error> {
    let add = move |request: Request| add(&sum, request);
    Router::new().post("/add", add).build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    server.serve(routes(Arc::default())?)?;
    Ok(())
}

#[test]
fn small_numbers_are_added_and_the_sum_before_is_answered() {
    use farewell::Handler; // for `handle`
    let routes = routes(Arc::default()).unwrap();
    for (body, status, answer) in [("7", 200, "0"), ("1", 200, "7"), ("x", 400, "not")] {
        let request = http::Request::post("/add").body(body).unwrap();
        let response = routes.handle(request.into());
        assert_eq!(response.status(), status);
        let text = response.into_body().into_bytes(1024).unwrap();
        assert!(text.starts_with(answer.as_bytes()), "{text:?}");
    }
}

#[test]
fn a_request_that_has_arrived_is_answered_before_the_service_stops() {
    use std::io::{Read, Write};
    let sum = Arc::default();
    let server = Server::bind("127.0.0.1:0", Config::for_tests()).unwrap();
    let stop = server.shutdown_handle();
    let server = server.spawn(routes(Arc::clone(&sum)).unwrap()).unwrap();
    let mut client = std::net::TcpStream::connect(server.local_addr()).unwrap();
    let request = b"POST /add HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n7";
    client.write_all(request).unwrap();
    stop.shutdown();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");

    let report = server.join().unwrap();
    assert!(report.all_answered(), "{report}");
    assert_eq!((report.accepted, report.begun), (1, 1));
    assert_eq!(sum.load(SeqCst), 7);
}
