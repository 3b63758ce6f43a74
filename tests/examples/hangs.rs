//! A server whose program does not end after it: `serve` returns, and the
//! program waits for something that does not come.

#![allow(
    clippy::unwrap_used,
    reason = "a test's server that cannot go on fails"
)]

use farewell::Config;
use farewell::Request;
use farewell::Server;

fn main() {
    let address = std::env::args().nth(1).unwrap();
    let server = Server::bind(address, Config::default()).unwrap();
    server.stop_on_signals().unwrap();
    println!("listening on http://{}", server.local_addr());
    let report = server.serve(|_: Request| "hello\n").unwrap();
    println!("{report}");
    loop {
        std::thread::park();
    }
}
