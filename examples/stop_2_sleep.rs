//! The second of four ways to stop by a request: answer, sleep, exit.
//!
//! ```sh
//! cargo run --example stop_2_sleep [ADDRESS]
//! curl http://127.0.0.1:8080/shutdown    # usually gets its answer
//! ```
//!
//! The time is a guess: nothing tells the process that the answer has arrived.
//! Until it exits, the server takes new requests; those that are in progress
//! then are lost. `docs/stopping.md` has the figures.

#![allow(clippy::exit, reason = "this is what the example shows")]

use std::{env, error::Error, process, thread, time::Duration};

use farewell::{Config, Request, Router, Server, StatusCode};

/// Long enough for most answers, too short for some.
const PAUSE: Duration = Duration::from_millis(500);

fn shutdown(_: Request) -> (StatusCode, &'static str) {
    thread::spawn(|| {
        thread::sleep(PAUSE);
        process::exit(0)
    });
    (StatusCode::ACCEPTED, "shutting down\n")
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
