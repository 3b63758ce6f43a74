//! Routes: a parameter, JSON in requests and responses, a state, errors in the form of the
//! application, a router in a router, and a layer that times every request.
//!
//! ```sh
//! cargo run --example router --features json [ADDRESS]
//! curl -i http://127.0.0.1:8080/squares/12
//! curl --json '{"width": 3, "height": 4}' http://127.0.0.1:8080/api/area
//! ```

use std::{env, error::Error, time::Instant};

use farewell::{Config, Handler, HeaderValue, IntoResponse, Json, Rejection, Request, Response};
use farewell::{Router, Server, State, StatusCode};
use serde_json::json;

/// What the handlers of `/api` share: a store, a pool of connections, or as here a limit.
struct Limits {
    area_max: u64,
}

/// The errors of `/api`, which are JSON. `?` makes one of what the library refuses.
enum ApiError {
    Refused(Rejection),
    LargerThan(u64),
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Refused(rejection) => (rejection.status(), rejection.to_string()),
            Self::LargerThan(max) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("area is over {max}"),
            ),
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

#[derive(serde::Deserialize)]
struct Rectangle {
    width: u32,
    height: u32,
}

fn area(limits: &Limits, mut request: Request) -> Result<Json<u64>, ApiError> {
    let Rectangle { width, height } = request.json()?;
    let area = u64::from(width) * u64::from(height);
    match area > limits.area_max {
        true => Err(ApiError::LargerThan(limits.area_max)),
        false => Ok(Json(area)),
    }
}

fn square(request: Request) -> Result<String, Rejection> {
    let number: u32 = request.param_as("number")?;
    Ok(format!("{}\n", u64::from(number).pow(2)))
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

    let limits = State::new(Limits { area_max: 1 << 40 });
    let routes = Router::new()
        .get("/squares/{number}", square)
        .nest("/api", Router::new().post("/area", limits.handler(area)))
        .layer(timed);
    println!("listening on http://{}", server.local_addr());
    server.serve(routes.build()?)?;
    Ok(())
}
