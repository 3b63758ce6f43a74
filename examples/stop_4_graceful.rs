//! The fourth of four ways to stop by a request: answer, finish what is in
//! progress, exit when every client has its answer or the deadline has passed.
//!
//! ```sh
//! cargo run --example stop_4_graceful [ADDRESS]
//! curl http://127.0.0.1:8080/shutdown    # gets its answer, as every client does
//! ```
//!
//! The exit code is 1 if the deadline cut a request. `docs/stopping.md` has the
//! figures.

use std::{env, error::Error, time::Duration};

use farewell::{Config, Request, Router, Server, StatusCode, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut config = Config::default();
    config.drain_timeout = Duration::from_secs(10); // the deadline
    let server = Server::bind(address, config)?;
    server.stop_on_signals()?;

    let stop = server.shutdown_handle();
    let shutdown = move |request: Request| {
        stop.shutdown_by(Trigger::Request(request.peer_addr()));
        (StatusCode::ACCEPTED, "shutting down\n")
    };
    println!("listening on http://{}", server.local_addr());
    let routes = Router::new()
        .get("/", |_: Request| "hello\n")
        .get("/shutdown", shutdown)
        .build()?;
    let report = server.serve(routes)?;
    println!("{report}");
    let all_answered = report.all_answered().then_some(());
    all_answered.ok_or("the deadline cut a request".into())
}
