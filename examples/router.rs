//! Routes: a parameter, JSON in requests and responses, a nested router, and a layer
//! that times every request.
//!
//! ```sh
//! cargo run --example router [ADDRESS]
//! curl -i http://127.0.0.1:8080/squares/12
//! curl --json '{"width": 3, "height": 4}' http://127.0.0.1:8080/api/area
//! ```

use std::{env, error::Error, time::Instant};

use farewell::{Config, Handler, HeaderValue, Json, Rejection, Request, Response, Router, Server};

fn square(request: Request) -> Result<String, Rejection> {
    let number: u32 = request.param_as("number")?;
    Ok(format!("{}\n", u64::from(number).pow(2)))
}

#[derive(serde::Deserialize)]
struct Rectangle {
    width: u32,
    height: u32,
}

fn area(mut request: Request) -> Result<Json<u64>, Rejection> {
    let Rectangle { width, height } = request.json()?;
    Ok(Json(u64::from(width) * u64::from(height)))
}

/// A layer that adds `Server-Timing`: how long the handler took, in milliseconds.
fn timed(request: Request, next: &dyn Handler) -> Response {
    let start = Instant::now();
    let mut response = next.handle(request);
    let took = format!("total;dur={:.3}", start.elapsed().as_secs_f64() * 1000.0);
    let took = HeaderValue::try_from(took).expect("a number has no control characters");
    response.headers_mut().insert("server-timing", took);
    response
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;

    let routes = Router::new()
        .get("/squares/{number}", square)
        .nest("/api", Router::new().post("/area", area))
        .layer(timed);
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.build()?)?;
    Ok(())
}
