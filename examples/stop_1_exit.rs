//! The first of four ways to stop by a request: exit at once.
//!
//! ```sh
//! cargo run --example stop_1_exit [ADDRESS]
//! curl http://127.0.0.1:8080/shutdown    # gets no answer
//! ```
//!
//! The process ends before `/shutdown` is answered. Every other request in
//! progress is lost too. `docs/stopping.md` has the figures.

#![allow(clippy::exit, reason = "this is what the example shows")]

use std::{env, error::Error, process};

use farewell::{Config, Request, Router, Server};

fn shutdown(_: Request) -> &'static str {
    process::exit(0)
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
