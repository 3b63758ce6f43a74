//! A folder that clients fill: files are stored by PUT and by forms, and none is replaced.
//!
//! ```sh
//! cargo run --example inbox --features files FOLDER [ADDRESS]
//! curl -T picture.jpg http://127.0.0.1:8080/
//! curl -F file=@a.txt -F file=@b.txt http://127.0.0.1:8080/
//! ```

#![allow(clippy::print_stdout, reason = "a program speaks to its user")]

use std::{env, error::Error};

use farewell::{Config, Files, Server, Uploads};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).ok_or("missing FOLDER")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let uploads = Uploads::new().bytes_max(4 << 30);
    let files = Files::new(folder)?.listing(true).uploads(uploads);

    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    println!("listening on http://{}", server.local_addr());
    println!("{}", server.serve(files)?);
    Ok(())
}
