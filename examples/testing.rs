//! A service and its tests, which `cargo test --example testing` runs.
//!
//! ```sh
//! cargo run --example testing [ADDRESS]
//! curl -d 7 http://127.0.0.1:8080/double
//! ```

use std::{env, error::Error};

use farewell::{Config, Rejection, Request, Router, Routes, Server, StatusCode};

fn double(mut request: Request) -> Result<String, Rejection> {
    let invalid = |_| Rejection::new(StatusCode::BAD_REQUEST, "not a small number");
    let number: u16 = request.text()?.parse().map_err(invalid)?;
    Ok(format!("{}\n", u32::from(number) * 2))
}

fn routes() -> Result<Routes, farewell::Error> {
    Router::new().post("/double", double).build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    println!("listening on http://{}", server.local_addr());
    server.serve(routes()?)?;
    Ok(())
}

#[test]
fn a_number_is_doubled_and_other_text_is_refused() {
    use farewell::Handler; // for `handle`
    for (body, status, answer) in [("7", 200, "14\n"), ("x", 400, "not a small number\n")] {
        let request = http::Request::post("/double").body(body).unwrap();
        let response = routes().unwrap().handle(request.into());
        assert_eq!(response.status(), status);
        assert_eq!(response.into_body().into_bytes(1024).unwrap(), answer);
    }
}

#[test]
fn a_request_that_has_arrived_is_answered_before_the_service_stops() {
    use std::{io::Read, io::Write, net::TcpStream};
    let server = Server::bind("127.0.0.1:0", Config::for_tests()).unwrap();
    let stop = server.shutdown_handle();
    let server = server.spawn(routes().unwrap()).unwrap();
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    let post = b"POST /double HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n7";
    client.write_all(post).unwrap();
    stop.shutdown();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.ends_with("\r\n\r\n14\n"), "{response}");
    let report = server.join().unwrap();
    assert!(report.all_answered() && report.begun == 1, "{report}");
}
