//! The third of four ways to stop by a request: take the connection over, write
//! the answer, wait until the client has it, exit.
//!
//! ```sh
//! cargo run --example stop_3_take_over [ADDRESS]
//! curl http://127.0.0.1:8080/shutdown    # gets its answer
//! ```
//!
//! Programs in Go do this with `Hijack`. The confirmation arrives; every other
//! request in progress is lost. `docs/stopping.md` has the figures.

#![allow(clippy::exit, reason = "this is what the example shows")]

use std::io::Write;
use std::{env, error::Error, process};

use farewell::{Body, Config, Request, Router, Server, StatusCode};

fn shutdown(_: Request) -> (StatusCode, Body) {
    let body = Body::upgrade(|mut connection| {
        let written = connection.write_all(b"shutting down\n");
        // Returns when the client has closed its side: it has read everything.
        let code = match written.and_then(|()| connection.close()) {
            Ok(()) => 0,
            Err(_) => 1,
        };
        process::exit(code)
    });
    (StatusCode::ACCEPTED, body)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    println!("listening on http://{}", server.local_addr());
    let routes = Router::new()
        .get("/", |_: Request| "hello\n")
        .get("/shutdown", shutdown)
        .build()?;
    server.serve(routes)?;
    Ok(())
}
