//! Tags responses, and answers 304 to a client that has one already (RFC 9110 section 13).
//!
//! ```sh
//! cargo run --example etag [ADDRESS]
//! curl -i -H 'If-None-Match: "TAG"' http://127.0.0.1:8080/
//! ```

use std::hash::{DefaultHasher, Hasher};
use std::{env, error::Error};

use farewell::{Config, Handler, HeaderValue, Method, Request, Response, Router};
use farewell::{Server, StatusCode, header};

/// A strong tag. Take SHA-256 if the bytes come from people who may look for a collision.
fn tag(bytes: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    let tag = format!("\"{:x}-{:016x}\"", bytes.len(), hasher.finish());
    HeaderValue::try_from(tag).expect("digits are valid in a field")
}

/// Whether a list of `If-None-Match` has the tag. Weak tags count too.
fn has(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let mut items = list.to_str().unwrap_or_default().split(',').map(str::trim);
    items.any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == tag)
}

/// A layer. It tags what is in memory and may be stored. A 304 keeps its `after_delivery`.
fn etag(request: Request, next: &dyn Handler) -> Response {
    let is_get = [Method::GET, Method::HEAD].contains(request.method());
    let fields = request.headers().clone();
    let mut lists = fields.get_all(header::IF_NONE_MATCH).iter();
    let mut response = next.handle(request);
    let bytes = response.body().as_bytes().unwrap_or_default();
    let forbids = |value: &HeaderValue| value.to_str().is_ok_and(|v| v.contains("no-store"));
    let mut control = response.headers().get_all(header::CACHE_CONTROL).iter();
    let is_tagged = is_get && response.status() == 200 && !control.any(forbids);
    if is_tagged && (1..1 << 20).contains(&bytes.len()) {
        let tag = tag(bytes);
        if lists.any(|list| has(list, &tag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response = response.map(|body| body.map_chunks(|_| Ok(Default::default())));
        }
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    println!("listening on http://{}", server.local_addr());
    let routes = Router::new().get("/", |_: Request| "hello\n").layer(etag);
    server.serve(routes.build()?)?;
    Ok(())
}
