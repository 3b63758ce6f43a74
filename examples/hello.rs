//! The smallest server that stops gracefully.
//!
//! ```sh
//! cargo run --example hello [ADDRESS]
//! curl http://127.0.0.1:8080/
//! ```
//!
//! Ctrl+C or SIGTERM stops it: every request that has arrived by then gets its
//! response. A second signal stops it at once.

use std::env;
use std::error::Error;

use farewell::{Config, Request, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    println!("listening on http://{}", server.local_addr());
    server.serve(|request: Request| format!("hello {}\n", request.peer_addr()))?;
    Ok(())
}
