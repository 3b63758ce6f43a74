//! Serves the files of a folder, and lists its folders.
//!
//! ```sh
//! cargo run --example files --features files FOLDER [ADDRESS]
//! ```

use std::env;

use farewell::{Config, Files, Server};

fn main() -> Result<(), farewell::Error> {
    let folder = env::args_os().nth(1).unwrap_or(".".into());
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let files = Files::new(folder)?.listing(true).precompressed(true);

    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    println!("listening on http://{}", server.local_addr());
    println!("{}", server.serve(files)?);
    Ok(())
}
