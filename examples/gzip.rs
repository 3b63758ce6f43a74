//! Compresses responses, streams too. For requests see `gunzip`.
//!
//! ```sh
//! cargo run --example gzip [ADDRESS]
//! curl --compressed -i http://127.0.0.1:8080/
//! ```

use std::{env, error::Error, io::Write, mem};

use farewell::{Config, Handler, HeaderValue, Request, Response, Router, Server, header};
use flate2::{Compression, write::GzEncoder};

/// Whether the client lists gzip. One with a weight, such as `gzip;q=0`, does not count.
fn takes_gzip(request: &Request) -> bool {
    let lines = request.headers().get_all(header::ACCEPT_ENCODING).iter();
    let mut items = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    items.any(|item| item.trim_ascii() == b"gzip")
}

/// A layer. One for ETags belongs outside of it, because a tag names the bytes sent.
fn gzip(request: Request, next: &dyn Handler) -> Response {
    let takes_gzip = takes_gzip(&request);
    let (mut head, body) = next.handle(request).into_parts();
    let (encoding, vary) = (header::CONTENT_ENCODING, "accept-encoding");
    head.headers
        .append(header::VARY, HeaderValue::from_static(vary));
    let is_small = body.length().is_some_and(|length| length < 200);
    let is_other = [204, 206, 304].contains(&head.status.as_u16()) || body.is_upgrade();
    if !takes_gzip || is_small || is_other || head.headers.contains_key(&encoding) {
        return Response::from_parts(head, body);
    }
    head.headers
        .insert(encoding, HeaderValue::from_static("gzip"));
    head.headers.remove(header::ETAG); // of other bytes
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let body = body.map_chunks(move |chunk| {
        match chunk {
            // Flushed, because the next piece of a stream may come much later.
            Some(chunk) => gzip.write_all(&chunk).and_then(|()| gzip.flush())?,
            None => gzip.try_finish()?,
        }
        Ok(mem::take(gzip.get_mut()).into())
    });
    Response::from_parts(head, body)
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    let text = |_: Request| "hello, hello\n".repeat(1000);
    let routes = Router::new().get("/", text).layer(gzip);
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.build()?)?;
    Ok(())
}
