//! Serves the files of a folder. The kernel sends them, from file to socket.
//!
//! ```sh
//! cargo run --example download FOLDER [ADDRESS]
//! curl -O http://127.0.0.1:8080/picture.jpg
//! ```

use std::path::{Component, Path};
use std::{env, error::Error, fs::File, io::ErrorKind};

use farewell::{Body, Config, HeaderValue, Rejection, Request, Response, Router, Server};
use farewell::{StatusCode, header};

fn download(folder: &Path, request: &Request) -> Result<Response, Rejection> {
    let path = Path::new(request.param("path").unwrap_or_default());
    let file = folder.join(path);
    // Checked before the open, because opening a FIFO can block for ever.
    if !path.components().all(is_plain) || !file.is_file() {
        return Err(Rejection::new(StatusCode::NOT_FOUND, "no such file"));
    }
    let body = File::open(file).and_then(Body::from_file);
    let mut response = Response::new(body.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Rejection::new(StatusCode::FORBIDDEN, "permission denied"),
        _ => Rejection::from(error),
    })?);
    let media_type = HeaderValue::from_static(match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("jpg") => "image/jpeg",
        _ => "application/octet-stream",
    });
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// Whether this part of the path stays in the folder and is not hidden: a parameter
/// may contain `../`. Symbolic links are followed, so the folder must hold safe ones.
fn is_plain(part: Component<'_>) -> bool {
    matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("missing FOLDER")?;
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    let get = move |request: Request| download(Path::new(&folder), &request);
    println!("listening on http://{}", server.local_addr());
    server.serve(Router::new().get("/{*path}", get).build()?)?;
    Ok(())
}
