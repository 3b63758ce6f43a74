//! The server whose instructions are counted.

use std::error::Error;

use farewell::Config;
use farewell::Request;
use farewell::Server;

/// The argument with which this program is the server.
pub(crate) const ARGUMENT: &str = "serve";

/// What the response to `/` ends with.
pub(crate) const RESPONSE_END: &[u8] = b"Hello, you requested /\n";

/// Prints its address, and serves until a request for `/stop`.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.workers = 1;
    let server = Server::bind("127.0.0.1:0", config)?;
    let stop = server.shutdown_handle();
    println!("{}", server.local_addr());
    server.serve(move |request: Request| {
        let path = request.uri().path();
        if path == "/stop" {
            stop.shutdown();
        }
        format!("Hello, you requested {path}\n")
    })?;
    Ok(())
}
