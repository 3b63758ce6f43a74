//! Stores uploads of up to 10 GiB in a folder, with little memory. A file appears in
//! the folder when it is complete, and only its owner can read it.
//!
//! ```sh
//! cargo run --example upload FOLDER [ADDRESS]
//! curl -T picture.jpg http://127.0.0.1:8080/files/
//! ```

use std::{env, error::Error, io, path::Path, time::Duration};

use farewell::{Config, Rejection, Request, Router, Server, StatusCode};
use tempfile::NamedTempFile;

fn upload(folder: &Path, mut request: Request) -> Result<StatusCode, Rejection> {
    let name = request.param("name").filter(|name| is_plain(name));
    let path = folder.join(name.ok_or(Rejection::new(StatusCode::BAD_REQUEST, "invalid name"))?);
    store(&mut request, folder, &path)
        .inspect_err(|error| eprintln!("{}: {error}", path.display()))?;
    Ok(StatusCode::CREATED)
}

/// Writes the body to a temporary file, and renames the file when it is complete. An
/// incomplete file is removed.
fn store(request: &mut Request, folder: &Path, path: &Path) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(folder)?;
    io::copy(request.body_mut(), &mut file)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Whether `name` is that of a file in the folder, and not hidden. A parameter may
/// contain `../`.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.bytes().all(plain) && !name.starts_with('.') && name.len() < 256
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("missing FOLDER")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    if !Path::new(&folder).is_dir() {
        return Err(format!("no such folder: {folder}").into());
    }
    let mut config = Config::default();
    config.body_bytes_max = 10 << 30;
    config.drain_timeout = Duration::from_secs(300); // so that uploads can finish
    let server = Server::bind(address, config)?;
    server.stop_on_signals()?;

    let put = move |request: Request| upload(Path::new(&folder), request);
    println!("listening on http://{}", server.local_addr());
    server.serve(Router::new().put("/files/{name}", put).build()?)?;
    Ok(())
}
