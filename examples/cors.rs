//! Lets the pages of some other origins call the service: CORS, as the Fetch standard of
//! the WHATWG has it.
//!
//! ```sh
//! cargo run --example cors [ADDRESS]
//! curl -i -H 'Origin: https://app.example' http://127.0.0.1:8080/
//! ```

use std::{env, error::Error};

use farewell::{Config, Handler, HeaderValue, IntoResponse, Method, Request, Response, Router};
use farewell::{Server, StatusCode, header};

/// Never answer with any origin that asks, or any site can call with its users' rights.
const ORIGINS: [&str; 2] = ["https://app.example", "http://localhost:3000"];

/// What a preflight allows, for so many seconds.
const ALLOWED: [(header::HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, PUT, DELETE"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];

/// A layer. Errors of routes pass it too, for the page to read; the server's own do not.
fn cors(request: Request, next: &dyn Handler) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let wanted = header::ACCESS_CONTROL_REQUEST_METHOD;
    let is_preflight = *request.method() == Method::OPTIONS
        && origin.is_some()
        && request.headers().contains_key(wanted);
    let mut response = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.handle(request),
    };
    let headers = response.headers_mut();
    // A cache must not give the response for one origin to another, nor to none.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let is_allowed = |origin: &HeaderValue| ORIGINS.iter().any(|allowed| origin == allowed);
    if let Some(origin) = origin.filter(is_allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in ALLOWED.into_iter().filter(|_| is_preflight) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    let hello = |_: Request| "hello\n";
    let routes = Router::new().get("/", hello).put("/", hello).layer(cors);
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.build()?)?;
    Ok(())
}
