//! State that outlives its server: a count of words, written to a file after
//! the drain, when no handler is left to change it.
//!
//! ```sh
//! cargo run --example graceful FILE [ADDRESS]
//! curl -d 'three more words' http://127.0.0.1:8080/
//! ```
//!
//! Ctrl+C or SIGTERM stops it; the last thing it prints is what became of
//! everyone.

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{env, error::Error, fs};

use farewell::{BodyError, Config, Request, Router, Server, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("in which FILE is the count?")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let before = match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse()?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    let words = Arc::new(AtomicU64::new(before));

    let counted = Arc::clone(&words);
    let count = move |mut request: Request| -> Result<String, BodyError> {
        let new = request.text()?.split_whitespace().count() as u64;
        Ok(format!("{} words\n", counted.fetch_add(new, Relaxed) + new))
    };
    let routes = Router::new().post("/", count).build()?;

    let server = Server::bind(address, Config::default())?;
    let stop = server.shutdown_handle();
    ctrlc::set_handler(move || {
        stop.shutdown_by(Trigger::Signal);
    })?;
    println!("listening on http://{}", server.local_addr());
    let report = server.serve(routes)?;

    // Everyone has been answered, or cut; every answer is in the count.
    fs::write(&file, format!("{}\n", words.load(Relaxed)))?;
    println!("{report}");
    match report.everyone_answered() {
        true => Ok(()),
        false => Err("the stop cut somebody".into()),
    }
}
