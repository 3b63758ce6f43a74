//! The one-shot stop: a route that answers, waits until its client surely has
//! the answer, and ends the process. It is what an article on Go does with
//! `Hijack`.
//!
//! ```sh
//! cargo run --example take_over [ADDRESS]
//! curl -X POST http://127.0.0.1:8080/stop
//! ```
//!
//! It is safe for the one who asks, and for nobody else: requests in progress
//! are cut, connections are reset, and files half written stay so. The example
//! `graceful` is the one to use, where others may be there.

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]
#![allow(clippy::exit, reason = "that is the point")]

use std::io::Write;
use std::{env, error::Error, process};

use farewell::{Body, Config, Request, Router, Server};

fn stop(_: Request) -> Body {
    Body::upgrade(|mut connection| {
        let told = connection.write_all(b"goodbye\n");
        // Waits for the client to close its side, as it does when it has read all.
        let code = match told.and_then(|()| connection.close()) {
            Ok(()) => 0,
            Err(_) => 1,
        };
        process::exit(code)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    println!("listening on http://{}", server.local_addr());
    let routes = Router::new()
        .get("/", |_: Request| "hello\n")
        .post("/stop", stop)
        .build()?;
    server.serve(routes)?;
    Ok(())
}
