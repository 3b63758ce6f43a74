//! Gives each request an id, that of the client if it is sane, for handler, log, response.
//!
//! ```sh
//! cargo run --example request_id [ADDRESS]
//! curl -i -H 'X-Request-Id: from-curl' http://127.0.0.1:8080/
//! ```

use std::{env, error::Error, hash::BuildHasher, hash::RandomState};

use farewell::{Config, Handler, HeaderName, HeaderValue, Request, Response, Router, Server};

const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// In the extensions of the request.
#[derive(Clone)]
struct RequestId(HeaderValue);

/// Whether an id can stand in a log: it is short, and plain ASCII.
fn is_sane(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

/// `start` tells the ids of one start of the program from those of others.
fn new_id(start: u64, request: &Request) -> HeaderValue {
    let (connection, number) = (request.connection_number(), request.number());
    let id = format!("{start:016x}-{connection}-{number}");
    HeaderValue::try_from(id).expect("digits are valid in a field")
}

fn hello(request: Request) -> String {
    let id = request.extensions().get().map(|RequestId(id)| id.to_str());
    format!("hello {}\n", id.and_then(Result::ok).unwrap_or_default())
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    let start = RandomState::new().hash_one(());
    let layer = move |mut request: Request, next: &dyn Handler| -> Response {
        let known = request
            .headers()
            .get(NAME)
            .filter(|id| is_sane(id))
            .cloned();
        let id = known.unwrap_or_else(|| new_id(start, &request));
        request.extensions_mut().insert(RequestId(id.clone()));
        let mut response = next.handle(request);
        eprintln!("{id:?} gets {}", response.status());
        response.headers_mut().insert(NAME, id);
        response
    };
    println!("listening on http://{}", server.local_addr());
    server.serve(Router::new().get("/", hello).layer(layer).build()?)?;
    Ok(())
}
