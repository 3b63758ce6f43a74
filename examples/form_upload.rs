//! A web page with a form, whose files are stored in a folder as they arrive, up to 1 GiB
//! a request. A file appears in the folder when it is complete, and replaces none.
//!
//! ```sh
//! cargo run --example form_upload --features multipart FOLDER [ADDRESS]
//! curl -F file=@picture.jpg http://127.0.0.1:8080/    # or open it in a browser
//! ```

use std::{env, error::Error, io, path::PathBuf};

use farewell::{BodyLimits, Config, Html, MultipartLimits, Rejection, Request, Router};
use farewell::{Server, State, StatusCode};
use tempfile::NamedTempFile;

const PAGE: &str = r#"<!DOCTYPE html><title>Upload</title>
<form method="post" enctype="multipart/form-data">
<input type="file" name="file" multiple required> <button>Upload</button></form>"#;

fn upload(folder: &PathBuf, mut request: Request) -> Result<(StatusCode, String), Rejection> {
    let mut form = request.multipart(MultipartLimits::default())?;
    let mut stored = String::new();
    while let Some(mut part) = form.next_part()? {
        let Some(name) = part.file_name().map(str::to_owned) else {
            continue; // a field that is no file, which is skipped
        };
        let refuse = |status, why| Rejection::new(status, format!("{why}: {name}"));
        let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
        let fits = (1..256).contains(&name.len()) && !name.starts_with('.');
        if !fits || !name.chars().all(plain) {
            return Err(refuse(StatusCode::BAD_REQUEST, "invalid file name"));
        }
        let mut file = NamedTempFile::new_in(folder)?;
        io::copy(&mut part, &mut file)?;
        file.persist_noclobber(folder.join(&name))
            .map_err(|_| refuse(StatusCode::CONFLICT, "there is a file of that name"))?;
        stored += &format!("stored {name}\n");
    }
    Ok((StatusCode::CREATED, stored))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = State::new(PathBuf::from(env::args().nth(1).ok_or("missing FOLDER")?));
    let address = env::args().nth(2).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    let get = |_: Request| Html(PAGE);
    let routes = Router::new()
        .get("/", get)
        .post("/", folder.handler(upload))
        .body_limits(BodyLimits::new().bytes_max(1 << 30));
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.build()?)?;
    Ok(())
}
