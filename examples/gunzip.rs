//! Decodes requests whose body is compressed. What the body becomes is bounded too.
//!
//! ```sh
//! cargo run --example gunzip [ADDRESS]
//! echo hello | gzip | curl -H 'Content-Encoding: gzip' --data-binary @- http://127.0.0.1:8080/
//! ```

use std::{env, error::Error, io, io::Read};

use farewell::{BodyError, Config, Handler, IntoResponse, Rejection, Request, Response};
use farewell::{Router, Server, StatusCode, header};
use flate2::read::MultiGzDecoder;

/// `Config::body_bytes_max` (2 MiB) bounds what arrives, which may become 2 GiB.
const DECODED_BYTES_MAX: u64 = 10 << 20;

/// A reader that fails if more bytes are read than this.
struct Bounded<R>(R, u64);

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        let too_large = BodyError::new(StatusCode::PAYLOAD_TOO_LARGE, "decoded body is too large");
        self.1 = self.1.checked_sub(count as u64).ok_or(too_large)?;
        Ok(count)
    }
}

/// A layer.
fn gunzip(mut request: Request, next: &dyn Handler) -> Response {
    let codings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let codings: Vec<&[u8]> = codings.map(|field| field.as_bytes()).collect();
    match &*codings.join(&b","[..]).to_ascii_lowercase() {
        b"" => return next.handle(request),
        b"gzip" => {}
        _ => {
            let text = "request body has an unknown encoding: use gzip, once";
            let refused = Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
            return ([(header::ACCEPT_ENCODING, "gzip")], refused).into_response();
        }
    }
    request.headers_mut().remove(header::CONTENT_ENCODING);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    request.map_body(|body| Bounded(MultiGzDecoder::new(body), DECODED_BYTES_MAX));
    next.handle(request)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    let routes = Router::new().post("/", |mut request: Request| request.text());
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.layer(gunzip).build()?)?;
    Ok(())
}
