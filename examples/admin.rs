//! The stop and the health of a service under `/admin`. Only a client with the token may
//! stop it, from any machine.
//!
//! ```sh
//! cargo run --example admin open-sesame [ADDRESS]
//! curl http://127.0.0.1:8080/admin/readyz
//! curl -H 'Authorization: Bearer open-sesame' 'http://127.0.0.1:8080/admin/shutdown?wait'
//! ```
//!
//! A token on the command line is visible to other users of the machine: give that of a
//! real service by a file or by the environment.

use std::{env, error::Error};

use farewell::{Config, Request, Router, Server, StopAccess, StopRoutes};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let token = arguments.next().ok_or("give a token")?;
    let address = arguments.next().unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    let stop = StopRoutes::new(server.shutdown_handle(), StopAccess::token(&token)?);
    let routes = Router::new()
        .get("/", |_: Request| "hello\n")
        .nest("/admin", stop.router())
        .build()?;
    println!("listening on http://{}", server.local_addr());
    let report = server.serve(routes)?;
    println!("{}", report.to_json());
    let all_answered = report.all_answered().then_some(());
    all_answered.ok_or("the deadline cut a request".into())
}
